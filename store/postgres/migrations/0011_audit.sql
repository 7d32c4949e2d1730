-- +goose Up

-- What people did in the console, but for what they did to single notifications,
-- which is in actions.
CREATE TABLE audit (
	id      bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	at      timestamptz NOT NULL,
	actor   text        NOT NULL,
	verb    text        NOT NULL,
	subject text        NOT NULL,
	detail  text        NOT NULL,

	CONSTRAINT audit_verb CHECK (verb IN ('login', 'logout', 'lockout', 'pause', 'resume', 'resume_template',
		'replay_many', 'discard_many')),
	CONSTRAINT audit_actor CHECK (actor <> '')
);

CREATE INDEX audit_at_idx ON audit (at);
CREATE INDEX actions_at_idx ON actions (at);

-- Who is logged in to the console. A key is a hash of what the cookie holds.
CREATE TABLE console_sessions (
	key        bytea       PRIMARY KEY,
	user_name  text        NOT NULL,
	credential bytea       NOT NULL,
	created_at timestamptz NOT NULL,
	seen_at    timestamptz NOT NULL,

	CONSTRAINT console_sessions_key CHECK (octet_length(key) = 32 AND octet_length(credential) = 32)
);

-- +goose Down
DROP TABLE console_sessions;
DROP INDEX actions_at_idx;
DROP TABLE audit;
