-- +goose Up

-- One row per notification. Every settled message writes its row twice after
-- the insert (claim, settlement), so pages keep room for the next version and
-- vacuum comes early: the default of 20 % would let ten million rows rot.
CREATE TABLE notifications (
	id                uuid        PRIMARY KEY,
	app               text        NOT NULL,
	producer          text        NOT NULL,
	ref               text        NOT NULL,
	content_hash      bytea       NOT NULL,
	template_id       text        NOT NULL,
	page              text        NOT NULL,
	user_id           text        NOT NULL,
	open_id           text        NOT NULL,
	-- json, not jsonb: it keeps the text exactly as it was handed in.
	data              json        NOT NULL,
	lang              text        NOT NULL,
	miniprogram_state text        NOT NULL,
	priority          text        NOT NULL,
	duplicates        text        NOT NULL,
	payload           bytea       NOT NULL,
	queue             text        NOT NULL,
	state             text        NOT NULL,
	class             text        NOT NULL,
	reason            text        NOT NULL,
	errcode           integer     NOT NULL DEFAULT 0,
	errmsg            text        NOT NULL DEFAULT '',
	field             text        NOT NULL DEFAULT '',
	assumed           boolean     NOT NULL DEFAULT false,
	receipt           text        NOT NULL,
	msg_id            bigint      NOT NULL DEFAULT 0,
	seq               integer     NOT NULL DEFAULT 0,
	generation        integer     NOT NULL,
	spent             integer     NOT NULL DEFAULT 0,
	doubts            integer     NOT NULL DEFAULT 0,
	unsure            integer     NOT NULL DEFAULT 0,
	owner             uuid,
	-- The openid of the last claim: what a repeated claim answers, and which
	-- binding a settlement may call suspect even after the user was bound anew.
	address           text        NOT NULL DEFAULT '',
	lease_until       timestamptz,
	due_at            timestamptz NOT NULL,
	expires_at        timestamptz NOT NULL,
	handover_at       timestamptz,
	created_at        timestamptz NOT NULL,
	updated_at        timestamptz NOT NULL,
	finished_at       timestamptz,

	CONSTRAINT notifications_state CHECK (state IN
		('queued', 'sending', 'retrying', 'in_doubt', 'waiting', 'sent', 'dead', 'expired', 'cancelled')),
	CONSTRAINT notifications_class CHECK (class IN ('', 'fault', 'refused')),
	CONSTRAINT notifications_dead_has_class CHECK ((class <> '') = (state = 'dead')),
	CONSTRAINT notifications_reason CHECK (reason IN
		('', 'in_doubt', 'attempts_spent', 'not_subscribed', 'unbound', 'no_consent', 'template', 'template_paused',
		 'page', 'bad_address', 'rejected', 'unknown_errcode', 'malformed', 'unknown_type', 'unknown_app',
		 'row_missing', 'too_old', 'task_deadline', 'only_to', 'erased', 'by_admin')),
	CONSTRAINT notifications_end_has_reason CHECK (reason <> '' OR state NOT IN ('waiting', 'dead', 'expired', 'cancelled')),
	CONSTRAINT notifications_receipt CHECK (receipt IN ('none', 'ok', 'failed')),
	CONSTRAINT notifications_priority CHECK (priority IN ('critical', 'default', 'low')),
	CONSTRAINT notifications_duplicates CHECK (duplicates IN ('allow', 'avoid')),
	CONSTRAINT notifications_miniprogram_state CHECK (miniprogram_state IN ('', 'developer', 'trial', 'formal')),
	CONSTRAINT notifications_addressee CHECK (user_id = '' OR open_id = ''),
	CONSTRAINT notifications_counters CHECK (seq >= 0 AND generation >= 0 AND spent >= 0 AND doubts >= 0 AND unsure >= 0),
	CONSTRAINT notifications_assumed_sent CHECK (NOT assumed OR state = 'sent'),
	CONSTRAINT notifications_owner_iff_sending CHECK ((owner IS NOT NULL) = (state = 'sending')),
	CONSTRAINT notifications_lease_iff_sending CHECK ((lease_until IS NOT NULL) = (state = 'sending')),
	CONSTRAINT notifications_handover_open CHECK (handover_at IS NULL OR state IN ('queued', 'retrying')),
	CONSTRAINT notifications_finished_iff_final CHECK
		((finished_at IS NOT NULL) = (state IN ('sent', 'dead', 'expired', 'cancelled')))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

-- What these columns hold changes within minutes, so statistics about them are
-- always of another time: taken when nothing is queued, they make the planner
-- read everything that is queued to find one row. Without statistics it assumes
-- a fixed share.
ALTER TABLE notifications
	ALTER COLUMN state SET STATISTICS 0,
	ALTER COLUMN due_at SET STATISTICS 0,
	ALTER COLUMN expires_at SET STATISTICS 0,
	ALTER COLUMN lease_until SET STATISTICS 0,
	ALTER COLUMN handover_at SET STATISTICS 0;

COMMENT ON COLUMN notifications.seq IS 'claims so far; only grows; fences a settlement';
COMMENT ON COLUMN notifications.generation IS 'of the delivery on the queue; part of the TaskID';
COMMENT ON COLUMN notifications.address IS 'openid of the last claim';
COMMENT ON COLUMN notifications.handover_at IS 'when Relay puts the task on the queue; null: it is there';

CREATE UNIQUE INDEX notifications_producer_ref_key ON notifications (producer, ref) WHERE ref <> '';

-- Relay's questions. Each index holds only the rows that its question is about.
CREATE INDEX notifications_handover_idx ON notifications (priority, due_at, handover_at) WHERE handover_at IS NOT NULL;
CREATE INDEX notifications_lease_idx ON notifications (lease_until) WHERE state = 'sending';
CREATE INDEX notifications_doubt_idx ON notifications (due_at) WHERE state = 'in_doubt';
CREATE INDEX notifications_expiry_idx ON notifications (expires_at) WHERE state IN ('queued', 'retrying', 'waiting');
CREATE INDEX notifications_open_idx ON notifications (id) WHERE state IN ('queued', 'retrying');
CREATE INDEX notifications_waiting_template_idx ON notifications (app, template_id) WHERE state = 'waiting';
CREATE INDEX notifications_waiting_user_idx ON notifications (app, user_id) WHERE state = 'waiting';

-- People's questions.
CREATE INDEX notifications_created_idx ON notifications (created_at, id);
CREATE INDEX notifications_user_idx ON notifications (user_id, created_at, id) WHERE user_id <> '';
CREATE INDEX notifications_openid_idx ON notifications (open_id, created_at, id) WHERE open_id <> '';
CREATE INDEX notifications_template_idx ON notifications (template_id, created_at, id);
CREATE INDEX notifications_dead_idx ON notifications (created_at, id) WHERE state = 'dead';
CREATE INDEX notifications_app_state_idx ON notifications (app, state);

CREATE TABLE attempts (
	notification_id uuid        NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	n               integer     NOT NULL,
	at              timestamptz NOT NULL,
	latency_us      bigint      NOT NULL,
	errcode         integer     NOT NULL,
	errmsg          text        NOT NULL,
	rid             text        NOT NULL,
	msg_id          bigint      NOT NULL,
	outcome         text        NOT NULL,

	PRIMARY KEY (notification_id, n),
	CONSTRAINT attempts_n CHECK (n > 0),
	CONSTRAINT attempts_latency CHECK (latency_us >= 0),
	CONSTRAINT attempts_outcome CHECK (outcome <> '')
) WITH (autovacuum_vacuum_scale_factor = 0.05);

CREATE TABLE bindings (
	app        text        NOT NULL,
	user_id    text        NOT NULL,
	open_id    text        NOT NULL,
	union_id   text        NOT NULL,
	suspect    boolean     NOT NULL,
	updated_at timestamptz NOT NULL,

	PRIMARY KEY (app, user_id),
	CONSTRAINT bindings_open_id_key UNIQUE (app, open_id),
	CONSTRAINT bindings_filled CHECK (app <> '' AND user_id <> '' AND open_id <> '')
) WITH (fillfactor = 90);

CREATE INDEX bindings_user_idx ON bindings (user_id);

CREATE TABLE template_pauses (
	app         text        NOT NULL,
	template_id text        NOT NULL,
	errcode     integer     NOT NULL,
	reason      text        NOT NULL,
	since       timestamptz NOT NULL,

	PRIMARY KEY (app, template_id),
	CONSTRAINT template_pauses_reason CHECK (reason <> '')
);

-- When WeChat last pushed a verified event for an app.
CREATE TABLE app_pushes (
	app       text        PRIMARY KEY,
	pushed_at timestamptz NOT NULL
);

-- The mark that must also be found in Redis; one row.
CREATE TABLE relay_marks (
	single  boolean PRIMARY KEY DEFAULT true,
	id      uuid    NOT NULL,
	counter bigint  NOT NULL,

	CONSTRAINT relay_marks_single CHECK (single)
);

-- +goose Down
DROP TABLE relay_marks;
DROP TABLE app_pushes;
DROP TABLE template_pauses;
DROP TABLE bindings;
DROP TABLE attempts;
DROP TABLE notifications;
