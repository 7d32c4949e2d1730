-- +goose Up

-- The ledger of consents. What WeChat knows and tells nobody is kept here as well
-- as events tell of it. Rows change with every message that is sent, so pages keep
-- room for the next version.
CREATE TABLE consents (
	app           text        NOT NULL,
	open_id       text        NOT NULL,
	template_id   text        NOT NULL,
	-- Null: not known, which is not 0.
	balance       integer,
	long_term     boolean     NOT NULL DEFAULT false,
	refused_at    timestamptz,
	-- Both only grow. A claim notes them, so that its settlement can tell whether
	-- something else happened to the entry meanwhile.
	grants        bigint      NOT NULL DEFAULT 0,
	touches       bigint      NOT NULL DEFAULT 0,
	-- An acceptance from before emptied_at is worth nothing any more.
	emptied_at    timestamptz,
	emptied_touch bigint      NOT NULL DEFAULT 0,
	-- Messages that were sent although the balance was 0: an acceptance from before
	-- owed_at, told of late, is what they used.
	owed          integer     NOT NULL DEFAULT 0,
	owed_at       timestamptz,
	updated_at    timestamptz NOT NULL,

	PRIMARY KEY (app, open_id, template_id),
	CONSTRAINT consents_filled CHECK (app <> '' AND open_id <> '' AND template_id <> ''),
	CONSTRAINT consents_counters CHECK (balance >= 0 AND owed >= 0 AND touches >= grants AND grants >= 0)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

COMMENT ON COLUMN consents.balance IS 'messages of a one-time template that are left; null: not known';
COMMENT ON COLUMN consents.grants IS 'acceptances counted so far';
COMMENT ON COLUMN consents.touches IS 'changes, and attempts whose outcome is not known, so far';

-- The events of the last days: a repeat counts once, and the two sources that tell
-- of one answer count once together.
CREATE TABLE consent_events (
	app         text        NOT NULL,
	open_id     text        NOT NULL,
	template_id text        NOT NULL,
	source      text        NOT NULL,
	key         text        NOT NULL,
	answer      text        NOT NULL,
	long_term   boolean     NOT NULL,
	at          timestamptz NOT NULL,
	-- What touches of the entry was when it was counted; 0: it was not.
	touch       bigint      NOT NULL,
	paired      boolean     NOT NULL,
	seen_at     timestamptz NOT NULL,

	PRIMARY KEY (app, open_id, template_id, source, key),
	CONSTRAINT consent_events_source CHECK (source IN ('client', 'popup', 'change')),
	CONSTRAINT consent_events_answer CHECK (answer IN ('accept', 'reject', 'ban', 'filter'))
);

CREATE INDEX consent_events_seen_idx ON consent_events (seen_at);

ALTER TABLE notifications
	ADD COLUMN wait_us bigint NOT NULL DEFAULT 0,
	ADD COLUMN wait_until timestamptz,
	ADD COLUMN no_consent text NOT NULL DEFAULT 'send',
	ADD COLUMN release_order text NOT NULL DEFAULT 'newest',
	-- What the ledger said at the claim. Balance and touches stay those of the first
	-- attempt whose outcome is not known; a balance that is null was not known, or
	-- the consent was long-term.
	ADD COLUMN ledger_balance integer,
	ADD COLUMN ledger_touches bigint NOT NULL DEFAULT 0,
	ADD COLUMN ledger_grants bigint NOT NULL DEFAULT 0,
	ADD CONSTRAINT notifications_wait CHECK (wait_us >= 0),
	ADD CONSTRAINT notifications_no_consent CHECK (no_consent IN ('send', 'wait', 'dead')),
	ADD CONSTRAINT notifications_release_order CHECK (release_order IN ('newest', 'oldest'));

ALTER TABLE notifications ALTER COLUMN wait_until SET STATISTICS 0;

COMMENT ON COLUMN notifications.wait_until IS 'not waiting for a binding or a consent after; null: not at all';

-- What waits is in these and in no index that claims and settlements read. That
-- what waits has no handover_at goes without saying; the first two say it, so that
-- only those who walk through all that waits can choose them.
CREATE INDEX notifications_waiting_idx ON notifications (id) WHERE state = 'waiting' AND handover_at IS NULL;
CREATE INDEX notifications_wait_idx ON notifications (wait_until)
	WHERE state = 'waiting' AND handover_at IS NULL AND reason IN ('unbound', 'no_consent');
CREATE INDEX notifications_no_consent_idx ON notifications (app, address, template_id, priority, created_at, id)
	WHERE state = 'waiting' AND reason = 'no_consent';
-- As before, each without those that its question is not about: among 100,000 that
-- wait one index would pass for the other.
DROP INDEX notifications_waiting_template_idx;
DROP INDEX notifications_waiting_user_idx;
CREATE INDEX notifications_waiting_template_idx ON notifications (app, template_id)
	WHERE state = 'waiting' AND reason = 'template_paused';
CREATE INDEX notifications_waiting_user_idx ON notifications (app, user_id) WHERE state = 'waiting' AND user_id <> '';

-- +goose Down
DROP INDEX notifications_waiting_user_idx;
DROP INDEX notifications_waiting_template_idx;
CREATE INDEX notifications_waiting_template_idx ON notifications (app, template_id) WHERE state = 'waiting';
CREATE INDEX notifications_waiting_user_idx ON notifications (app, user_id) WHERE state = 'waiting';
DROP INDEX notifications_no_consent_idx;
DROP INDEX notifications_wait_idx;
DROP INDEX notifications_waiting_idx;
ALTER TABLE notifications
	DROP CONSTRAINT notifications_release_order,
	DROP CONSTRAINT notifications_no_consent,
	DROP CONSTRAINT notifications_wait,
	DROP COLUMN ledger_grants,
	DROP COLUMN ledger_touches,
	DROP COLUMN ledger_balance,
	DROP COLUMN release_order,
	DROP COLUMN no_consent,
	DROP COLUMN wait_until,
	DROP COLUMN wait_us;
DROP TABLE consent_events;
DROP TABLE consents;
