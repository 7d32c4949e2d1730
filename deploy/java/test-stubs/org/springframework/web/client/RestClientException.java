package org.springframework.web.client;

public class RestClientException extends RuntimeException {

    private static final long serialVersionUID = 1L;

    public RestClientException(String message, Throwable cause) {
        super(message, cause);
    }
}
