package io.lacuna.engine;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.fixtures.FuzzBounds;
import io.lacuna.fixtures.MemoryTempDir;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The marker of a run: whatever it holds. */
@Tag("fuzz")
@Timeout(150)
class RunMarkerFuzzTest {

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @FuzzTest(maxDuration = "20s")
    void markers(byte[] content) {
        FuzzBounds.check(content.length, () -> {
            Path image = directory.resolve("image");
            Files.write(directory.resolve("image.lacuna-run"), content);
            RunMarker marker = RunMarker.of(image, new FileIdentity(0, 7, 10, 0, 0, false));
            marker.stands();
            marker.requirePlace();
            marker.remove();
        });
    }
}
