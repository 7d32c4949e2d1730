package com.example.wxnotify;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.springframework.http.ResponseEntity;
import org.springframework.jdbc.core.JdbcTemplate;
import org.springframework.jdbc.core.RowMapper;

/** Runs every test against a gateway on this machine and prints how many passed. */
public final class WxnotifyTest {

    private WxnotifyTest() {}

    public static void main(String[] args) {
        java.util.logging.Logger.getLogger(OutboxJob.class.getName()).setLevel(java.util.logging.Level.OFF);
        messages();
        routes();
        job();
        trouble();
        statements();
        Check.end();
    }

    /** One job on an outbox in memory, and a gateway. */
    private static final class Rig implements AutoCloseable {
        final FakeGateway gateway = new FakeGateway();
        final MemoryOutbox outbox = new MemoryOutbox();
        final AppletMsgSendUtil util = new AppletMsgSendUtil(outbox, () -> "1042");
        final OutboxJob job = newJob(FakeGateway.KEY);

        Rig() throws Exception {}

        OutboxJob newJob(String key) {
            return new OutboxJob(outbox, gateway.client(key), () -> TimeUnit.SECONDS.toNanos(outbox.now));
        }

        void add(int n) {
            for (int i = 0; i < n; i++) {
                util.msgSend("T1", "pages/a?id=" + i, AppletParamUtil.of("thing1", "文字"));
            }
        }

        MemoryOutbox.Row row(long id) {
            return outbox.rows.get(id);
        }

        @Override
        public void close() {
            gateway.close();
        }
    }

    private static void messages() {
        Check.test("the replaced class's call, with its data, reaches the gateway in the API's form", () -> {
            try (Rig rig = new Rig()) {
                Map<String, Object> data = new LinkedHashMap<>();
                data.put("thing1", Collections.singletonMap("value", "王芳 \"引号\"\n😀"));
                data.put("number2", Collections.singletonMap("value", 12));
                rig.util.msgSend("T1", "pages/a?id=7", data);
                rig.job.run();

                Map<?, ?> got = (Map<?, ?>) ((List<?>) rig.gateway.bodies.get(0).get("notifications")).get(0);
                Check.equal(got.get("template_id"), "T1");
                Check.equal(got.get("user_id"), "1042");
                Check.equal(got.get("page"), "pages/a?id=7");
                Check.equal(got.get("ref"), rig.row(0).ref);
                Check.equal(((Map<?, ?>) got.get("data")).get("thing1"), "王芳 \"引号\"\n😀");
                Check.equal(((Number) ((Map<?, ?>) got.get("data")).get("number2")).intValue(), 12);
                Check.equal(got.size(), 5);
                Check.equal(rig.row(0).state, "accepted");
                Check.equal(rig.row(0).notificationId, "id-0");
            }
        });
        Check.test("another user, labels, and no page", () -> {
            try (Rig rig = new Rig()) {
                rig.util.msgSend("need_confirm", null, AppletParamUtil.of("申请人", "王芳", "申请时间", "2026年3月2日 15:01"), 7L);
                rig.util.msgSend("need_confirm", "", AppletParamUtil.getDataReportParam("月报", "3月"), "u-8");
                rig.job.run();
                Check.equal(rig.row(0).body, "{\"template_id\":\"need_confirm\",\"user_id\":\"7\","
                        + "\"data\":{\"申请人\":\"王芳\",\"申请时间\":\"2026年3月2日 15:01\"}}");
                Check.equal(rig.row(1).body,
                        "{\"template_id\":\"need_confirm\",\"user_id\":\"u-8\",\"data\":{\"thing1\":\"月报\",\"thing2\":\"3月\"}}");
                Check.equal(rig.outbox.count("accepted"), 2L);
            }
        });
        Check.test("a notice that is not right does not stop the business, and is refused with a reason", () -> {
            try (Rig rig = new Rig()) {
                rig.util.msgSend("T1", null, null);
                rig.util.msgSend("T1", null, AppletParamUtil.of("thing1", null));
                rig.util.msgSend("T1", null, AppletParamUtil.of("thing1", "x"), (Long) null);
                rig.job.run();
                Check.equal(rig.row(0).state, "accepted"); // what is missing, the catalog knows
                Check.equal(rig.row(1).error, "{\"status\":422,\"code\":\"invalid\"}");
                Check.equal(rig.row(2).error, "{\"status\":422,\"code\":\"invalid\"}");
                Check.equal(rig.outbox.count("refused"), 2L);
            }
        });
        Check.test("the five parameters of 待审核通知 keep their keys", () -> Check.equal(
                new ArrayList<>(AppletParamUtil.getNeedConfirmParam("1", "2", "3", "4", "5").keySet()),
                Arrays.asList("thing1", "thing11", "thing12", "time4", "thing10")));
    }

