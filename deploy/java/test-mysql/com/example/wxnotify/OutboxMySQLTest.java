package com.example.wxnotify;

import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.datasource.DataSourceTransactionManager;
import org.springframework.jdbc.datasource.DriverManagerDataSource;
import org.springframework.transaction.TransactionDefinition;
import org.springframework.transaction.support.TransactionTemplate;

/** Runs the SQL on a real database, with the real JdbcTemplate. */
public final class OutboxMySQLTest {

    private static JdbcTemplate jdbc;
    private static Outbox outbox;
    private static DataSourceTransactionManager transactions;

    private OutboxMySQLTest() {}

    public static void main(String[] args) throws Exception {
        DriverManagerDataSource source = new DriverManagerDataSource(args[0]);
        jdbc = new JdbcTemplate(source);
        transactions = new DataSourceTransactionManager(source);
        outbox = new Outbox(jdbc);
        String ddl = new String(Files.readAllBytes(Paths.get(args[1])), StandardCharsets.UTF_8);

        Check.test("rows of a transaction that is rolled back are not there", () -> {
            make(ddl);
            business().execute(status -> {
                outbox.add("{}");
                status.setRollbackOnly();
                return null;
            });
            Check.equal(claim(10).size(), 0);
        });
        Check.test("a claim neither waits for a running business transaction nor sees its rows", () -> {
            make(ddl);
            outbox.add("{\"n\":1}");
            business().execute(status -> {
                outbox.add("{\"n\":2}");
                List<OutboxRow> claimed = onAnotherThread(() -> claim(10));
                Check.equal(claimed.size(), 1);
                Check.equal(claimed.get(0).body, "{\"n\":1}");
                outbox.add("{\"n\":3}");
                return null;
            });
            Check.equal(claim(10).size(), 2);
        });
        Check.test("answers are written, and only the owner says when to try again", () -> {
            make(ddl);
            for (int i = 0; i < 5; i++) {
                outbox.add("{}");
            }
            List<OutboxRow> rows = claim(10);
            Check.equal(rows.get(0).ref.length(), 36);
            Outbox.Answers answers = new Outbox.Answers();
            answers.accept(rows.get(0), "0192f0c4-0000-7000-8000-000000000000");
            answers.refuse(rows.get(1), "{\"code\":\"invalid\",\"说明\":\"😀\"}");
            answers.again(rows.get(2), "503", 0);
            answers.again(rows.get(3), "503", 60);
            OutboxRow lost = rows.get(4);
            answers.again(new OutboxRow(lost.id, lost.ref, lost.body, lost.tries, "another owner"), "503", 0);
            settle(answers);
            Check.equal(states(), "accepted refused pending pending pending");
            Check.equal(jdbc.queryForObject("SELECT error FROM wxnotify_outbox WHERE state = 'refused'", String.class),
                    "{\"code\":\"invalid\",\"说明\":\"😀\"}");

            List<OutboxRow> again = claim(10);
            Check.equal(again.size(), 1);
            Check.equal(again.get(0).id, rows.get(2).id);
            Check.equal(again.get(0).tries, 2);

            // The first owner is told that it was accepted after all: that is true.
            Outbox.Answers late = new Outbox.Answers();
            late.accept(rows.get(2), "id");
            late.refuse(rows.get(0), "must not count");
            settle(late);
            Check.equal(states(), "accepted refused accepted pending pending");
        });
        Check.test("a lease that is over makes the row due", () -> {
            make(ddl);
            outbox.add("{}");
            Check.equal(claim(10).size(), 1);
            Check.equal(claim(10).size(), 0);
            jdbc.update("UPDATE wxnotify_outbox SET next_at = next_at - INTERVAL 121 SECOND");
            Check.equal(claim(10).size(), 1);
        });
        Check.test("accepted rows are deleted when they are old, refused ones stay", () -> {
            make(ddl);
            for (int i = 0; i < 3; i++) {
                outbox.add("{}");
            }
            Outbox.Answers answers = new Outbox.Answers();
            List<OutboxRow> rows = claim(10);
            answers.accept(rows.get(0), "id");
            answers.refuse(rows.get(1), "no");
            settle(answers);
            Check.equal(outbox.purge(7), 0);
            jdbc.update("UPDATE wxnotify_outbox SET next_at = next_at - INTERVAL 8 DAY");
            Check.equal(outbox.purge(7), 1);
            Check.equal(states(), "refused pending");
        });
        Check.test("four instances and busy business: every row is claimed once, nobody deadlocks", () -> {
            make(ddl);
            crowd();
        });
        Check.test("due rows are found by an index, claimed ones by their key", () -> {
            make(ddl);
            for (int i = 0; i < 3000; i++) {
                outbox.add("{}");
            }
            jdbc.update("UPDATE wxnotify_outbox SET state = 'accepted' WHERE id > 20");
            jdbc.execute("ANALYZE TABLE wxnotify_outbox");
            Check.equal(keyOf("SELECT id FROM wxnotify_outbox WHERE state = 'pending'"
                    + " AND next_at <= UTC_TIMESTAMP(3) ORDER BY next_at, id LIMIT 1000"), "wxnotify_outbox_due");
            Check.equal(keyOf("UPDATE wxnotify_outbox FORCE INDEX (PRIMARY) SET tries = 1"
                    + " WHERE id IN (1, 2, 3) AND state = 'pending' AND next_at <= UTC_TIMESTAMP(3)"), "PRIMARY");
        });
        Check.end();
    }

