package com.example.wxnotify;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.UUID;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.stereotype.Repository;
import org.springframework.transaction.annotation.Isolation;
import org.springframework.transaction.annotation.Transactional;

/**
 * The table {@code wxnotify_outbox}. Several instances of the application may
 * work on it at once: a claim moves {@code next_at} to the end of a lease, so that
 * nobody else takes the row, and it is due again if the instance dies. Should
 * two ever post one row, its ref lets wxnotify accept it once.
 *
 * <p>{@code SELECT ... FOR UPDATE SKIP LOCKED} would need MySQL 8. Here candidates
 * are read without a lock and then updated by primary key under the same
 * condition, which on every version locks none but these rows: an insert of a
 * running business transaction neither waits nor makes the claim wait.
 */
@Repository
public class Outbox {

    private static final int MAX_ERROR = 2000; // characters, as the column

    private final JdbcTemplate jdbc;

    public Outbox(JdbcTemplate jdbc) {
        this.jdbc = jdbc;
    }

    /** Adds a notification, in the transaction of the caller if there is one. */
    public void add(String body) {
        jdbc.update("INSERT INTO wxnotify_outbox (ref, body, next_at, created_at)"
                + " VALUES (?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))", UUID.randomUUID().toString(), body);
    }

    /**
     * Takes up to {@code max} rows that are due, for {@code leaseSeconds}. Another
     * instance may have been faster: then there are fewer, or none.
     */
    @Transactional(isolation = Isolation.READ_COMMITTED)
    public List<OutboxRow> claim(int max, int leaseSeconds) {
        List<Long> ids = jdbc.queryForList("SELECT id FROM wxnotify_outbox"
                + " WHERE state = 'pending' AND next_at <= UTC_TIMESTAMP(3) ORDER BY next_at, id LIMIT ?", Long.class, max);
        if (ids.isEmpty()) {
            return Collections.emptyList();
        }
        String owner = UUID.randomUUID().toString();
        String in = String.join(", ", Collections.nCopies(ids.size(), "?"));

        // Without the hint a long list may become a scan, in an order of its own:
        // two claims could then wait for each other.
        List<Object> args = new ArrayList<>();
        args.add(owner);
        args.add(leaseSeconds);
        args.addAll(ids);
        jdbc.update("UPDATE wxnotify_outbox FORCE INDEX (PRIMARY) SET owner = ?, tries = tries + 1,"
                + " next_at = UTC_TIMESTAMP(3) + INTERVAL ? SECOND"
                + " WHERE id IN (" + in + ") AND state = 'pending' AND next_at <= UTC_TIMESTAMP(3)", args.toArray());

        args = new ArrayList<>(ids);
        args.add(owner);
        return jdbc.query("SELECT id, ref, body, tries FROM wxnotify_outbox WHERE id IN (" + in + ") AND owner = ? ORDER BY id",
                (row, number) -> new OutboxRow(row.getLong(1), row.getString(2), row.getString(3), row.getInt(4), owner),
                args.toArray());
    }

    /**
     * Writes what wxnotify answered, in one transaction. That a row was accepted or
     * refused is true whoever holds it by now; when to try again is for its owner.
     */
    @Transactional(isolation = Isolation.READ_COMMITTED)
    public void settle(Answers answers) {
        jdbc.batchUpdate("UPDATE wxnotify_outbox SET state = 'accepted', notification_id = ?, error = NULL,"
                + " next_at = UTC_TIMESTAMP(3) WHERE id = ? AND state = 'pending'", answers.accepted);
        jdbc.batchUpdate("UPDATE wxnotify_outbox SET state = 'refused', error = ?,"
                + " next_at = UTC_TIMESTAMP(3) WHERE id = ? AND state = 'pending'", answers.refused);
        jdbc.batchUpdate("UPDATE wxnotify_outbox SET error = ?, next_at = UTC_TIMESTAMP(3) + INTERVAL ? SECOND"
                + " WHERE id = ? AND owner = ? AND state = 'pending'", answers.again);
    }

    /**
     * Deletes up to 1000 accepted rows older than so many days, and returns how
     * many: they hold what the users were told. Refused ones stay for a person.
     */
    public int purge(int days) {
        return jdbc.update("DELETE FROM wxnotify_outbox WHERE state = 'accepted'"
                + " AND next_at < UTC_TIMESTAMP(3) - INTERVAL ? DAY ORDER BY next_at LIMIT 1000", days);
    }

    /** What wxnotify said to claimed rows, in the arguments of the statements. */
    public static final class Answers {

        final List<Object[]> accepted = new ArrayList<>();
        final List<Object[]> refused = new ArrayList<>();
        final List<Object[]> again = new ArrayList<>();

        void accept(OutboxRow row, String notificationId) {
            accepted.add(new Object[] {notificationId, row.id});
        }

        void refuse(OutboxRow row, String error) {
            refused.add(new Object[] {bounded(error), row.id});
        }

        void again(OutboxRow row, String error, long seconds) {
            again.add(new Object[] {bounded(error), seconds, row.id, row.owner});
        }

        private static String bounded(String error) {
            return error.length() <= MAX_ERROR ? error : error.substring(0, MAX_ERROR);
        }
    }
}
