-- +goose Up

-- A notification that is put off until its template's quiet hours are over says
-- so. SQLite cannot change a CHECK but in the text of the schema, which is what
-- its manual advises where no row can be in the way (lang_altertable.html, 7);
-- a copy of the table would take minutes, and take its children along.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, '''erased'', ''by_admin'')', '''erased'', ''by_admin'', ''quiet_hours'')')
WHERE type = 'table' AND name = 'notifications';
-- Any change that SQLite itself makes tells every connection to read the schema
-- anew.
DROP INDEX notifications_reason_idx;
PRAGMA writable_schema = RESET;
CREATE INDEX notifications_reason_idx ON notifications (reason, created_at, id) WHERE reason <> '';

-- +goose Down
UPDATE notifications SET reason = '' WHERE reason = 'quiet_hours';
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, '''erased'', ''by_admin'', ''quiet_hours'')', '''erased'', ''by_admin'')')
WHERE type = 'table' AND name = 'notifications';
DROP INDEX notifications_reason_idx;
PRAGMA writable_schema = RESET;
CREATE INDEX notifications_reason_idx ON notifications (reason, created_at, id) WHERE reason <> '';
