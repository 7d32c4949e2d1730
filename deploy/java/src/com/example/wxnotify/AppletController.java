package com.example.wxnotify;

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RequestMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/**
 * The three routes that the Mini Program's module needs. Every one is for the
 * user who is logged in here: a Mini Program has neither wxnotify's key nor a
 * say in whose consent it reports, and learns no openid.
 */
@RestController
@RequestMapping("/wechat")
public class AppletController {

    private static final int MAX_TEMPLATES = 50;

    private final WxnotifyClient client;
    private final CurrentUser currentUser;

    public AppletController(WxnotifyClient client, CurrentUser currentUser) {
        this.client = client;
        this.currentUser = currentUser;
    }

    /** {@code {"code": "..."}} of wx.login; 204. 422: the Mini Program takes a new code. */
    @PostMapping("/login")
    public ResponseEntity<Object> login(@RequestBody Login login) {
        client.login(currentUser.id(), login.code);
        return ResponseEntity.status(204).build();
    }

    /** {@code {"report_id": "...", "results": {"<template id>": "accept"}}}; 204. */
    @PostMapping("/consents")
    public ResponseEntity<Object> consents(@RequestBody Report report) {
        client.reportConsents(currentUser.id(), report.report_id, report.results);
        return ResponseEntity.status(204).build();
    }

    /** {@code {"ask": ["<template id>"]}}: what to ask for at the next tap. */
    @GetMapping("/consent-plan")
    public Map<String, List<String>> plan(
            @RequestParam("templates") String templates, @RequestParam(value = "max", defaultValue = "3") int max) {
        List<String> ids = Arrays.asList(templates.split(",", MAX_TEMPLATES));
        return Collections.singletonMap("ask", client.consentPlan(currentUser.id(), ids, max));
    }

    /**
     * Hands on only what the Mini Program can do something about. That wxnotify
     * refused our key (401) must not look as if the user's own login had ended.
     */
    @ExceptionHandler(WxnotifyException.class)
    public ResponseEntity<Object> refused(WxnotifyException e) {
        boolean ofTheUser = e.status() == 422 || e.code().equals("code_blocked");
        boolean passing = e.status() == 429 || e.status() == 503;
        ResponseEntity.BodyBuilder answer = ResponseEntity.status(ofTheUser || passing ? e.status() : 502);
        if (e.retryAfter() >= 0) {
            answer.header("Retry-After", String.valueOf(e.retryAfter()));
        }
        return answer.body(Collections.singletonMap("code", e.code().isEmpty() ? "wxnotify_unavailable" : e.code()));
    }

    /** The body of login. */
    public static class Login {
        public String code;
    }

    /** The body of consents, its fields named as on the wire. */
    public static class Report {
        public String report_id;
        public Map<String, String> results;
    }
}
