package io.lacuna.engine.proof;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * A report as far as it can be verified.
 *
 * @param schema what it says it is; null if it says nothing
 * @param signedBy who it says has signed it; null if nobody
 * @param images what it says of each image
 */
public record ReadReport(String schema, Map<?, ?> signedBy, List<Image> images) {

    private static final String PROOF = "proof";

    /**
     * What a report says of one image.
     *
     * @param fields its own fields and, under "proof", a map of the proof's; without lists
     * @param discarded what is not compared
     */
    public record Image(Map<String, Object> fields, ExtentSet discarded) {

        /** @return the field's text; null if there is none */
        public String text(String name) {
            return fields.get(name) instanceof String text ? text : null;
        }

        /** @return the field's number; -1 if there is none */
        public long number(String name) {
            return fields.get(name) instanceof Long number ? number : -1;
        }

        /** @return the text of a field of the proof; null if there is none */
        public String proof(String name) {
            return fields.get(PROOF) instanceof Map<?, ?> proof && proof.get(name) instanceof String text ? text : null;
        }
    }

    /**
     * Reads a report, canonical or not.
     *
     * @param document read to its end and closed
     * @throws IOException if it is no JSON document of this kind
     */
    public static ReadReport of(InputStream document) throws IOException {
        try (JsonParser parser = new JsonFactory().createParser(document)) {
            String schema = null;
            Map<?, ?> signedBy = null;
            List<Image> images = new ArrayList<>();
            require(parser.nextToken() == JsonToken.START_OBJECT, parser);
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String name = parser.currentName();
                parser.nextToken();
                switch (name) {
                    case "schema" -> schema = parser.getText();
                    case "signedBy" -> signedBy = CanonicalJson.value(parser) instanceof Map<?, ?> map ? map : null;
                    case "images" -> images(parser, images);
                    default -> parser.skipChildren();
                }
            }
            require(parser.nextToken() == null, parser);
            return new ReadReport(schema, signedBy, images);
        }
    }

    private static void images(JsonParser parser, List<Image> images) throws IOException {
        require(parser.currentToken() == JsonToken.START_ARRAY, parser);
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            ExtentSet.Builder discarded = ExtentSet.builder();
            images.add(new Image(fields(parser, discarded, true), discarded.build()));
        }
    }

    private static Map<String, Object> fields(JsonParser parser, ExtentSet.Builder discarded, boolean ofImage) throws IOException {
        require(parser.currentToken() == JsonToken.START_OBJECT, parser);
        Map<String, Object> fields = new HashMap<>();
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken token = parser.nextToken();
            if (ofImage && name.equals(PROOF) && token == JsonToken.START_OBJECT) {
                fields.put(name, fields(parser, discarded, false));
            } else if (!ofImage && name.equals("discarded")) {
                extents(parser, discarded);
            } else if (token.isScalarValue()) {
                fields.put(name, CanonicalJson.value(parser));
            } else {
                parser.skipChildren();
            }
        }
        return fields;
    }

    private static void extents(JsonParser parser, ExtentSet.Builder extents) throws IOException {
        require(parser.currentToken() == JsonToken.START_ARRAY, parser);
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            require(parser.currentToken() == JsonToken.START_ARRAY, parser);
            long offset = number(parser);
            long length = number(parser);
            require(offset >= 0 && length > 0 && offset <= Long.MAX_VALUE - length && parser.nextToken() == JsonToken.END_ARRAY,
                    parser);
            extents.add(offset, length);
        }
    }

    private static long number(JsonParser parser) throws IOException {
        require(parser.nextToken() == JsonToken.VALUE_NUMBER_INT, parser);
        return parser.getLongValue();
    }

    private static void require(boolean fits, JsonParser parser) throws IOException {
        if (!fits) {
            throw new IOException("not a report of Lacuna: wrong at byte " + parser.currentTokenLocation().getByteOffset());
        }
    }
}
