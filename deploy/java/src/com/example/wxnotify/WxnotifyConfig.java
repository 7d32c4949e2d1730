package com.example.wxnotify;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.http.client.SimpleClientHttpRequestFactory;
import org.springframework.scheduling.annotation.EnableScheduling;
import org.springframework.web.client.RestTemplate;

/** Settings: {@code wxnotify.url} and {@code wxnotify.key}. */
@Configuration
@EnableScheduling
public class WxnotifyConfig {

    private static final int CONNECT_MILLIS = 3000;

    // A little more than the gateway gives one request.
    private static final int READ_MILLIS = 35000;

    /** The RestTemplate is no bean, so that the application's own stays the only one. */
    @Bean
    public WxnotifyClient wxnotifyClient(@Value("${wxnotify.url}") String url, @Value("${wxnotify.key}") String key) {
        SimpleClientHttpRequestFactory http = new SimpleClientHttpRequestFactory();
        http.setConnectTimeout(CONNECT_MILLIS);
        http.setReadTimeout(READ_MILLIS);
        return new WxnotifyClient(new RestTemplate(http), url, key);
    }
}