    private static void crowd() throws Exception {
        int producers = 4;
        int each = 150; // transactions of two rows
        int total = producers * each * 2;
        Set<Long> seen = ConcurrentHashMap.newKeySet();
        AtomicInteger twice = new AtomicInteger();
        long deadline = System.nanoTime() + TimeUnit.MINUTES.toNanos(2);
        List<Callable<Void>> crowd = new ArrayList<>();
        for (int i = 0; i < producers; i++) {
            crowd.add(() -> {
                for (int n = 0; n < each; n++) {
                    business().execute(status -> {
                        outbox.add("{}");
                        outbox.add("{}");
                        return null;
                    });
                }
                return null;
            });
            crowd.add(() -> {
                while (seen.size() < total && System.nanoTime() < deadline) {
                    Outbox.Answers answers = new Outbox.Answers();
                    for (OutboxRow row : claim(50)) {
                        if (!seen.add(row.id)) {
                            twice.incrementAndGet();
                        }
                        answers.accept(row, "id");
                    }
                    settle(answers);
                }
                return null;
            });
        }
        ExecutorService threads = Executors.newFixedThreadPool(crowd.size());
        try {
            for (Future<Void> done : threads.invokeAll(crowd)) {
                done.get(); // with the deadlock, if there was one
            }
        } finally {
            threads.shutdown();
        }
        Check.equal(seen.size(), total);
        Check.equal(twice.get(), 0);
        Check.equal(jdbc.queryForObject("SELECT COUNT(*) FROM wxnotify_outbox WHERE state = 'accepted' AND tries = 1", Integer.class), total);
    }

    private static void make(String ddl) {
        jdbc.execute("DROP TABLE IF EXISTS wxnotify_outbox");
        jdbc.execute(ddl.replaceAll("(?m)--.*$", "").replace(";", ""));
    }

    // What Spring does around the methods, by their annotations.
    private static List<OutboxRow> claim(int max) {
        return readCommitted().execute(status -> outbox.claim(max, 120));
    }

    private static void settle(Outbox.Answers answers) {
        readCommitted().execute(status -> {
            outbox.settle(answers);
            return null;
        });
    }

    private static TransactionTemplate readCommitted() {
        TransactionTemplate template = new TransactionTemplate(transactions);
        template.setIsolationLevel(TransactionDefinition.ISOLATION_READ_COMMITTED);
        return template;
    }

    private static TransactionTemplate business() {
        return new TransactionTemplate(transactions);
    }

    private static <T> T onAnotherThread(Callable<T> call) {
        ExecutorService thread = Executors.newSingleThreadExecutor();
        try {
            return thread.submit(call).get(1, TimeUnit.MINUTES);
        } catch (Exception e) {
            throw new AssertionError("the claim waits", e);
        } finally {
            thread.shutdownNow();
        }
    }

    private static String states() {
        return String.join(" ", jdbc.queryForList("SELECT state FROM wxnotify_outbox ORDER BY id", String.class));
    }

    private static Object keyOf(String sql) {
        Map<String, Object> plan = jdbc.queryForMap("EXPLAIN " + sql);
        return plan.get("key");
    }
}
