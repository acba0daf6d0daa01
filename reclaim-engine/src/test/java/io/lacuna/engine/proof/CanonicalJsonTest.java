package io.lacuna.engine.proof;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.lacuna.blockio.ExtentSet;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import org.junit.jupiter.api.Test;

class CanonicalJsonTest {

    private static ReadReport read(String document) throws IOException {
        return ReadReport.of(new ByteArrayInputStream(document.getBytes(StandardCharsets.UTF_8)));
    }

    private static String canonical(Object value) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        CanonicalJson.write(value, out);
        return out.toString(StandardCharsets.UTF_8);
    }

    private static String canonicalOf(String json) throws IOException {
        return canonical(CanonicalJson.parse(json.getBytes(StandardCharsets.UTF_8)));
    }

    /** The example of RFC 8785, section 3.2.3. */
    @Test
    void namesAreSortedByTheirUtf16Units() throws IOException {
        assertEquals("{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"\u00f6\":\"Latin Small Letter O With "
                + "Diaeresis\",\"\u20ac\":\"Euro Sign\",\"\ud83d\ude00\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet "
                + "With Dagesh\"}",
                canonicalOf("{\"\\u20ac\": \"Euro Sign\", \"\\r\": \"Carriage Return\", \"\\ufb33\": \"Hebrew Letter Dalet With "
                        + "Dagesh\",\"1\": \"One\", \"\\ud83d\\ude00\": \"Emoji: Grinning Face\", \"\\u0080\": \"Control\","
                        + "\"\\u00f6\": \"Latin Small Letter O With Diaeresis\"}"));
    }

    /** From the example of RFC 8785, section 3.2.2. */
    @Test
    void literalsAndStringsHaveOneForm() throws IOException {
        assertEquals("{\"literals\":[null,true,false],\"string\":\"\u20ac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}",
                canonicalOf("{ \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\", \"literals\": [null, "
                + "true, false] }"));
        assertEquals("{\"a\":[],\"b\":{},\"c\":-9007199254740993}", canonicalOf("{\"c\":-9007199254740993,\"b\":{},\"a\":[]}"));
    }

    @Test
    void extentsArePairs() throws IOException {
        assertEquals("{\"e\":[[0,5],[7,9223372036854775800]]}", canonical(Map.of("e",
                ExtentSet.ofRange(0, 5).union(ExtentSet.ofRange(7, 9223372036854775800L)))));
        assertEquals("[]", canonical(ExtentSet.EMPTY));
    }

    @Test
    void otherNumbersAreRefused() {
        assertThrows(IOException.class, () -> canonicalOf("[1.5]"));
        assertThrows(IOException.class, () -> canonicalOf("[9223372036854775808]"));
    }

    @Test
    void everyPrefixOfAReportIsRefusedAndNothingElseHappens() throws IOException {
        String report = "{\"canonical\":\"RFC 8785\",\"images\":[{\"path\":\"a\",\"proof\":{\"after\":null,\"before\":\"x\","
                + "\"discarded\":[[0,5],[7,9]]},\"volumes\":[{\"index\":1}]}],"
                + "\"schema\":\"lacuna.report/1\",\"signedBy\":{\"a\":\"b\"}}";
        ReadReport read = read(report);
        assertEquals(ExtentSet.ofRange(0, 5).union(ExtentSet.ofRange(7, 9)), read.images().get(0).discarded());
        assertEquals("x", read.images().get(0).proof("before"));
        for (int length = 0; length < report.length(); length++) {
            String prefix = report.substring(0, length);
            assertThrows(IOException.class, () -> read(prefix), prefix);
        }
        for (String wrong : new String[] {"[]", "{\"images\":{}}", "{\"images\":[3]}",
                "{\"images\":[{\"proof\":{\"discarded\":[[1]]}}]}",
            "{\"images\":[{\"proof\":{\"discarded\":[[1,-1]]}}]}",
            "{\"images\":[{\"proof\":{\"discarded\":[[9223372036854775807,2]]}}]}",
            "{\"images\":[{\"proof\":{\"discarded\":[[1,2,3]]}}]}", "{} {}"}) {
            assertThrows(IOException.class, () -> read(wrong), wrong);
        }
    }
}
