-- +goose Up

-- What nobody has put on the queue, apart from what was put there and not seen
-- there since: among a million of those, one of these is found at once. It holds
-- the few that are left to the relay, until it has handed them over. Writers wait
-- while the table is read, 0.3 s for a million rows in memory. Who waits for the
-- lock makes everybody wait: behind a dump or a long report it gives up, and the
-- migration can be run again.
SET LOCAL lock_timeout = '5s';
CREATE INDEX notifications_unqueued_idx ON notifications (priority, due_at) WHERE handover_at <= due_at;

-- +goose Down
DROP INDEX notifications_unqueued_idx;
