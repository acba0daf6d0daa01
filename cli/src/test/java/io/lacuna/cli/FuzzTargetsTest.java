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

/** What is kept of each of the fuzzer's targets runs without it: nothing else would tell that one was forgotten. */
class FuzzTargetsTest {

    private static final Pattern TARGET = Pattern.compile("@FuzzTest\\s+void (\\w+)\\(byte\\[] ");

    @Test
    void eachTargetReplaysItsKeptInputs() throws IOException {
        Path root = Path.of("").toAbsolutePath();
        while (!Files.exists(root.resolve("SECURITY.md"))) {
            root = root.getParent();
        }
        List<Path> tests;
        try (Stream<Path> files = Files.find(root, 12, (path, attributes) -> path.toString().contains("src/test/java")
                && path.toString().endsWith(".java"))) {
            tests = files.toList();
        }
        int targets = 0;
        List<String> wrong = new ArrayList<>();
        for (Path test : tests) {
            String source = Files.readString(test);
            String name = test.getFileName().toString().replace(".java", "");
            Matcher target = TARGET.matcher(source);
            while (target.find()) {
                targets++;
                String replay = "@TestFactory\n    Stream<DynamicTest> keptInputs() throws IOException {\n"
                        + "        return KeptInputs.of(" + name + ".class, \"" + target.group(1) + "\", this::"
                        + target.group(1) + ");";
                // The search is for this tag in classes of such a name, and all other runs leave out what has the tag.
                if (!source.contains(replay) || !source.contains("@Tag(\"fuzz\")\n    @FuzzTest\n")
                        || !name.endsWith("FuzzTest")) {
                    wrong.add(name);
                }
            }
        }
        assertEquals(List.of(), wrong);
        assertTrue(targets > 10, targets + " targets");
    }
}
