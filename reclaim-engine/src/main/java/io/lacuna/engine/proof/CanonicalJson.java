package io.lacuna.engine.proof;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.lacuna.blockio.ExtentSet;
import java.io.BufferedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * JSON in the one form of RFC 8785: UTF-8, the names of an object in the order of their UTF-16 code units, no space between
 * anything, the shortest escapes. Numbers are integers, all digits of them.
 *
 * <p>Values are maps from strings, lists, strings, longs, booleans and null; an {@link ExtentSet} is a list of pairs
 * {@code [offset,length]} that is written without ever being held as one.
 */
public final class CanonicalJson {

    private CanonicalJson() {
    }

    /**
     * Reads a whole document into memory.
     *
     * @throws IOException if it is no JSON, or has a number that is no integer of 64 bits
     */
    public static Object parse(byte[] document) throws IOException {
        try (JsonParser parser = new JsonFactory().createParser(document)) {
            parser.nextToken();
            return value(parser);
        }
    }

    /** @param parser at the first token of the value; its last one afterwards */
    static Object value(JsonParser parser) throws IOException {
        JsonToken token = parser.currentToken();
        if (token == null) {
            throw new IOException("the JSON document ends too early");
        }
        return switch (token) {
            case START_OBJECT -> {
                Map<String, Object> object = new LinkedHashMap<>();
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    String name = parser.currentName();
                    parser.nextToken();
                    object.put(name, value(parser));
                }
                yield object;
            }
            case START_ARRAY -> {
                List<Object> array = new ArrayList<>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    array.add(value(parser));
                }
                yield array;
            }
            case VALUE_STRING -> parser.getText();
            case VALUE_NUMBER_INT -> parser.getLongValue();
            case VALUE_TRUE -> true;
            case VALUE_FALSE -> false;
            case VALUE_NULL -> null;
            default -> throw new IOException("unexpected in a report: " + token);
        };
    }

    /** Writes one value and flushes; the stream stays open. */
    public static void write(Object value, OutputStream out) throws IOException {
        OutputStream buffered = new BufferedOutputStream(out, 1 << 16);
        put(value, buffered);
        buffered.flush();
    }

    private static void put(Object value, OutputStream out) throws IOException {
        if (value instanceof Map<?, ?> object) {
            putObject(object, out);
        } else if (value instanceof List<?> array) {
            String joint = "[";
            for (Object element : array) {
                ascii(joint, out);
                put(element, out);
                joint = ",";
            }
            ascii(array.isEmpty() ? "[]" : "]", out);
        } else if (value instanceof ExtentSet extents) {
            putExtents(extents, out);
        } else if (value instanceof String text) {
            putString(text, out);
        } else if (value == null || value instanceof Long || value instanceof Boolean) {
            ascii(String.valueOf(value), out);
        } else {
            throw new IllegalArgumentException("no JSON value: " + value.getClass());
        }
    }

    private static void putObject(Map<?, ?> object, OutputStream out) throws IOException {
        // Strings compare by their UTF-16 code units.
        Map<String, Object> sorted = new TreeMap<>();
        object.forEach((name, value) -> sorted.put((String) name, value));
        String joint = "{";
        for (Map.Entry<String, Object> entry : sorted.entrySet()) {
            ascii(joint, out);
            putString(entry.getKey(), out);
            out.write(':');
            put(entry.getValue(), out);
            joint = ",";
        }
        ascii(sorted.isEmpty() ? "{}" : "}", out);
    }

    private static void putExtents(ExtentSet extents, OutputStream out) throws IOException {
        out.write('[');
        for (int i = 0; i < extents.count(); i++) {
            ascii((i == 0 ? "[" : ",[") + extents.start(i) + ',' + (extents.end(i) - extents.start(i)) + ']', out);
        }
        out.write(']');
    }

    private static void putString(String text, OutputStream out) throws IOException {
        StringBuilder quoted = new StringBuilder("\"");
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> quoted.append("\\\"");
                case '\\' -> quoted.append("\\\\");
                case '\b' -> quoted.append("\\b");
                case '\t' -> quoted.append("\\t");
                case '\n' -> quoted.append("\\n");
                case '\f' -> quoted.append("\\f");
                case '\r' -> quoted.append("\\r");
                default -> {
                    if (c < ' ') {
                        quoted.append("\\u").append(HexFormat.of().toHexDigits(c));
                    } else {
                        quoted.append(c);
                    }
                }
            }
        }
        out.write(quoted.append('"').toString().getBytes(StandardCharsets.UTF_8));
    }

    private static void ascii(String text, OutputStream out) throws IOException {
        out.write(text.getBytes(StandardCharsets.US_ASCII));
    }
}
