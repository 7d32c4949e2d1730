-- +goose Up

-- What became of messages that WeChat accepted. A receipt whose msgid is that of
-- no attempt waits with notification_id null: for the settlement that brings the
-- msgid, or to settle a doubt.
CREATE TABLE receipts (
	msg_id          INTEGER NOT NULL,
	app             TEXT    NOT NULL,
	-- Whose it is; emptied when it has found its attempt.
	open_id         TEXT    NOT NULL,
	template_id     TEXT    NOT NULL,
	ok              INTEGER NOT NULL,
	code            INTEGER NOT NULL,
	status          TEXT    NOT NULL,
	at              INTEGER NOT NULL,
	verified        INTEGER NOT NULL,
	-- When an attempt that it is about may have begun.
	began_from      INTEGER NOT NULL,
	began_until     INTEGER NOT NULL,
	received_at     INTEGER NOT NULL,
	look_at         INTEGER,
	looks           INTEGER NOT NULL DEFAULT 0,
	notification_id BLOB    REFERENCES notifications (id) ON DELETE CASCADE,
	attempt         INTEGER,

	-- The msgid first: it is what an attempt knows.
	PRIMARY KEY (msg_id, app),
	CONSTRAINT receipts_msg_id CHECK (msg_id > 0),
	CONSTRAINT receipts_found CHECK ((notification_id IS NULL) = (attempt IS NULL)),
	CONSTRAINT receipts_look_pending CHECK (look_at IS NULL OR notification_id IS NULL)
) STRICT;

CREATE INDEX receipts_notification_idx ON receipts (notification_id) WHERE notification_id IS NOT NULL;
CREATE INDEX receipts_look_idx ON receipts (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX receipts_address_idx ON receipts (app, open_id, template_id) WHERE notification_id IS NULL;
CREATE INDEX receipts_pending_idx ON receipts (received_at) WHERE notification_id IS NULL;

-- How a receipt finds its attempt: by its msgid, or as one of the few that nobody
-- knows the end of.
CREATE INDEX attempts_msg_id_idx ON attempts (msg_id) WHERE msg_id <> 0;
CREATE INDEX attempts_doubt_idx ON attempts (at) WHERE msg_id = 0 AND outcome IN ('in_doubt', 'unsure');

-- The inbox: events that WeChat pushed, until they are applied. After that only
-- the key is of use, to know the same push when it comes again.
CREATE TABLE pushes (
	key         BLOB    PRIMARY KEY NOT NULL,
	app         TEXT    NOT NULL,
	kind        TEXT    NOT NULL,
	body        BLOB    NOT NULL,
	tries       INTEGER NOT NULL DEFAULT 0,
	received_at INTEGER NOT NULL,
	-- When it is handed out (again); null: it is done.
	due_at      INTEGER,

	CONSTRAINT pushes_key CHECK (length(key) = 32),
	CONSTRAINT pushes_kind CHECK (kind IN ('event', 'forward')),
	CONSTRAINT pushes_body CHECK ((due_at IS NULL) = (body = x''))
) STRICT;

CREATE INDEX pushes_due_idx ON pushes (kind, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX pushes_done_idx ON pushes (received_at) WHERE due_at IS NULL;

-- +goose Down
DROP TABLE pushes;
DROP INDEX attempts_doubt_idx;
DROP INDEX attempts_msg_id_idx;
DROP TABLE receipts;
