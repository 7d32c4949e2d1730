package com.example.wxnotify;

/** A claimed row of the outbox. */
public final class OutboxRow {

    final long id;
    final String ref;
    final String body;
    /** Claims of this row, this one included. */
    final int tries;
    /** Who claimed it: a later claim has another one. */
    final String owner;

    OutboxRow(long id, String ref, String body, int tries, String owner) {
        this.id = id;
        this.ref = ref;
        this.body = body;
        this.tries = tries;
        this.owner = owner;
    }
}
