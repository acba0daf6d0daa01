package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** Each test that SECURITY.md names is there. */
class SecurityDocumentTest {

    private static final Pattern NAMED = Pattern.compile("`(\\w+(?:Test|Properties))#(\\w+)`");

    @Test
    void everyPromiseNamesATest() throws IOException {
        Path root = Path.of("").toAbsolutePath();
        while (!Files.exists(root.resolve("SECURITY.md"))) {
            root = root.getParent();
        }
        List<Path> tests;
        try (Stream<Path> files = Files.find(root, 12, (path, attributes) -> path.toString().contains("src/test/java")
                && path.toString().endsWith(".java"))) {
            tests = files.toList();
        }
        String document = Files.readString(root.resolve("SECURITY.md"));
        List<String> missing = new ArrayList<>();
        int named = 0;
        Matcher names = NAMED.matcher(document);
        while (names.find()) {
            named++;
            boolean found = false;
            for (Path test : tests) {
                found |= test.endsWith(names.group(1) + ".java")
                        && Files.readString(test).contains(" void " + names.group(2) + "(");
            }
            if (!found) {
                missing.add(names.group());
            }
        }
        assertEquals(List.of(), missing);
        assertTrue(named > 50, named + " tests are named");
        for (String line : document.split("\n### ")) {
            assertTrue(!line.contains("| shown by |") || NAMED.matcher(line).find(), line);
        }
    }
}
