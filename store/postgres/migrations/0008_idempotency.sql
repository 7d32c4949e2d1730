-- +goose Up

-- Requests that came with an Idempotency-Key, for as long as the key counts.
CREATE TABLE request_keys (
	producer    text        NOT NULL,
	key         text        NOT NULL,
	hash        bytea       NOT NULL,
	-- What the ids of the notifications are made from, so that whoever goes on
	-- with the request after a crash makes the same ones.
	seed        uuid        NOT NULL,
	owner       uuid        NOT NULL,
	lease_until timestamptz NOT NULL,
	created_at  timestamptz NOT NULL,
	-- The answer; 0 while there is none.
	status      integer     NOT NULL DEFAULT 0,
	location    text        NOT NULL DEFAULT '',
	answer      bytea       NOT NULL DEFAULT '',

	PRIMARY KEY (producer, key),
	CONSTRAINT request_keys_key CHECK (key <> '')
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX request_keys_created_idx ON request_keys (created_at);

ALTER TABLE actions
	DROP CONSTRAINT actions_verb,
	ADD CONSTRAINT actions_verb CHECK (verb IN ('replay', 'discard', 'settle_sent', 'settle_dead', 'cancel'));

-- +goose Down
DELETE FROM actions WHERE verb = 'cancel';
ALTER TABLE actions
	DROP CONSTRAINT actions_verb,
	ADD CONSTRAINT actions_verb CHECK (verb IN ('replay', 'discard', 'settle_sent', 'settle_dead'));
DROP TABLE request_keys;
