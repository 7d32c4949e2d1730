package org.springframework.http;

import java.util.TreeMap;

/** One value a name is all that is needed here. */
public class HttpHeaders extends TreeMap<String, String> {

    private static final long serialVersionUID = 1L;

    public HttpHeaders() {
        super(String.CASE_INSENSITIVE_ORDER);
    }

    public void set(String name, String value) {
        put(name, value);
    }

    public String getFirst(String name) {
        return get(name);
    }
}
