-- +goose Up

-- Which events of a notification its producer is told of: bit i stands for the
-- i-th of store.WebhookEvents.
ALTER TABLE notifications ADD COLUMN webhook INTEGER NOT NULL DEFAULT 0
	CONSTRAINT notifications_webhook CHECK (webhook >= 0 AND webhook < 32);

-- What producers are still to be told. A row holds the event as it was when it
-- happened and goes when the producer has taken it, or when it is given up.
CREATE TABLE webhook_deliveries (
	id              BLOB    PRIMARY KEY NOT NULL,
	producer        TEXT    NOT NULL,
	event           TEXT    NOT NULL,
	at              INTEGER NOT NULL,
	notification_id BLOB    NOT NULL,
	ref             TEXT    NOT NULL,
	template_id     TEXT    NOT NULL,
	state           TEXT    NOT NULL,
	reason          TEXT    NOT NULL,
	errcode         INTEGER NOT NULL,
	due_at          INTEGER NOT NULL,
	tries           INTEGER NOT NULL DEFAULT 0,

	CONSTRAINT webhook_deliveries_event CHECK (event IN ('notification.sent', 'notification.failed',
		'notification.refused', 'notification.expired', 'notification.receipt_failed'))
) STRICT;

CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (producer, due_at);
CREATE INDEX webhook_deliveries_at_idx ON webhook_deliveries (at);

-- Triggers, because there are a dozen statements that end a notification, and one
-- that forgot the producer would not be noticed. updated_at is the time of the
-- change, by the clock that all times in this file are by.
-- +goose StatementBegin
CREATE TRIGGER notifications_webhook_end AFTER UPDATE OF state ON notifications FOR EACH ROW
	WHEN NEW.webhook <> 0 AND NEW.state <> OLD.state AND NEW.webhook & CASE
		WHEN NEW.state = 'sent' THEN 1
		WHEN NEW.state = 'dead' AND NEW.class = 'fault' THEN 2
		WHEN NEW.state = 'dead' THEN 4
		WHEN NEW.state = 'expired' THEN 8
		ELSE 0 END <> 0
BEGIN
	INSERT INTO webhook_deliveries (id, producer, event, at, notification_id, ref, template_id, state, reason, errcode, due_at)
	VALUES (randomblob(16), NEW.producer,
		CASE
			WHEN NEW.state = 'sent' THEN 'notification.sent'
			WHEN NEW.state = 'expired' THEN 'notification.expired'
			WHEN NEW.class = 'refused' THEN 'notification.refused'
			ELSE 'notification.failed'
		END,
		NEW.updated_at, NEW.id, NEW.ref, NEW.template_id, NEW.state, NEW.reason, NEW.errcode, NEW.updated_at);
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER notifications_webhook_receipt AFTER UPDATE OF receipt ON notifications FOR EACH ROW
	WHEN NEW.webhook & 16 <> 0 AND NEW.receipt = 'failed' AND OLD.receipt <> 'failed'
BEGIN
	INSERT INTO webhook_deliveries (id, producer, event, at, notification_id, ref, template_id, state, reason, errcode, due_at)
	VALUES (randomblob(16), NEW.producer, 'notification.receipt_failed',
		NEW.updated_at, NEW.id, NEW.ref, NEW.template_id, NEW.state, NEW.reason, NEW.errcode, NEW.updated_at);
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER notifications_webhook_receipt;
DROP TRIGGER notifications_webhook_end;
DROP TABLE webhook_deliveries;
ALTER TABLE notifications DROP COLUMN webhook;