    private static void routes() {
        Check.test("login hands the code on for the user of the session, and no openid back", () -> {
            try (FakeGateway gateway = new FakeGateway()) {
                AppletController.Login login = new AppletController.Login();
                login.code = "the-code";
                ResponseEntity<Object> answer = controller(gateway, FakeGateway.KEY).login(login);
                Check.equal(gateway.requests, Collections.singletonList("POST /v1/logins"));
                Check.equal(WxnotifyClient.write(gateway.bodies.get(0)), "{\"user_id\":\"user 1/2\",\"code\":\"the-code\"}");
                Check.equal(answer.getStatusCodeValue(), 204);
                Check.equal(answer.getBody(), null);
            }
        });
        Check.test("a consent report goes on as it came", () -> {
            try (FakeGateway gateway = new FakeGateway()) {
                AppletController.Report report = new AppletController.Report();
                report.report_id = "0192f0c4-0000-7000-8000-000000000000";
                report.results = Collections.singletonMap("T1", "accept");
                Check.equal(controller(gateway, FakeGateway.KEY).consents(report).getStatusCodeValue(), 204);
                Check.equal(gateway.requests, Collections.singletonList("POST /v1/users/user%201%2F2/consents"));
                Check.equal(WxnotifyClient.write(gateway.bodies.get(0)),
                        "{\"report_id\":\"0192f0c4-0000-7000-8000-000000000000\",\"results\":{\"T1\":\"accept\"}}");
            }
        });
        Check.test("the plan is asked for with its templates", () -> {
            try (FakeGateway gateway = new FakeGateway()) {
                Object plan = controller(gateway, FakeGateway.KEY).plan("T1,T2,a b", 2);
                Check.equal(gateway.requests,
                        Collections.singletonList("GET /v1/users/user%201%2F2/consent-plan?templates=T1,T2,a%20b&max=2"));
                Check.equal(plan, Collections.singletonMap("ask", Arrays.asList("T2", "T1")));
            }
        });
        Check.test("the Mini Program is told only what it can act upon", () -> {
            int[][] want = {{422, 422}, {429, 429}, {503, 503}, {401, 502}, {403, 502}, {404, 502}, {409, 502}, {500, 502}, {400, 502}};
            for (int[] w : want) {
                try (FakeGateway gateway = new FakeGateway()) {
                    gateway.next.add(new FakeGateway.Answer(w[0], "{\"code\":\"some_code\"}", w[0] == 429 ? "7" : null));
                    AppletController controller = controller(gateway, FakeGateway.KEY);
                    ResponseEntity<Object> answer = controller.refused(Check.refused(() -> controller.plan("T1", 3)));
                    Check.equal(answer.getStatusCodeValue(), w[1]);
                    Check.equal(answer.getBody(), Collections.singletonMap("code", "some_code"));
                    Check.equal(answer.getHeaders().getFirst("Retry-After"), w[0] == 429 ? "7" : null);
                }
            }
        });
        Check.test("a user whom WeChat blocks is told so, a wrong key is nobody's logout", () -> {
            try (FakeGateway gateway = new FakeGateway()) {
                gateway.next.add(FakeGateway.problem(403, "code_blocked"));
                AppletController controller = controller(gateway, FakeGateway.KEY);
                WxnotifyException blocked = Check.refused(() -> controller.login(new AppletController.Login()));
                Check.equal(controller.refused(blocked).getStatusCodeValue(), 403);
                AppletController wrongKey = controller(gateway, "wrong");
                Check.equal(wrongKey.refused(Check.refused(() -> wrongKey.plan("T1", 3))).getStatusCodeValue(), 502);
            }
        });
        Check.test("no answer, and an answer of something else, are errors without the user in them", () -> {
            FakeGateway gone = new FakeGateway();
            gone.close();
            WxnotifyException none = Check.refused(() -> controller(gone, FakeGateway.KEY).plan("T1", 3));
            Check.equal(none.status(), 0);
            Check.that(!none.toString().contains("user") && none.getCause() == null, "the error names the user: " + none);
            try (FakeGateway gateway = new FakeGateway()) {
                gateway.next.add(new FakeGateway.Answer(502, "<html>bad gateway</html>", null));
                WxnotifyException other = Check.refused(() -> controller(gateway, FakeGateway.KEY).plan("T1", 3));
                Check.equal(other.getMessage(), "wxnotify: consent plan: 502");
            }
        });
    }

    private static AppletController controller(FakeGateway gateway, String key) {
        return new AppletController(gateway.client(key), () -> "user 1/2");
    }

