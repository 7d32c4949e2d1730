package org.springframework.http;

public class HttpEntity<T> {

    private final T body;
    private final HttpHeaders headers;

    public HttpEntity(T body, HttpHeaders headers) {
        this.body = body;
        this.headers = headers;
    }

    public T getBody() {
        return body;
    }

    public HttpHeaders getHeaders() {
        return headers;
    }
}
