package org.springframework.web.client;

import org.springframework.http.HttpHeaders;

public class RestClientResponseException extends RestClientException {

    private static final long serialVersionUID = 1L;

    private final int status;
    private final transient HttpHeaders headers;
    private final byte[] body;

    public RestClientResponseException(int status, HttpHeaders headers, byte[] body) {
        super(String.valueOf(status), null);
        this.status = status;
        this.headers = headers;
        this.body = body;
    }

    public int getRawStatusCode() {
        return status;
    }

    public HttpHeaders getResponseHeaders() {
        return headers;
    }

    public byte[] getResponseBodyAsByteArray() {
        return body;
    }
}