    private static void job() {
        Check.test("everything goes, in batches of a thousand", () -> {
            try (Rig rig = new Rig()) {
                rig.add(2500);
                rig.job.run();
                Check.equal(rig.outbox.count("accepted"), 2500L);
                Check.equal(rig.gateway.requests.size(), 3);
                Check.equal(rig.gateway.byRef.size(), 2500);
                rig.job.run();
                Check.equal(rig.gateway.requests.size(), 3);
            }
        });
        Check.test("each item has its own end, found by its index", () -> {
            try (Rig rig = new Rig()) {
                rig.gateway.errors.put("pages/a?id=1", FakeGateway.error(422, "invalid"));
                rig.gateway.errors.put("pages/a?id=2", FakeGateway.error(503, "unavailable"));
                rig.gateway.errors.put("pages/a?id=3", FakeGateway.error(403, "forbidden_template"));
                rig.gateway.errors.put("pages/a?id=4", FakeGateway.error(409, "ref_conflict"));
                rig.add(6);
                rig.job.run();
                Check.equal(rig.row(0).state, "accepted");
                Check.equal(rig.row(1).error, "{\"status\":422,\"code\":\"invalid\"}");
                Check.equal(rig.row(2).state, "pending");
                Check.equal(rig.row(2).nextAt, 2L);
                Check.equal(rig.row(3).state, "refused");
                Check.equal(rig.row(4).state, "refused");
                Check.equal(rig.row(5).notificationId, "id-1");

                rig.gateway.errors.clear();
                rig.outbox.now = 2;
                rig.job.run();
                Check.equal(rig.row(2).state, "accepted");
                Check.equal(rig.outbox.count("refused"), 3L);
            }
        });
        Check.test("an item without a result is asked for again", () -> {
            try (Rig rig = new Rig()) {
                rig.gateway.next.add(new FakeGateway.Answer(200, "{\"results\":[{\"index\":1,\"id\":\"x\",\"state\":\"queued\"},"
                        + "{\"index\":1,\"error\":{}},{\"index\":9,\"id\":\"y\"},{\"id\":\"z\"}]}", null));
                rig.add(2);
                rig.job.run();
                Check.equal(rig.row(0).state, "pending");
                Check.equal(rig.row(1).notificationId, "x");
            }
        });
        Check.test("too much for one body is halved", () -> {
            try (Rig rig = new Rig()) {
                rig.gateway.most = 300;
                rig.add(1000);
                rig.job.run();
                Check.equal(rig.outbox.count("accepted"), 1000L);
                Check.equal(rig.gateway.requests.size(), 7);
            }
        });
        Check.test("one row that spoils every batch is found and parked", () -> {
            try (Rig rig = new Rig()) {
                rig.gateway.most = 0;
                rig.add(1);
                rig.job.run();
                Check.equal(rig.row(0).state, "refused");
                Check.equal(rig.row(0).error, "{\"status\":413,\"code\":\"too_large\"}");
            }
        });
        Check.test("a body that is no JSON is parked, the others go", () -> {
            try (Rig rig = new Rig()) {
                rig.outbox.add("{broken");
                rig.add(1);
                rig.job.run();
                Check.equal(rig.row(0).error, "the body is not JSON");
                Check.equal(rig.row(1).state, "accepted");
            }
        });
        Check.test("a long error fits the column", () -> {
            try (Rig rig = new Rig()) {
                rig.gateway.errors.put("pages/a?id=0", FakeGateway.error(422, String.join("", Collections.nCopies(3000, "长"))));
                rig.add(1);
                rig.job.run();
                Check.equal(rig.row(0).error.length(), 2000);
            }
        });
    }

