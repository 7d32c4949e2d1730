-- +goose Up

-- The ledger of consents: see the migration of the same name for PostgreSQL.
CREATE TABLE consents (
	app           TEXT    NOT NULL,
	open_id       TEXT    NOT NULL,
	template_id   TEXT    NOT NULL,
	-- Null: not known, which is not 0.
	balance       INTEGER,
	long_term     INTEGER NOT NULL DEFAULT 0,
	refused_at    INTEGER,
	-- Both only grow. A claim notes them, so that its settlement can tell whether
	-- something else happened to the entry meanwhile.
	grants        INTEGER NOT NULL DEFAULT 0,
	touches       INTEGER NOT NULL DEFAULT 0,
	-- An acceptance from before emptied_at is worth nothing any more.
	emptied_at    INTEGER,
	emptied_touch INTEGER NOT NULL DEFAULT 0,
	-- Messages that were sent although the balance was 0: an acceptance from before
	-- owed_at, told of late, is what they used.
	owed          INTEGER NOT NULL DEFAULT 0,
	owed_at       INTEGER,
	updated_at    INTEGER NOT NULL,

	PRIMARY KEY (app, open_id, template_id),
	CONSTRAINT consents_filled CHECK (app <> '' AND open_id <> '' AND template_id <> ''),
	CONSTRAINT consents_counters CHECK (balance >= 0 AND owed >= 0 AND touches >= grants AND grants >= 0)
) STRICT;

-- The events of the last days: a repeat counts once, and the two sources that tell
-- of one answer count once together.
CREATE TABLE consent_events (
	app         TEXT    NOT NULL,
	open_id     TEXT    NOT NULL,
	template_id TEXT    NOT NULL,
	source      TEXT    NOT NULL,
	key         TEXT    NOT NULL,
	answer      TEXT    NOT NULL,
	long_term   INTEGER NOT NULL,
	at          INTEGER NOT NULL,
	-- What touches of the entry was when it was counted; 0: it was not.
	touch       INTEGER NOT NULL,
	paired      INTEGER NOT NULL,
	seen_at     INTEGER NOT NULL,

	PRIMARY KEY (app, open_id, template_id, source, key),
	CONSTRAINT consent_events_source CHECK (source IN ('client', 'popup', 'change')),
	CONSTRAINT consent_events_answer CHECK (answer IN ('accept', 'reject', 'ban', 'filter'))
) STRICT;

CREATE INDEX consent_events_seen_idx ON consent_events (seen_at);

ALTER TABLE notifications ADD COLUMN wait_us INTEGER NOT NULL DEFAULT 0
	CONSTRAINT notifications_wait CHECK (wait_us >= 0);
ALTER TABLE notifications ADD COLUMN wait_until INTEGER;
ALTER TABLE notifications ADD COLUMN no_consent TEXT NOT NULL DEFAULT 'send'
	CONSTRAINT notifications_no_consent CHECK (no_consent IN ('send', 'wait', 'dead'));
ALTER TABLE notifications ADD COLUMN release_order TEXT NOT NULL DEFAULT 'newest'
	CONSTRAINT notifications_release_order CHECK (release_order IN ('newest', 'oldest'));
-- What the ledger said at the claim. Balance and touches stay those of the first
-- attempt whose outcome is not known; a balance that is null was not known, or the
-- consent was long-term.
ALTER TABLE notifications ADD COLUMN ledger_balance INTEGER;
ALTER TABLE notifications ADD COLUMN ledger_touches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE notifications ADD COLUMN ledger_grants INTEGER NOT NULL DEFAULT 0;

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
ALTER TABLE notifications DROP COLUMN ledger_grants;
ALTER TABLE notifications DROP COLUMN ledger_touches;
ALTER TABLE notifications DROP COLUMN ledger_balance;
ALTER TABLE notifications DROP COLUMN release_order;
ALTER TABLE notifications DROP COLUMN no_consent;
ALTER TABLE notifications DROP COLUMN wait_until;
ALTER TABLE notifications DROP COLUMN wait_us;
DROP TABLE consent_events;
DROP TABLE consents;
