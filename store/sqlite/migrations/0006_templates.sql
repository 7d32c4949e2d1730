-- +goose Up

-- What WeChat listed at the last sync that found the template.
CREATE TABLE templates (
	app         TEXT    NOT NULL,
	template_id TEXT    NOT NULL,
	title       TEXT    NOT NULL,
	content     TEXT    NOT NULL,
	example     TEXT    NOT NULL,
	type        INTEGER NOT NULL,
	-- [{"key","label","values"}] in the order of content.
	keys        TEXT    NOT NULL,
	synced_at   INTEGER NOT NULL,
	-- Of the first sync that did not find it any more; null: it is there.
	gone_at     INTEGER,

	PRIMARY KEY (app, template_id),
	CONSTRAINT templates_filled CHECK (app <> '' AND template_id <> '')
) STRICT;

-- How the syncs of an app went, and when the next may begin by itself.
CREATE TABLE template_syncs (
	app       TEXT    PRIMARY KEY NOT NULL,
	tried_at  INTEGER NOT NULL,
	next_at   INTEGER NOT NULL,
	synced_at INTEGER,
	errcode   INTEGER NOT NULL DEFAULT 0,
	problem   TEXT    NOT NULL DEFAULT '',

	CONSTRAINT template_syncs_filled CHECK (app <> '')
) STRICT;

-- +goose Down
DROP TABLE template_syncs;
DROP TABLE templates;
