-- +goose NO TRANSACTION
-- +goose Up

-- A notification that is put off until its template's quiet hours are over says
-- so. Every row satisfies the wider rule, so the table is locked for a moment
-- only: the rows are read afterwards, beside whoever writes. Who waits for the
-- lock makes everybody wait: behind a dump or a long report it gives up, and the
-- migration can be run again.
SET lock_timeout = '5s';
ALTER TABLE notifications
	DROP CONSTRAINT IF EXISTS notifications_reason,
	ADD CONSTRAINT notifications_reason CHECK (reason IN
		('', 'in_doubt', 'attempts_spent', 'not_subscribed', 'unbound', 'no_consent', 'template', 'template_paused',
		 'page', 'bad_address', 'rejected', 'unknown_errcode', 'malformed', 'unknown_type', 'unknown_app',
		 'row_missing', 'too_old', 'task_deadline', 'only_to', 'erased', 'by_admin', 'quiet_hours')) NOT VALID;
RESET lock_timeout;
ALTER TABLE notifications VALIDATE CONSTRAINT notifications_reason;

-- +goose Down
UPDATE notifications SET reason = '' WHERE reason = 'quiet_hours';
ALTER TABLE notifications
	DROP CONSTRAINT IF EXISTS notifications_reason,
	ADD CONSTRAINT notifications_reason CHECK (reason IN
		('', 'in_doubt', 'attempts_spent', 'not_subscribed', 'unbound', 'no_consent', 'template', 'template_paused',
		 'page', 'bad_address', 'rejected', 'unknown_errcode', 'malformed', 'unknown_type', 'unknown_app',
		 'row_missing', 'too_old', 'task_deadline', 'only_to', 'erased', 'by_admin')) NOT VALID;
ALTER TABLE notifications VALIDATE CONSTRAINT notifications_reason;
