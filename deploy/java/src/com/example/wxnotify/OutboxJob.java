package com.example.wxnotify;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;
import java.util.logging.Level;
import java.util.logging.Logger;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.scheduling.annotation.Scheduled;
import org.springframework.stereotype.Component;

/**
 * Posts the outbox to wxnotify. What wxnotify accepted is its own from then on;
 * what it refuses for good is parked with the reason; everything else is tried
 * again until it is one of the two.
 */
@Component
public class OutboxJob {

    private static final Logger LOG = Logger.getLogger(OutboxJob.class.getName());

    // Longer than connecting and reading may take (WxnotifyConfig), so that a
    // batch under way is not taken by another instance.
    private static final int LEASE_SECONDS = 120;
    private static final long MAX_DELAY_SECONDS = 300;
    private static final long MAX_RETRY_AFTER_SECONDS = 3600;
    private static final int KEEP_DAYS = 7;

    private final Outbox outbox;
    private final WxnotifyClient client;
    private final LongSupplier nanoTime;

    // wxnotify has asked for a pause, or is away: until then nothing is posted.
    private long pausedAt;
    private long pauseNanos;
    private int failures;

    @Autowired
    public OutboxJob(Outbox outbox, WxnotifyClient client) {
        this(outbox, client, System::nanoTime);
    }

    OutboxJob(Outbox outbox, WxnotifyClient client, LongSupplier nanoTime) {
        this.outbox = outbox;
        this.client = client;
        this.nanoTime = nanoTime;
        this.pausedAt = nanoTime.getAsLong();
    }

    /** Posts what is due. With RuoYi's Quartz instead: target {@code outboxJob.run()}. */
    @Scheduled(fixedDelay = 1000)
    public synchronized void run() {
        while (nanoTime.getAsLong() - pausedAt >= pauseNanos) {
            List<OutboxRow> rows = outbox.claim(WxnotifyClient.MAX_BATCH, LEASE_SECONDS);
            if (rows.isEmpty()) {
                return;
            }
            post(rows);
        }
    }

    /** Deletes what was accepted long ago, once an hour. */
    @Scheduled(fixedDelay = 3600 * 1000)
    public void purge() {
        while (outbox.purge(KEEP_DAYS) > 0) {
            LOG.fine("wxnotify outbox: deleted accepted rows");
        }
    }

    private void post(List<OutboxRow> claimed) {
        Outbox.Answers answers = new Outbox.Answers();
        List<OutboxRow> rows = new ArrayList<>();
        List<Map<String, Object>> notifications = new ArrayList<>();
        for (OutboxRow row : claimed) {
            try {
                Map<String, Object> notification = new HashMap<>(WxnotifyClient.parse(row.body.getBytes(StandardCharsets.UTF_8)));
                notification.put("ref", row.ref);
                notifications.add(notification);
                rows.add(row);
            } catch (IOException e) {
                answers.refuse(row, "the body is not JSON");
            }
        }
        try {
            if (!rows.isEmpty()) {
                read(client.sendBatch(notifications), rows, answers);
                failures = 0;
            }
        } catch (WxnotifyException e) {
            if (isOfTheBody(e) && rows.size() > 1) {
                // Too long together, or one of them spoils the whole: halve until it is found.
                post(rows.subList(0, rows.size() / 2));
                post(rows.subList(rows.size() / 2, rows.size()));
            } else if (isOfTheBody(e)) {
                answers.refuse(rows.get(0), e.problem().isEmpty() ? e.getMessage() : e.problem());
            } else {
                pause(e, rows, answers);
            }
        }
        outbox.settle(answers);
        if (!answers.refused.isEmpty()) {
            LOG.log(Level.WARNING, "wxnotify outbox: {0} refused, see the column error", answers.refused.size());
        }
    }

    // A refusal for the body's sake stays the same. One for the key, the route or
    // the rate does not: somebody will see to it, and no row is lost meanwhile.
    private static boolean isOfTheBody(WxnotifyException e) {
        return e.status() == 400 || e.status() == 413 || e.status() == 422;
    }

    private static void read(List<Map<String, Object>> results, List<OutboxRow> rows, Outbox.Answers answers) {
        Set<Integer> answered = new HashSet<>();
        for (Map<String, Object> result : results) {
            Object index = result.get("index");
            int i = index instanceof Number ? ((Number) index).intValue() : -1;
            if (i < 0 || i >= rows.size() || !answered.add(i)) {
                continue;
            }
            OutboxRow row = rows.get(i);
            if (result.get("id") != null) {
                answers.accept(row, String.valueOf(result.get("id")));
            } else if (isPassing(result.get("error"))) {
                answers.again(row, WxnotifyClient.write(result.get("error")), delay(row.tries));
            } else {
                answers.refuse(row, WxnotifyClient.write(result.get("error")));
            }
        }
        for (int i = 0; i < rows.size(); i++) {
            if (!answered.contains(i)) {
                answers.again(rows.get(i), "no result in the answer", delay(rows.get(i).tries));
            }
        }
    }

    // isPassing tells whether an item was refused for a reason that passes.
    private static boolean isPassing(Object error) {
        Object status = error instanceof Map ? ((Map<?, ?>) error).get("status") : null;
        int code = status instanceof Number ? ((Number) status).intValue() : 0;
        return code == 429 || code >= 500;
    }

    private void pause(WxnotifyException e, List<OutboxRow> rows, Outbox.Answers answers) {
        failures++;
        long seconds = e.retryAfter() >= 0 ? Math.min(e.retryAfter(), MAX_RETRY_AFTER_SECONDS) : delay(failures);
        pausedAt = nanoTime.getAsLong();
        pauseNanos = TimeUnit.SECONDS.toNanos(seconds);
        for (OutboxRow row : rows) {
            answers.again(row, e.getMessage(), seconds);
        }
        LOG.log(Level.WARNING, "{0}; {1} rows wait {2} s", new Object[] {e.getMessage(), rows.size(), seconds});
    }

    /** 2, 4, 8 ... seconds, at most five minutes. */
    private static long delay(int tries) {
        return Math.min(MAX_DELAY_SECONDS, 1L << Math.min(tries, 30));
    }
}
