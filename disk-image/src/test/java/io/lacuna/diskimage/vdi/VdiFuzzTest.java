package io.lacuna.diskimage.vdi;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.diskimage.ImageFuzz;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** VDI: header and map. */
class VdiFuzzTest {

    private static final FuzzedImages IMAGES = new FuzzedImages();
    private static byte[] base;

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() throws IOException {
        VdiBuilder parent = VdiBuilder.of(4096, 10 * 4096, 3, VdiBuilder.FREE, 0, VdiBuilder.ZERO, 1, 2, 4, 5, VdiBuilder.FREE, 6);
        VdiBuilder child = VdiBuilder.of(4096, 10 * 4096, 1, 0, VdiBuilder.FREE, VdiBuilder.ZERO, 2, VdiBuilder.FREE,
                VdiBuilder.FREE, 3, 4, VdiBuilder.FREE).childOf(parent);
        base = parent.bytes();
        for (byte[] image : new byte[][] {base, child.bytes()}) {
            IMAGES.add(image, 64, 448, 512, 48, 0, 65535);
        }
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(VdiFuzzTest.class, "images", this::images);
    }

    @Tag("fuzz")
    @FuzzTest
    void images(byte[] input) {
        ImageFuzz fuzz = new ImageFuzz(VdiImages.FORMAT, directory, base);
        IMAGES.check(input, (image, number, options) -> fuzz.read(image, null, options));
    }
}
