package org.springframework.web.client;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.util.List;
import java.util.Map;
import org.springframework.http.HttpEntity;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpMethod;
import org.springframework.http.ResponseEntity;
import org.springframework.http.client.SimpleClientHttpRequestFactory;

/** Does what the real one does with bodies of bytes. */
public class RestTemplate {

    private final SimpleClientHttpRequestFactory factory;

    public RestTemplate(SimpleClientHttpRequestFactory factory) {
        this.factory = factory;
    }

    public <T> ResponseEntity<T> exchange(URI url, HttpMethod method, HttpEntity<?> request, Class<T> type) {
        try {
            HttpURLConnection connection = (HttpURLConnection) url.toURL().openConnection();
            connection.setConnectTimeout(factory.connectTimeout());
            connection.setReadTimeout(factory.readTimeout());
            connection.setRequestMethod(method.name());
            for (Map.Entry<String, String> header : request.getHeaders().entrySet()) {
                connection.setRequestProperty(header.getKey(), header.getValue());
            }
            if (request.getBody() != null) {
                byte[] bytes = (byte[]) request.getBody();
                connection.setDoOutput(true);
                connection.setFixedLengthStreamingMode(bytes.length);
                connection.getOutputStream().write(bytes);
            }
            int status = connection.getResponseCode();
            byte[] body = read(status < 400 ? connection.getInputStream() : connection.getErrorStream());
            HttpHeaders headers = headersOf(connection);
            if (status >= 400) {
                throw new RestClientResponseException(status, headers, body);
            }
            return new ResponseEntity<>(type.cast(body), headers, status);
        } catch (IOException e) {
            throw new ResourceAccessException("I/O error on " + method + " request for " + url, e);
        }
    }

    private static HttpHeaders headersOf(HttpURLConnection connection) {
        HttpHeaders headers = new HttpHeaders();
        for (Map.Entry<String, List<String>> header : connection.getHeaderFields().entrySet()) {
            if (header.getKey() != null) {
                headers.set(header.getKey(), header.getValue().get(0));
            }
        }
        return headers;
    }

    private static byte[] read(InputStream in) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        if (in != null) {
            byte[] block = new byte[8192];
            for (int n = in.read(block); n >= 0; n = in.read(block)) {
                out.write(block, 0, n);
            }
        }
        return out.toByteArray();
    }
}
