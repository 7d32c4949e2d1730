-- +goose Up

-- What people did in the console, but for what they did to single notifications,
-- which is in actions.
CREATE TABLE audit (
	id      INTEGER PRIMARY KEY AUTOINCREMENT,
	at      INTEGER NOT NULL,
	actor   TEXT    NOT NULL,
	verb    TEXT    NOT NULL,
	subject TEXT    NOT NULL,
	detail  TEXT    NOT NULL,

	CONSTRAINT audit_verb CHECK (verb IN ('login', 'logout', 'lockout', 'pause', 'resume', 'resume_template',
		'replay_many', 'discard_many')),
	CONSTRAINT audit_actor CHECK (actor <> '')
) STRICT;

CREATE INDEX audit_at_idx ON audit (at);
CREATE INDEX actions_at_idx ON actions (at);

-- Who is logged in to the console. A key is a hash of what the cookie holds.
CREATE TABLE console_sessions (
	key        BLOB    PRIMARY KEY,
	user_name  TEXT    NOT NULL,
	credential BLOB    NOT NULL,
	created_at INTEGER NOT NULL,
	seen_at    INTEGER NOT NULL,

	CONSTRAINT console_sessions_key CHECK (length(key) = 32 AND length(credential) = 32)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE console_sessions;
DROP INDEX actions_at_idx;
DROP TABLE audit;
