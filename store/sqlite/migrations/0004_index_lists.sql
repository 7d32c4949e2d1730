-- +goose Up

-- Each list that people ask for goes through an index that has it in order, so
-- that its first page takes as long among ten million rows as among ten thousand,
-- also when nothing is found. Indexes of what did not simply end well hold a few
-- per cent of the rows.
CREATE INDEX notifications_app_idx ON notifications (app, created_at, id);
CREATE INDEX notifications_state_idx ON notifications (state, created_at, id) WHERE state <> 'sent';
CREATE INDEX notifications_errcode_idx ON notifications (errcode, created_at, id) WHERE errcode <> 0;
CREATE INDEX notifications_reason_idx ON notifications (reason, created_at, id) WHERE reason <> '';
CREATE INDEX notifications_fault_created_idx ON notifications (created_at, id) WHERE class = 'fault';
-- The same rule as before, in the order that also finds a ref of any producer.
CREATE UNIQUE INDEX notifications_ref_producer_key ON notifications (ref, producer) WHERE ref <> '';

-- What those take the place of.
DROP INDEX notifications_app_state_idx;
DROP INDEX notifications_dead_idx;
DROP INDEX notifications_producer_ref_key;

-- +goose Down
CREATE UNIQUE INDEX notifications_producer_ref_key ON notifications (producer, ref) WHERE ref <> '';
CREATE INDEX notifications_dead_idx ON notifications (created_at, id) WHERE state = 'dead';
CREATE INDEX notifications_app_state_idx ON notifications (app, state);
DROP INDEX notifications_ref_producer_key;
DROP INDEX notifications_fault_created_idx;
DROP INDEX notifications_reason_idx;
DROP INDEX notifications_errcode_idx;
DROP INDEX notifications_state_idx;
DROP INDEX notifications_app_idx;
