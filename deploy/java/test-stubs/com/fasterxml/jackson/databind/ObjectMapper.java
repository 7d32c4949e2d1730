package com.fasterxml.jackson.databind;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Reads and writes JSON of maps, lists, strings, numbers, booleans and null. */
public class ObjectMapper {

    public <T> T readValue(byte[] json, Class<T> type) throws IOException {
        Reader reader = new Reader(new String(json, StandardCharsets.UTF_8));
        Object value = reader.value();
        reader.end();
        return type.cast(value);
    }

    public byte[] writeValueAsBytes(Object value) throws IOException {
        return writeValueAsString(value).getBytes(StandardCharsets.UTF_8);
    }

    public String writeValueAsString(Object value) throws IOException {
        StringBuilder out = new StringBuilder();
        write(value, out);
        return out.toString();
    }

    private static void write(Object value, StringBuilder out) throws IOException {
        if (value instanceof Map) {
            String comma = "{";
            for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
                out.append(comma);
                quote(String.valueOf(entry.getKey()), out);
                out.append(':');
                write(entry.getValue(), out);
                comma = ",";
            }
            out.append(comma.equals("{") ? "{}" : "}");
        } else if (value instanceof List) {
            String comma = "[";
            for (Object item : (List<?>) value) {
                out.append(comma);
                write(item, out);
                comma = ",";
            }
            out.append(comma.equals("[") ? "[]" : "]");
        } else if (value instanceof String) {
            quote((String) value, out);
        } else if (value == null || value instanceof Number || value instanceof Boolean) {
            out.append(value);
        } else {
            throw new IOException("no JSON for " + value.getClass());
        }
    }

    private static void quote(String text, StringBuilder out) {
        out.append('"');
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    private static final class Reader {

        private static final String ESCAPES = "\"\\/bfnrt";
        private static final String ESCAPED = "\"\\/\b\f\n\r\t";

        private final String json;
        private int at;

        Reader(String json) {
            this.json = json;
        }

        Object value() throws IOException {
            char c = peek();
            if (c == '{') {
                return object();
            }
            if (c == '[') {
                return array();
            }
            if (c == '"') {
                return string();
            }
            int from = at;
            while (at < json.length() && ",]} \t\r\n".indexOf(json.charAt(at)) < 0) {
                at++;
            }
            return literal(json.substring(from, at));
        }

        private static Object literal(String word) throws IOException {
            switch (word) {
                case "null":
                    return null;
                case "true":
                    return Boolean.TRUE;
                case "false":
                    return Boolean.FALSE;
                default:
            }
            try {
                return new BigDecimal(word);
            } catch (NumberFormatException e) {
                throw new IOException("not JSON", e);
            }
        }

        private Map<String, Object> object() throws IOException {
            Map<String, Object> map = new LinkedHashMap<>();
            take('{');
            while (peek() != '}') {
                if (!map.isEmpty()) {
                    take(',');
                }
                String key = string();
                take(':');
                map.put(key, value());
            }
            take('}');
            return map;
        }

        private List<Object> array() throws IOException {
            List<Object> list = new ArrayList<>();
            take('[');
            while (peek() != ']') {
                if (!list.isEmpty()) {
                    take(',');
                }
                list.add(value());
            }
            take(']');
            return list;
        }

        private String string() throws IOException {
            take('"');
            StringBuilder text = new StringBuilder();
            for (char c = next(); c != '"'; c = next()) {
                if (c != '\\') {
                    text.append(c);
                    continue;
                }
                c = next();
                int escape = ESCAPES.indexOf(c);
                if (escape >= 0) {
                    text.append(ESCAPED.charAt(escape));
                } else if (c == 'u' && at + 4 <= json.length()) {
                    text.append((char) Integer.parseInt(json.substring(at, at + 4), 16));
                    at += 4;
                } else {
                    throw new IOException("not JSON");
                }
            }
            return text.toString();
        }

        private char next() throws IOException {
            if (at >= json.length()) {
                throw new IOException("not JSON");
            }
            return json.charAt(at++);
        }

        private char peek() throws IOException {
            while (at < json.length() && Character.isWhitespace(json.charAt(at))) {
                at++;
            }
            if (at >= json.length()) {
                throw new IOException("not JSON");
            }
            return json.charAt(at);
        }

        private void take(char wanted) throws IOException {
            if (peek() != wanted) {
                throw new IOException("not JSON");
            }
            at++;
        }

        void end() throws IOException {
            if (!json.substring(at).trim().isEmpty()) {
                throw new IOException("not JSON");
            }
        }
    }
}
