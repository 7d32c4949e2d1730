package org.springframework.http.client;

public class SimpleClientHttpRequestFactory {

    private int connectTimeout;
    private int readTimeout;

    public void setConnectTimeout(int millis) {
        connectTimeout = millis;
    }

    public void setReadTimeout(int millis) {
        readTimeout = millis;
    }

    public int connectTimeout() {
        return connectTimeout;
    }

    public int readTimeout() {
        return readTimeout;
    }
}
