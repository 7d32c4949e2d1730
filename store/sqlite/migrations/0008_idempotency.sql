-- +goose Up

-- Requests that came with an Idempotency-Key, for as long as the key counts.
CREATE TABLE request_keys (
	producer    TEXT    NOT NULL,
	key         TEXT    NOT NULL,
	hash        BLOB    NOT NULL,
	-- What the ids of the notifications are made from, so that whoever goes on
	-- with the request after a crash makes the same ones.
	seed        BLOB    NOT NULL,
	owner       BLOB    NOT NULL,
	lease_until INTEGER NOT NULL,
	created_at  INTEGER NOT NULL,
	-- The answer; 0 while there is none.
	status      INTEGER NOT NULL DEFAULT 0,
	location    TEXT    NOT NULL DEFAULT '',
	answer      BLOB    NOT NULL DEFAULT x'',

	PRIMARY KEY (producer, key),
	CONSTRAINT request_keys_key CHECK (key <> '')
) STRICT;

CREATE INDEX request_keys_created_idx ON request_keys (created_at);

-- SQLite changes no CHECK of a table that exists.
CREATE TABLE new_actions (
	notification_id BLOB    NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	generation      INTEGER NOT NULL,
	verb            TEXT    NOT NULL,
	at              INTEGER NOT NULL,
	actor           TEXT    NOT NULL,
	-- What the notification had died of; a replay takes it off the row.
	reason          TEXT    NOT NULL,
	errcode         INTEGER NOT NULL,
	detail          TEXT    NOT NULL,

	PRIMARY KEY (notification_id, generation, verb),
	CONSTRAINT actions_verb CHECK (verb IN ('replay', 'discard', 'settle_sent', 'settle_dead', 'cancel')),
	CONSTRAINT actions_actor CHECK (actor <> '')
) STRICT;
INSERT INTO new_actions SELECT * FROM actions;
DROP TABLE actions;
ALTER TABLE new_actions RENAME TO actions;

-- +goose Down
CREATE TABLE old_actions (
	notification_id BLOB    NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	generation      INTEGER NOT NULL,
	verb            TEXT    NOT NULL,
	at              INTEGER NOT NULL,
	actor           TEXT    NOT NULL,
	reason          TEXT    NOT NULL,
	errcode         INTEGER NOT NULL,
	detail          TEXT    NOT NULL,

	PRIMARY KEY (notification_id, generation, verb),
	CONSTRAINT actions_verb CHECK (verb IN ('replay', 'discard', 'settle_sent', 'settle_dead')),
	CONSTRAINT actions_actor CHECK (actor <> '')
) STRICT;
INSERT INTO old_actions SELECT * FROM actions WHERE verb <> 'cancel';
DROP TABLE actions;
ALTER TABLE old_actions RENAME TO actions;
DROP TABLE request_keys;