    private static void trouble() {
        Check.test("Retry-After is kept to, by every row", () -> {
            for (int status : new int[] {429, 503}) {
                try (Rig rig = new Rig()) {
                    rig.gateway.next.add(new FakeGateway.Answer(status, "{\"code\":\"rate_limited\"}", "30"));
                    rig.add(1500);
                    rig.job.run();
                    Check.equal(rig.gateway.requests.size(), 1);
                    rig.outbox.now = 29;
                    rig.job.run();
                    Check.equal(rig.gateway.requests.size(), 1);
                    rig.outbox.now = 30;
                    rig.job.run();
                    Check.equal(rig.outbox.count("accepted"), 1500L);
                }
            }
        });
        Check.test("no row is given up for a fault that can be mended", () -> {
            for (int status : new int[] {401, 403, 404, 408, 429, 500, 502, 503, 504}) {
                try (Rig rig = new Rig()) {
                    rig.add(2);
                    for (int i = 0; i < 20; i++) {
                        rig.gateway.next.add(FakeGateway.problem(status, "some_code"));
                        rig.job.run();
                        rig.outbox.now += 300;
                    }
                    Check.equal(rig.gateway.requests.size(), 20);
                    Check.equal(rig.outbox.count("pending"), 2L);
                    // HttpURLConnection keeps the body of a 401 to itself.
                    Check.equal(rig.row(0).error, "wxnotify: batch: " + status + (status == 401 ? "" : " some_code"));
                    rig.job.run();
                    Check.equal(rig.outbox.count("accepted"), 2L);
                }
            }
        });
        Check.test("pauses grow to five minutes, and begin anew after a success", () -> {
            try (Rig rig = new Rig()) {
                rig.add(1);
                List<Long> pauses = new ArrayList<>();
                for (int i = 0; i < 10; i++) {
                    rig.gateway.next.add(FakeGateway.problem(500, "internal"));
                    rig.job.run();
                    pauses.add(rig.row(0).nextAt - rig.outbox.now);
                    rig.outbox.now = rig.row(0).nextAt;
                }
                Check.equal(pauses, Arrays.asList(2L, 4L, 8L, 16L, 32L, 64L, 128L, 256L, 300L, 300L));
                rig.job.run();
                Check.equal(rig.row(0).state, "accepted");
                rig.gateway.next.add(FakeGateway.problem(500, "internal"));
                rig.add(1);
                rig.job.run();
                Check.equal(rig.row(1).nextAt - rig.outbox.now, 2L);
            }
        });
        Check.test("an answer that is lost costs no second message", () -> {
            try (Rig rig = new Rig()) {
                rig.gateway.dropped = 1;
                rig.add(3);
                rig.job.run();
                Check.equal(rig.row(0).error, "wxnotify: batch: no answer");
                Check.equal(rig.outbox.count("pending"), 3L);
                rig.outbox.now = rig.row(0).nextAt;
                rig.job.run();
                Check.equal(rig.outbox.count("accepted"), 3L);
                Check.equal(rig.gateway.requests.size(), 2);
                Check.equal(rig.gateway.byRef.size(), 3);
            }
        });
        Check.test("an instance that died is replaced when its lease is over", () -> {
            try (Rig rig = new Rig()) {
                rig.add(3);
                Check.equal(rig.outbox.claim(2, 120).size(), 2);
                OutboxJob other = rig.newJob(FakeGateway.KEY);
                other.run();
                Check.equal(rig.outbox.count("accepted"), 1L);
                rig.outbox.now = 120;
                other.run();
                Check.equal(rig.outbox.count("accepted"), 3L);
            }
        });
        Check.test("a wrong key parks nothing", () -> {
            try (Rig rig = new Rig()) {
                rig.add(1);
                rig.newJob("wrong").run();
                Check.equal(rig.row(0).state, "pending");
                Check.equal(rig.row(0).error, "wxnotify: batch: 401");
            }
        });
    }

    /** Counts arguments against question marks, which no compiler does. */
    private static final class CountingJdbc extends JdbcTemplate {
        final List<String> statements = new ArrayList<>();
        final Map<String, Object[]> args = new HashMap<>();

        private void note(String sql, Object... values) {
            statements.add(sql);
            args.put(sql, values);
            Check.equal((long) values.length, sql.chars().filter(c -> c == '?').count());
        }

        @Override
        public int update(String sql, Object... values) {
            note(sql, values);
            return 0;
        }

        @Override
        public int[] batchUpdate(String sql, List<Object[]> rows) {
            rows.forEach(row -> note(sql, row));
            return new int[rows.size()];
        }

        @Override
        public <T> List<T> queryForList(String sql, Class<T> type, Object... values) {
            note(sql, values);
            return Arrays.asList(type.cast(5L), type.cast(9L));
        }

        @Override
        public <T> List<T> query(String sql, RowMapper<T> mapper, Object... values) {
            note(sql, values);
            return Collections.emptyList();
        }
    }

    private static void statements() {
        Check.test("every change of a row looks whether the row is still as it was", () -> {
            CountingJdbc jdbc = new CountingJdbc();
            Outbox outbox = new Outbox(jdbc);
            outbox.add("{}");
            outbox.claim(1000, 120);
            OutboxRow row = new OutboxRow(5, "ref", "{}", 1, "owner");
            Outbox.Answers answers = new Outbox.Answers();
            answers.accept(row, "id");
            answers.refuse(row, "error");
            answers.again(row, "error", 2);
            outbox.settle(answers);
            outbox.purge(7);
            Check.equal(jdbc.statements.size(), 8);
            for (String sql : jdbc.statements) {
                Check.that(!sql.startsWith("UPDATE") || sql.contains("state = 'pending'"), "unguarded: " + sql);
                Check.that(!sql.startsWith("DELETE") || sql.contains("state = 'accepted'"), "unguarded: " + sql);
            }
            String claim = jdbc.statements.get(2);
            Check.that(claim.contains("next_at <= UTC_TIMESTAMP(3)"), "a claim that looks at no lease: " + claim);
            Check.equal(Arrays.asList(jdbc.args.get(claim)).subList(1, 4), Arrays.asList(120, 5L, 9L));
        });
    }
}
