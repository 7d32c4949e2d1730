-- +goose Up

-- When a person took the dead letter out of view. A replay clears it, so that
-- the notification is seen again when it dies again; a late answer of WeChat
-- makes a discarded one sent and leaves it.
ALTER TABLE notifications ADD COLUMN discarded_at INTEGER
	CONSTRAINT notifications_discarded_is_final CHECK (discarded_at IS NULL OR finished_at IS NOT NULL);

-- The dead letters that someone has to look at, whatever the number of those
-- that users refused.
CREATE INDEX notifications_letter_idx ON notifications (created_at, id) WHERE class = 'fault' AND discarded_at IS NULL;

-- What people did to notifications. Each verb can apply once in a generation,
-- which keeps a repeated statement from leaving two records.
CREATE TABLE actions (
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
	CONSTRAINT actions_verb CHECK (verb IN ('replay', 'discard', 'settle_sent', 'settle_dead')),
	CONSTRAINT actions_actor CHECK (actor <> '')
) STRICT;

-- +goose Down
DROP TABLE actions;
DROP INDEX notifications_letter_idx;
ALTER TABLE notifications DROP COLUMN discarded_at;
