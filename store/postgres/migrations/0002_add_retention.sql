-- +goose Up

-- When data, page query and payload were blanked; null: they are as handed in.
-- A blanked notification cannot be sent again.
ALTER TABLE notifications
	ADD COLUMN data_blanked_at timestamptz,
	ADD CONSTRAINT notifications_blanked_is_final CHECK (data_blanked_at IS NULL OR finished_at IS NOT NULL);

COMMENT ON COLUMN notifications.data_blanked_at IS 'data, page query and payload were removed then; null: not yet';

-- What retention looks for. A finished notification is in exactly one of the
-- three, so settling one writes no more than one entry more: whose data is still
-- there, whose data is blanked, and dead letters, which keep their data to the
-- end because they may be replayed.
CREATE INDEX notifications_unblanked_idx ON notifications (finished_at)
	WHERE finished_at IS NOT NULL AND data_blanked_at IS NULL AND class <> 'fault';
CREATE INDEX notifications_blanked_idx ON notifications (finished_at) WHERE data_blanked_at IS NOT NULL;
CREATE INDEX notifications_fault_idx ON notifications (finished_at) WHERE class = 'fault';

-- +goose Down
DROP INDEX notifications_fault_idx;
DROP INDEX notifications_blanked_idx;
DROP INDEX notifications_unblanked_idx;
ALTER TABLE notifications
	DROP CONSTRAINT notifications_blanked_is_final,
	DROP COLUMN data_blanked_at;
