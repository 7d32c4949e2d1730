-- +goose Up

-- What WeChat listed at the last sync that found the template.
CREATE TABLE templates (
	app         text        NOT NULL,
	template_id text        NOT NULL,
	title       text        NOT NULL,
	content     text        NOT NULL,
	example     text        NOT NULL,
	type        integer     NOT NULL,
	-- [{"key","label","values"}] in the order of content. json, not jsonb: it keeps
	-- the text as it was.
	keys        json        NOT NULL,
	synced_at   timestamptz NOT NULL,
	gone_at     timestamptz,

	PRIMARY KEY (app, template_id),
	CONSTRAINT templates_filled CHECK (app <> '' AND template_id <> '')
);

COMMENT ON COLUMN templates.gone_at IS 'of the first sync that did not find it any more; null: it is there';

-- How the syncs of an app went, and when the next may begin by itself.
CREATE TABLE template_syncs (
	app       text        PRIMARY KEY,
	tried_at  timestamptz NOT NULL,
	next_at   timestamptz NOT NULL,
	synced_at timestamptz,
	errcode   integer     NOT NULL DEFAULT 0,
	problem   text        NOT NULL DEFAULT '',

	CONSTRAINT template_syncs_filled CHECK (app <> '')
);

-- +goose Down
DROP TABLE template_syncs;
DROP TABLE templates;
