-- +goose Up

-- When a person took the dead letter out of view. A replay clears it, so that
-- the notification is seen again when it dies again; a late answer of WeChat
-- makes a discarded one sent and leaves it.
ALTER TABLE notifications
	ADD COLUMN discarded_at timestamptz,
	ADD CONSTRAINT notifications_discarded_is_final CHECK (discarded_at IS NULL OR finished_at IS NOT NULL);

COMMENT ON COLUMN notifications.discarded_at IS 'out of the view of dead letters since; null: in it, if it is one';

-- The dead letters that someone has to look at, whatever the number of those
-- that users refused.
CREATE INDEX notifications_letter_idx ON notifications (created_at, id) WHERE class = 'fault' AND discarded_at IS NULL;

-- What people did to notifications. Each verb can apply once in a generation,
-- which keeps a repeated statement from leaving two records.
CREATE TABLE actions (
	notification_id uuid        NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	generation      integer     NOT NULL,
	verb            text        NOT NULL,
	at              timestamptz NOT NULL,
	actor           text        NOT NULL,
	-- What the notification had died of; a replay takes it off the row.
	reason          text        NOT NULL,
	errcode         integer     NOT NULL,
	detail          text        NOT NULL,

	PRIMARY KEY (notification_id, generation, verb),
	CONSTRAINT actions_verb CHECK (verb IN ('replay', 'discard', 'settle_sent', 'settle_dead')),
	CONSTRAINT actions_actor CHECK (actor <> '')
);

-- +goose Down
DROP TABLE actions;
DROP INDEX notifications_letter_idx;
ALTER TABLE notifications
	DROP CONSTRAINT notifications_discarded_is_final,
	DROP COLUMN discarded_at;
