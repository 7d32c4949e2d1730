package com.example.wxnotify;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.UnsupportedEncodingException;
import java.net.URI;
import java.net.URLEncoder;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.springframework.http.HttpEntity;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.web.client.ResourceAccessException;
import org.springframework.web.client.RestClientResponseException;
import org.springframework.web.client.RestTemplate;

/**
 * The calls of wxnotify's HTTP API that a back end of a Mini Program needs. Every
 * one throws {@link WxnotifyException} when it was refused or not answered.
 *
 * <p>Bodies go as bytes of UTF-8: a String would be sent as ISO-8859-1 by
 * RestTemplate where nothing names another, and Chinese would become "?".
 */
public class WxnotifyClient {

    /** The most notifications of one batch. */
    public static final int MAX_BATCH = 1000;

    // Not the application's: that one may write numbers as strings.
    private static final ObjectMapper JSON = new ObjectMapper();

    private final RestTemplate rest;
    private final String url;
    private final String key;

    /**
     * @param rest with time limits for connecting and reading
     * @param url of the gateway, for instance {@code http://wxnotify:8080}
     * @param key an API key with the rights send and users
     */
    public WxnotifyClient(RestTemplate rest, String url, String key) {
        this.rest = rest;
        this.url = url.replaceAll("/+$", "");
        this.key = key;
    }

    /** Binds the user to the openid behind a code of wx.login. A code works once. */
    public void login(String userId, String code) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("user_id", userId);
        body.put("code", code);
        call("login", HttpMethod.POST, "/v1/logins", body);
    }

    /** Hands on what a user answered in WeChat's dialog; a report_id counts once. */
    public void reportConsents(String userId, String reportId, Map<String, String> results) {
        Map<String, Object> body = new LinkedHashMap<>();
        body.put("report_id", reportId);
        body.put("results", results);
        call("consents", HttpMethod.POST, "/v1/users/" + encode(userId) + "/consents", body);
    }

    /** Which of these templates, at most max, the user is to be asked for at the next tap. */
    public List<String> consentPlan(String userId, List<String> templates, int max) {
        List<String> encoded = new ArrayList<>();
        for (String template : templates) {
            encoded.add(encode(template));
        }
        Map<String, Object> plan = call("consent plan", HttpMethod.GET, "/v1/users/" + encode(userId)
                + "/consent-plan?templates=" + String.join(",", encoded) + "&max=" + max, null);
        List<String> ask = new ArrayList<>();
        for (Object template : list(plan.get("ask"))) {
            ask.add(String.valueOf(template));
        }
        return ask;
    }

    /**
     * Hands in up to {@link #MAX_BATCH} notifications. The answers are maps with
     * {@code index} and either {@code id} and {@code state} or {@code error}.
     */
    public List<Map<String, Object>> sendBatch(List<Map<String, Object>> notifications) {
        Map<String, Object> answer = call("batch", HttpMethod.POST, "/v1/notifications/batch",
                Collections.<String, Object>singletonMap("notifications", notifications));
        List<Map<String, Object>> results = new ArrayList<>();
        for (Object result : list(answer.get("results"))) {
            results.add(map(result));
        }
        return results;
    }

    private Map<String, Object> call(String operation, HttpMethod method, String path, Map<String, Object> body) {
        HttpHeaders headers = new HttpHeaders();
        headers.set("Authorization", "Bearer " + key);
        headers.set("Accept", "application/json, application/problem+json");
        headers.set("Content-Type", "application/json");
        try {
            HttpEntity<byte[]> request = new HttpEntity<>(body == null ? null : JSON.writeValueAsBytes(body), headers);
            byte[] answer = rest.exchange(URI.create(url + path), method, request, byte[].class).getBody();
            return answer == null || answer.length == 0 ? Collections.<String, Object>emptyMap() : parse(answer);
        } catch (RestClientResponseException e) {
            throw refused(operation, e);
        } catch (ResourceAccessException e) {
            // Its text has the URL, and that the user: it is not passed on.
            throw new WxnotifyException(operation, 0, "", -1, "", null);
        } catch (IOException e) {
            throw new WxnotifyException(operation, 0, "", -1, "", null);
        }
    }

    private static WxnotifyException refused(String operation, RestClientResponseException e) {
        String problem = "";
        String code = "";
        try {
            Map<String, Object> parsed = parse(e.getResponseBodyAsByteArray());
            problem = JSON.writeValueAsString(parsed);
            code = parsed.get("code") == null ? "" : String.valueOf(parsed.get("code"));
        } catch (IOException notOurs) {
            // An answer of something between us and wxnotify: the status is all.
            problem = "";
        }
        return new WxnotifyException(operation, e.getRawStatusCode(), code, retryAfter(e.getResponseHeaders()), problem, null);
    }

    private static long retryAfter(HttpHeaders headers) {
        String seconds = headers == null ? null : headers.getFirst("Retry-After");
        return seconds != null && seconds.matches("\\d{1,9}") ? Long.parseLong(seconds) : -1;
    }

    /** Reads a JSON object. */
    static Map<String, Object> parse(byte[] json) throws IOException {
        return map(JSON.readValue(json, Object.class));
    }

    /** Writes a value as JSON. */
    static String write(Object value) {
        try {
            return JSON.writeValueAsString(value);
        } catch (IOException e) {
            throw new UncheckedIOException(e); // no value of ours does that
        }
    }

    @SuppressWarnings("unchecked") // a JSON object has strings as keys
    private static Map<String, Object> map(Object value) {
        return value instanceof Map ? (Map<String, Object>) value : Collections.<String, Object>emptyMap();
    }

    private static List<?> list(Object value) {
        return value instanceof List ? (List<?>) value : Collections.emptyList();
    }

    private static String encode(String part) {
        try {
            return URLEncoder.encode(part, "UTF-8").replace("+", "%20");
        } catch (UnsupportedEncodingException e) {
            throw new UncheckedIOException(e); // every Java has UTF-8
        }
    }
}
