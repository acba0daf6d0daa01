package io.lacuna.diskimage.vhdx;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.diskimage.ImageFuzz;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** VHDX: headers, region and metadata tables, log, block table, sector bitmaps, parent locator. */
class VhdxFuzzTest {

    private static final UUID GUID = new UUID(1, 2);
    private static final int MIB = VhdxMaker.MIB;
    private static final FuzzedImages IMAGES = new FuzzedImages();
    private static byte[] base;

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() throws IOException {
        Path path = directory.resolve("base.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(path, 8L * MIB, MIB)) {
            maker.store(1, VhdxMaker.FULL, 0x11);
        }
        base = Files.readAllBytes(path);
        Path child = directory.resolve("child.vhdx");
        try (VhdxMaker maker = VhdxMaker.child(child, 8L * MIB, MIB, 512, "base.vhdx")) {
            maker.store(0, VhdxMaker.FULL, 0x21);
            long bitmap = maker.bitmap(0);
            maker.store(2, VhdxMaker.PARTIAL, 0x22);
            maker.present(bitmap, 4096 + 100, 300);
            maker.entry(3, 2).entry(4, 3).entry(5, 1);
            byte[] sector = maker.get(VhdxMaker.BAT, 4096);
            ByteBuffer.wrap(sector).order(ByteOrder.LITTLE_ENDIAN).putLong(48, 2);
            maker.putLog(0, maker.logEntry(GUID, 1, 0, VhdxMaker.Change.data(VhdxMaker.BAT, sector),
                    VhdxMaker.Change.zeros(VhdxMaker.BAT + 8192, 4096)));
            maker.log(GUID);
        }
        for (byte[] image : new byte[][] {base, Files.readAllBytes(child)}) {
            IMAGES.add(image, VhdxFuzzTest::seal, 64 << 10, 96, 128 << 10, 96, 192 << 10, 128, 256 << 10, 128, MIB, 256,
                    MIB + 4096, 8192, VhdxMaker.METADATA, 300, VhdxMaker.METADATA + (64 << 10), 700, VhdxMaker.BAT, 128,
                    VhdxMaker.BAT + 4096 * 8, 16, 0, 65535);
        }
    }

    private static void seal(byte[] image) {
        for (int[] part : new int[][] {{64 << 10, 4096}, {128 << 10, 4096}, {192 << 10, 64 << 10}, {256 << 10, 64 << 10}}) {
            seal(image, part[0], part[1]);
        }
        if (image[MIB] == 'l') {
            int length = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN).getInt(MIB + 8);
            seal(image, MIB, Math.min(length, MIB));
        }
    }

    private static void seal(byte[] image, int at, int length) {
        ByteBuffer part = ByteBuffer.wrap(Arrays.copyOfRange(image, at, at + length)).order(ByteOrder.LITTLE_ENDIAN);
        VhdxMaker.seal(part);
        System.arraycopy(part.array(), 0, image, at, length);
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(VhdxFuzzTest.class, "images", this::images);
    }

    @Tag("fuzz")
    @FuzzTest
    void images(byte[] input) {
        ImageFuzz fuzz = new ImageFuzz(Reading.FORMAT, directory, base);
        IMAGES.check(input, (image, number, options) -> fuzz.read(image, null, options));
    }
}
