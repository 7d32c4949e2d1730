package org.springframework.web.client;

import java.io.IOException;

public class ResourceAccessException extends RestClientException {

    private static final long serialVersionUID = 1L;

    public ResourceAccessException(String message, IOException cause) {
        super(message, cause);
    }
}
