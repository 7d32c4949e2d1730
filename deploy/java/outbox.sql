-- The outbox of wxnotify, in the database of the application, so that a notice
-- and the business it tells of commit together or not at all. MySQL 5.7 or 8,
-- MariaDB 10.3 or newer. All times are UTC.
CREATE TABLE wxnotify_outbox (
    id              BIGINT        NOT NULL AUTO_INCREMENT,
    -- The row's key towards wxnotify, which accepts it once however often it is
    -- posted. Not the number: that starts again when the table is made anew.
    ref             CHAR(36)      CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- The notification as the API takes it, JSON, without the ref.
    body            MEDIUMTEXT    CHARACTER SET utf8mb4 NOT NULL,
    -- pending, accepted (wxnotify has it), refused (error says why; see README).
    state           VARCHAR(10)   CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'pending',
    -- pending: not before; while an instance posts it, the end of its lease.
    -- Otherwise when it ended.
    next_at         DATETIME(3)   NOT NULL,
    owner           CHAR(36)      CHARACTER SET ascii COLLATE ascii_bin NULL,
    tries           INT           NOT NULL DEFAULT 0,
    -- The id by which wxnotify shows what became of it.
    notification_id CHAR(36)      CHARACTER SET ascii COLLATE ascii_bin NULL,
    error           VARCHAR(2000) CHARACTER SET utf8mb4 NULL,
    created_at      DATETIME(3)   NOT NULL,
    PRIMARY KEY (id),
    UNIQUE KEY wxnotify_outbox_ref (ref),
    KEY wxnotify_outbox_due (state, next_at)
) ENGINE = InnoDB;
