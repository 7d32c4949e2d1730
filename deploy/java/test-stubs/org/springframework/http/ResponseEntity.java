package org.springframework.http;

public class ResponseEntity<T> extends HttpEntity<T> {

    private final int status;

    public ResponseEntity(T body, HttpHeaders headers, int status) {
        super(body, headers);
        this.status = status;
    }

    public static BodyBuilder status(int status) {
        return new BodyBuilder(status);
    }

    public int getStatusCodeValue() {
        return status;
    }

    public static final class BodyBuilder {

        private final int status;
        private final HttpHeaders headers = new HttpHeaders();

        private BodyBuilder(int status) {
            this.status = status;
        }

        public BodyBuilder header(String name, String... values) {
            headers.set(name, values[0]);
            return this;
        }

        public <T> ResponseEntity<T> body(T body) {
            return new ResponseEntity<>(body, headers, status);
        }

        public <T> ResponseEntity<T> build() {
            return body(null);
        }
    }
}
