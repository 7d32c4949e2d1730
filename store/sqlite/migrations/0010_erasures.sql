-- +goose Up

-- Notifications of erased users of which something is left to erase: those that
-- are being sent or in doubt, and those whose tasks may still be in Redis. It
-- names no user. No foreign key: a raw task that a worker has taken may get its
-- row later.
CREATE TABLE erasures (
	notification_id BLOB    PRIMARY KEY NOT NULL,
	since           INTEGER NOT NULL
) STRICT;

-- +goose Down
DROP TABLE erasures;
