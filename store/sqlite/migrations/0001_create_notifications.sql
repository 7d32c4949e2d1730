-- +goose Up

-- Ids are the 16 bytes of the UUID, which sort as the UUID does; times are whole
-- microseconds since 1970 by the clock of the one process that has the file.
CREATE TABLE notifications (
	id                BLOB    PRIMARY KEY NOT NULL,
	app               TEXT    NOT NULL,
	producer          TEXT    NOT NULL,
	ref               TEXT    NOT NULL,
	content_hash      BLOB    NOT NULL,
	template_id       TEXT    NOT NULL,
	page              TEXT    NOT NULL,
	user_id           TEXT    NOT NULL,
	open_id           TEXT    NOT NULL,
	data              TEXT    NOT NULL,
	lang              TEXT    NOT NULL,
	miniprogram_state TEXT    NOT NULL,
	priority          TEXT    NOT NULL,
	duplicates        TEXT    NOT NULL,
	payload           BLOB    NOT NULL,
	queue             TEXT    NOT NULL,
	state             TEXT    NOT NULL,
	class             TEXT    NOT NULL,
	reason            TEXT    NOT NULL,
	errcode           INTEGER NOT NULL DEFAULT 0,
	errmsg            TEXT    NOT NULL DEFAULT '',
	field             TEXT    NOT NULL DEFAULT '',
	assumed           INTEGER NOT NULL DEFAULT 0,
	receipt           TEXT    NOT NULL,
	msg_id            INTEGER NOT NULL DEFAULT 0,
	seq               INTEGER NOT NULL DEFAULT 0,
	generation        INTEGER NOT NULL,
	spent             INTEGER NOT NULL DEFAULT 0,
	doubts            INTEGER NOT NULL DEFAULT 0,
	unsure            INTEGER NOT NULL DEFAULT 0,
	owner             BLOB,
	-- The openid of the last claim: what a repeated claim answers, and which
	-- binding a settlement may call suspect even after the user was bound anew.
	address           TEXT    NOT NULL DEFAULT '',
	lease_until       INTEGER,
	due_at            INTEGER NOT NULL,
	expires_at        INTEGER NOT NULL,
	handover_at       INTEGER,
	created_at        INTEGER NOT NULL,
	updated_at        INTEGER NOT NULL,
	finished_at       INTEGER,

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
) STRICT;


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
	notification_id BLOB    NOT NULL REFERENCES notifications (id) ON DELETE CASCADE,
	n               INTEGER NOT NULL,
	at              INTEGER NOT NULL,
	latency_us      INTEGER NOT NULL,
	errcode         INTEGER NOT NULL,
	errmsg          TEXT    NOT NULL,
	rid             TEXT    NOT NULL,
	msg_id          INTEGER NOT NULL,
	outcome         TEXT    NOT NULL,

	PRIMARY KEY (notification_id, n),
	CONSTRAINT attempts_n CHECK (n > 0),
	CONSTRAINT attempts_latency CHECK (latency_us >= 0),
	CONSTRAINT attempts_outcome CHECK (outcome <> '')
) STRICT;

CREATE TABLE bindings (
	app        TEXT    NOT NULL,
	user_id    TEXT    NOT NULL,
	open_id    TEXT    NOT NULL,
	union_id   TEXT    NOT NULL,
	suspect    INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,

	PRIMARY KEY (app, user_id),
	CONSTRAINT bindings_open_id_key UNIQUE (app, open_id),
	CONSTRAINT bindings_filled CHECK (app <> '' AND user_id <> '' AND open_id <> '')
) STRICT;

CREATE INDEX bindings_user_idx ON bindings (user_id);

CREATE TABLE template_pauses (
	app         TEXT    NOT NULL,
	template_id TEXT    NOT NULL,
	errcode     INTEGER NOT NULL,
	reason      TEXT    NOT NULL,
	since       INTEGER NOT NULL,

	PRIMARY KEY (app, template_id),
	CONSTRAINT template_pauses_reason CHECK (reason <> '')
) STRICT;

-- When WeChat last pushed a verified event for an app.
CREATE TABLE app_pushes (
	app       TEXT    PRIMARY KEY NOT NULL,
	pushed_at INTEGER NOT NULL
) STRICT;

-- The mark that must also be found in Redis; one row.
CREATE TABLE relay_marks (
	single  INTEGER PRIMARY KEY DEFAULT 1,
	id      BLOB    NOT NULL,
	counter INTEGER NOT NULL,

	CONSTRAINT relay_marks_single CHECK (single)
) STRICT;

-- +goose Down
DROP TABLE relay_marks;
DROP TABLE app_pushes;
DROP TABLE template_pauses;
DROP TABLE bindings;
DROP TABLE attempts;
DROP TABLE notifications;
