package com.example.wxnotify;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The outbox without a database, with a clock of its own in seconds. */
final class MemoryOutbox extends Outbox {

    static final class Row {
        String ref;
        String body;
        String state = "pending";
        String notificationId;
        String error;
        String owner;
        int tries;
        long nextAt;
    }

    final Map<Long, Row> rows = new LinkedHashMap<>();
    long now;

    MemoryOutbox() {
        super(null);
    }

    @Override
    public void add(String body) {
        Row row = new Row();
        row.ref = "ref-" + rows.size();
        row.body = body;
        row.nextAt = now;
        rows.put((long) rows.size(), row);
    }

    @Override
    public List<OutboxRow> claim(int max, int leaseSeconds) {
        String owner = "owner-" + now + "-" + rows.values().stream().mapToInt(row -> row.tries).sum();
        List<OutboxRow> claimed = new ArrayList<>();
        rows.forEach((id, row) -> {
            if (row.state.equals("pending") && row.nextAt <= now && claimed.size() < max) {
                row.owner = owner;
                row.nextAt = now + leaseSeconds;
                claimed.add(new OutboxRow(id, row.ref, row.body, ++row.tries, owner));
            }
        });
        return claimed;
    }

    @Override
    public void settle(Answers answers) {
        for (Object[] args : answers.accepted) {
            end((Long) args[1], "accepted", (String) args[0], null);
        }
        for (Object[] args : answers.refused) {
            end((Long) args[1], "refused", null, (String) args[0]);
        }
        for (Object[] args : answers.again) {
            Row row = rows.get((Long) args[2]);
            if (row.state.equals("pending") && row.owner.equals(args[3])) {
                row.error = (String) args[0];
                row.nextAt = now + (Long) args[1];
            }
        }
    }

    private void end(Long id, String state, String notificationId, String error) {
        Row row = rows.get(id);
        if (row.state.equals("pending")) {
            row.state = state;
            row.notificationId = notificationId;
            row.error = error;
        }
    }

    long count(String state) {
        return rows.values().stream().filter(row -> row.state.equals(state)).count();
    }
}
