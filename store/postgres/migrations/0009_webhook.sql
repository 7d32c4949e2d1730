-- +goose Up

-- Which events of a notification its producer is told of: bit i stands for the
-- i-th of store.WebhookEvents.
ALTER TABLE notifications
	ADD COLUMN webhook smallint NOT NULL DEFAULT 0,
	ADD CONSTRAINT notifications_webhook CHECK (webhook >= 0 AND webhook < 32);

COMMENT ON COLUMN notifications.webhook IS 'events that the producer is told of, as bits; 0: none';

-- What producers are still to be told. A row holds the event as it was when it
-- happened and goes when the producer has taken it, or when it is given up.
CREATE TABLE webhook_deliveries (
	id              uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
	producer        text        NOT NULL,
	event           text        NOT NULL,
	at              timestamptz NOT NULL,
	notification_id uuid        NOT NULL,
	ref             text        NOT NULL,
	template_id     text        NOT NULL,
	state           text        NOT NULL,
	reason          text        NOT NULL,
	errcode         integer     NOT NULL,
	due_at          timestamptz NOT NULL,
	tries           integer     NOT NULL DEFAULT 0,

	CONSTRAINT webhook_deliveries_event CHECK (event IN ('notification.sent', 'notification.failed',
		'notification.refused', 'notification.expired', 'notification.receipt_failed'))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (producer, due_at);
CREATE INDEX webhook_deliveries_at_idx ON webhook_deliveries (at);

-- Triggers, because there are a dozen statements that end a notification, and one
-- that forgot the producer would not be noticed. Their conditions are looked at
-- before anything is called: notifications without a webhook pay nothing.
-- +goose StatementBegin
CREATE FUNCTION note_webhook_event() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
	INSERT INTO webhook_deliveries (producer, event, at, notification_id, ref, template_id, state, reason, errcode, due_at)
	VALUES (NEW.producer,
		CASE
			WHEN TG_ARGV[0] = 'receipt' THEN 'notification.receipt_failed'
			WHEN NEW.state = 'sent' THEN 'notification.sent'
			WHEN NEW.state = 'expired' THEN 'notification.expired'
			WHEN NEW.class = 'refused' THEN 'notification.refused'
			ELSE 'notification.failed'
		END,
		now(), NEW.id, NEW.ref, NEW.template_id, NEW.state, NEW.reason, NEW.errcode, now());
	RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER notifications_webhook_end AFTER UPDATE OF state ON notifications FOR EACH ROW
	WHEN (NEW.webhook <> 0 AND NEW.state <> OLD.state AND NEW.webhook & CASE
		WHEN NEW.state = 'sent' THEN 1
		WHEN NEW.state = 'dead' AND NEW.class = 'fault' THEN 2
		WHEN NEW.state = 'dead' THEN 4
		WHEN NEW.state = 'expired' THEN 8
		ELSE 0 END <> 0)
	EXECUTE FUNCTION note_webhook_event('end');

CREATE TRIGGER notifications_webhook_receipt AFTER UPDATE OF receipt ON notifications FOR EACH ROW
	WHEN (NEW.webhook & 16 <> 0 AND NEW.receipt = 'failed' AND OLD.receipt <> 'failed')
	EXECUTE FUNCTION note_webhook_event('receipt');

-- +goose Down
DROP TRIGGER notifications_webhook_receipt ON notifications;
DROP TRIGGER notifications_webhook_end ON notifications;
DROP FUNCTION note_webhook_event();
DROP TABLE webhook_deliveries;
ALTER TABLE notifications
	DROP CONSTRAINT notifications_webhook,
	DROP COLUMN webhook;
