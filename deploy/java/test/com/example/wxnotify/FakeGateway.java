package com.example.wxnotify;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.web.client.RestTemplate;

/** wxnotify as its HTTP contract has it, as far as these routes go; strict about what comes. */
final class FakeGateway implements AutoCloseable {

    static final String KEY = "a-key-of-the-tests";

    private static final Set<String> NOTIFICATION_FIELDS = new HashSet<>(Arrays.asList("template_id", "user_id", "data", "page", "ref"));

    /** An answer instead of the true one. */
    static final class Answer {
        final int status;
        final String body;
        final String retryAfter;

        Answer(int status, String body, String retryAfter) {
            this.status = status;
            this.body = body;
            this.retryAfter = retryAfter;
        }
    }

    private final HttpServer server;

    /** Method and path with query, as they came. */
    final List<String> requests = new ArrayList<>();
    final List<Map<String, Object>> bodies = new ArrayList<>();
    final Map<String, Map<String, Object>> byRef = new HashMap<>();
    /** Given instead of the next answers. */
    final Queue<Answer> next = new ArrayDeque<>();
    /** Takes a batch and hangs up instead of answering. */
    int dropped;
    /** The most notifications it takes in one body. */
    int most = WxnotifyClient.MAX_BATCH;
    /** Errors of items by their page. */
    final Map<String, Map<String, Object>> errors = new HashMap<>();

    FakeGateway() throws IOException {
        server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", this::handle);
        server.start();
    }

    String url() {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    WxnotifyClient client(String key) {
        SimpleClientHttpRequestFactory http = new SimpleClientHttpRequestFactory();
        http.setConnectTimeout(60_000);
        http.setReadTimeout(60_000);
        return new WxnotifyClient(new RestTemplate(http), url(), key);
    }

    @Override
    public void close() {
        server.stop(0);
    }

    private synchronized void handle(HttpExchange exchange) throws IOException {
        try {
            Answer answer = answer(exchange);
            if (answer == null) {
                return; // hangs up
            }
            byte[] body = answer.body.getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", answer.status < 400 ? "application/json" : "application/problem+json");
            if (answer.retryAfter != null) {
                exchange.getResponseHeaders().set("Retry-After", answer.retryAfter);
            }
            exchange.sendResponseHeaders(answer.status, body.length == 0 ? -1 : body.length);
            exchange.getResponseBody().write(body);
        } catch (RuntimeException e) {
            e.printStackTrace(System.out);
        } finally {
            exchange.close();
        }
    }

    private Answer answer(HttpExchange exchange) throws IOException {
        String path = exchange.getRequestURI().getRawPath();
        String request = exchange.getRequestMethod() + " " + exchange.getRequestURI();
        requests.add(request);
        byte[] raw = read(exchange.getRequestBody());
        if (!("Bearer " + KEY).equals(exchange.getRequestHeaders().getFirst("Authorization"))) {
            return problem(401, "unauthorized");
        }
        Map<String, Object> body = Collections.emptyMap();
        if (exchange.getRequestMethod().equals("POST")) {
            if (!"application/json".equals(exchange.getRequestHeaders().getFirst("Content-Type"))) {
                return problem(415, "unsupported_media_type");
            }
            body = WxnotifyClient.parse(raw);
            bodies.add(body);
        }
        if (!next.isEmpty()) {
            return next.remove();
        }
        if (request.equals("POST /v1/logins")) {
            return fields(body, "user_id", "code") ? ok("{\"user_id\":\"1042\",\"openid\":\"o-secret\"}") : problem(422, "invalid");
        }
        if (request.equals("POST /v1/notifications/batch")) {
            return batch(body);
        }
        if (path.matches("/v1/users/[^/]+/consents")) {
            return fields(body, "report_id", "results") ? ok("{\"duplicate\":false,\"released\":0,\"consents\":[]}") : problem(422, "invalid");
        }
        if (path.matches("/v1/users/[^/]+/consent-plan")) {
            return ok(PLAN);
        }
        return problem(404, "not_found");
    }

    /** The answer to a question for a plan. */
    static final String PLAN = "{\"ask\":[\"T2\",\"T1\"],\"templates\":[],\"skipped\":[]}";

    private Answer batch(Map<String, Object> body) {
        List<?> items = (List<?>) body.get("notifications");
        if (items.size() > most) {
            return problem(413, "too_large");
        }
        List<Object> results = new ArrayList<>();
        for (Object item : items) {
            Map<?, ?> notification = (Map<?, ?>) item;
            Map<String, Object> result = new LinkedHashMap<>();
            result.put("index", results.size());
            Map<String, Object> error = refusal(notification);
            if (error == null) {
                result.put("id", accept(notification));
                result.put("state", "queued");
            } else {
                result.put("error", error);
            }
            results.add(result);
        }
        // The order of what comes in one answer is no promise to build on.
        Collections.reverse(results);
        Map<String, Object> answer = new LinkedHashMap<>();
        answer.put("results", results);
        return dropped-- > 0 ? null : ok(WxnotifyClient.write(answer));
    }

    private Map<String, Object> refusal(Map<?, ?> notification) {
        if (!NOTIFICATION_FIELDS.containsAll(notification.keySet())
                || !(notification.get("template_id") instanceof String)
                || !(notification.get("user_id") instanceof String)) {
            return error(422, "invalid");
        }
        for (Object value : ((Map<?, ?>) notification.get("data")).values()) {
            if (!(value instanceof Number) && (!(value instanceof String) || ((String) value).isEmpty())) {
                return error(422, "invalid");
            }
        }
        return errors.get(notification.get("page"));
    }

    private String accept(Map<?, ?> notification) {
        Map<String, Object> seen = byRef.get((String) notification.get("ref"));
        if (seen == null) {
            seen = new HashMap<>();
            seen.put("body", notification);
            seen.put("id", "id-" + byRef.size());
            byRef.put((String) notification.get("ref"), seen);
        }
        Check.equal(seen.get("body"), notification);
        return (String) seen.get("id");
    }

    static Map<String, Object> error(int status, String code) {
        Map<String, Object> error = new LinkedHashMap<>();
        error.put("status", status);
        error.put("code", code);
        return error;
    }

    static Answer problem(int status, String code) {
        return new Answer(status, WxnotifyClient.write(error(status, code)), null);
    }

    private static Answer ok(String body) {
        return new Answer(200, body, null);
    }

    private static boolean fields(Map<String, Object> body, String... names) {
        return body.keySet().equals(new HashSet<>(Arrays.asList(names)));
    }

    private static byte[] read(InputStream in) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        byte[] block = new byte[8192];
        for (int n = in.read(block); n >= 0; n = in.read(block)) {
            out.write(block, 0, n);
        }
        return out.toByteArray();
    }
}
