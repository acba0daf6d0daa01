package io.lacuna.diskimage.vhd;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.diskimage.ImageFuzz;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** VHD: footers, dynamic header, block table, sector bitmaps, parent locators. */
class VhdFuzzTest {

    private static final FuzzedImages IMAGES = new FuzzedImages();
    private static byte[] base;

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() throws IOException {
        byte[] content = VhdMaker.pattern(6 * 16384 + 1024, 1);
        VhdMaker maker = VhdMaker.dynamic(content, 3, 0, 2, 6, 4, 1);
        maker.spareEntries = 2;
        base = maker.bytes();
        BitSet own = new BitSet();
        own.set(5, 150);
        byte[] child = VhdMaker.differencing("base.vhd", VhdMaker.pattern(content.length, 2), own, 4, 0, 2, 1).bytes();
        byte[] fixed = Arrays.copyOf(content, content.length + 512);
        System.arraycopy(VhdMaker.footer(2, "win ", content.length, new byte[16]).array(), 0, fixed, content.length, 512);
        for (byte[] image : new byte[][] {base, child, fixed}) {
            IMAGES.add(image, VhdFuzzTest::seal, 0, 100, 512, 100, 512 + 576, 64, VhdMaker.TABLE, 1024, image.length - 512, 100,
                    0, 65535);
        }
        IMAGES.addCorpus(directory, VhdFuzzTest::seal, "SecurityRonin-vhd-forensic/minimal.vhd", "dfvfs/image-differential.vhd",
                "qemu-iotests/hyperv2012r2-dynamic.vhd.bz2", "dfvfs/ext2.vhd");
    }

    private static void seal(byte[] image) {
        System.arraycopy(VhdDamageTest.sealed(image), 0, image, 0, image.length);
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(VhdFuzzTest.class, "images", this::images);
    }

    @Tag("fuzz")
    @FuzzTest
    void images(byte[] input) {
        ImageFuzz fuzz = new ImageFuzz(Runs.FORMAT, directory, base);
        IMAGES.check(input, (image, number, options) -> fuzz.read(image, null, options));
    }
}
