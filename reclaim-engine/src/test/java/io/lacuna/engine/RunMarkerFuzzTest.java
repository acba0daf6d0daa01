package io.lacuna.engine;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.fixtures.FuzzBounds;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** The marker of a run: whatever it holds. */
class RunMarkerFuzzTest {

    private static final String MAGIC = "lacuna.run/1";

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(RunMarkerFuzzTest.class, "markers", this::markers);
    }

    @Tag("fuzz")
    @FuzzTest
    void markers(byte[] content) {
        FuzzBounds.check(content.length, () -> {
            Path image = directory.resolve("image");
            Path place = directory.resolve("image.lacuna-run");
            Files.write(place, content);
            RunMarker marker = RunMarker.of(image, new FileIdentity(0, 7, 10, 0, 0, false));
            boolean stands = marker.stands();
            marker.remove();
            boolean stays = Files.exists(place);
            String text = new String(content, StandardCharsets.ISO_8859_1);
            if (stays ? stands : !text.startsWith(MAGIC) && !MAGIC.startsWith(text)) {
                throw new AssertionError(stays ? "a marker that stays" : "a file that is no marker was deleted");
            }
            marker.requirePlace();
        });
    }
}
