package com.example.wxnotify;

import java.util.Objects;

/** What the tests say. */
final class Check {

    private Check() {}

    /** A test; it fails by throwing. */
    interface Body {
        void run() throws Exception;
    }

    private static int passed;
    private static int failed;

    static void test(String name, Body body) {
        try {
            body.run();
            passed++;
        } catch (Exception | AssertionError e) {
            failed++;
            System.out.println("FAILED: " + name);
            e.printStackTrace(System.out);
        }
    }

    static void equal(Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError("got " + got + ", want " + want);
        }
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static WxnotifyException refused(Runnable call) {
        try {
            call.run();
        } catch (WxnotifyException e) {
            return e;
        }
        throw new AssertionError("was not refused");
    }

    static void end() {
        System.out.println(passed + " passed, " + failed + " failed");
        if (failed > 0) {
            System.exit(1);
        }
    }
}
