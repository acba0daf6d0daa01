package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Each kind of image in each mode: what it holds afterwards, by QEMU and by a second reader, and again when QEMU has written to
 * what was freed; and whether the files grow by that. {@link ImageKind} has the table of what is expected.
 */
class FormatsAndModesTest {

    private static final long MIB = 1 << 20;
    /** The largest block of any kind: a whole one is freed whatever the format. */
    private static final int UNIT = 2 << 20;
    private static final int PART = 4096;

    @TempDir
    static Path shared;

    private static GuestDisk disk;
    private static ExtentSet free;
    /** Units of free space: two that are written as a whole, and one of which a part is. */
    private static long[] units;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        disk = GuestDisk.assemble(shared.resolve("model.raw"), "gpt", 512, GuestVolume.ext(shared, "ext", 40 * MIB,
                "-t ext4 -b 4096"));
        free = disk.free();
        ExtentSet whole = free.inwardTo(UNIT);
        units = new long[] {whole.start(0), whole.start(0) + UNIT, whole.start(0) + 2 * UNIT};
        assertTrue(whole.contains(units[0], 3 * UNIT), () -> "too little free space in one piece: " + whole);
    }

    static Stream<Arguments> cases() {
        return Stream.of(ImageKind.values()).flatMap(kind -> Stream.of(ReclaimMode.values()).map(mode -> Arguments.of(kind, mode)));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void othersReadTheSameAndWriteOn(ImageKind kind, ReclaimMode mode) throws IOException {
        Path image = kind.make(disk, Files.createDirectory(directory.resolve("vm")));
        long before = ImageKind.length(image);
        ImageReport report = ReclaimRun.run(image, kind.reclaim(mode).build());
        assertNull(report.reason());
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict());
        long length = ImageKind.length(image);
        long stored = ImageKind.hostBytes(image);
        assertTrue(length <= before, before + " became " + length);
        Path raw = kind.byQemu(image, directory);
        assertEquals(List.of(), disk.differences(raw, free, kind.zeroed(free)));
        assertReaderAgrees(kind, image, raw);
        kind.check(image);

        Tools.shell("cd \"$(dirname \"$1\")\"; qemu-io -f $2 -c \"write -P 1 $3 " + UNIT + "\" -c \"write -P 2 $4 " + UNIT
                + "\" -c \"write -P 3 $5 " + PART + "\" \"$1\" > /dev/null", image, kind.driver, units[0], units[1],
                units[2] + UNIT / 2);
        kind.check(image);
        Path written = kind.byQemu(image, directory);
        ExtentSet used = ExtentSet.builder().add(units[0], 2L * UNIT).add(units[2] + UNIT / 2, PART).build();
        assertEquals(List.of(), disk.differences(written, free, kind.zeroed(free).minus(used)));
        assertWritten(written);
        assertReaderAgrees(kind, image, written);

        long grown = ImageKind.length(image) - length;
        String what = kind + " after " + mode + ": " + 2 * UNIT + " + " + PART + " bytes written, grown by " + grown;
        System.out.println(what);
        switch (kind.growthAfter(mode)) {
            case IN_PLACE, REUSES -> assertEquals(0, grown, what);
            case APPENDS -> assertTrue(grown >= 2 * UNIT + PART && grown <= 3 * UNIT + MIB, what);
        }
        long taken = ImageKind.hostBytes(image) - stored;
        assertTrue(taken <= 3 * UNIT + MIB, what + ", and the host stores " + taken + " more");
    }

    private static void assertWritten(Path raw) throws IOException {
        assertFilled(raw, units[0], UNIT, 1);
        assertFilled(raw, units[1], UNIT, 2);
        assertFilled(raw, units[2] + UNIT / 2, PART, 3);
    }

    private static void assertFilled(Path raw, long offset, int length, int value) throws IOException {
        byte[] expected = new byte[length];
        Arrays.fill(expected, (byte) value);
        byte[] found = new byte[length];
        try (RandomAccessFile file = new RandomAccessFile(raw.toFile(), "r")) {
            file.seek(offset);
            file.readFully(found);
        }
        assertEquals(-1, Arrays.mismatch(expected, found), "first wrong byte behind " + offset);
    }

    private void assertReaderAgrees(ImageKind kind, Path image, Path byQemu) throws IOException {
        if (kind.reader != null) {
            Path second = kind.byReader(image, directory);
            Tools.ok("cmp", byQemu.toString(), second.toString());
            Files.delete(second);
        }
    }

    /** Nothing of the above proves anything with a reader that reads nothing. */
    @ParameterizedTest
    @MethodSource("kindsWithReaders")
    void theSecondReaderReadsImagesThatNobodyTouched(ImageKind kind) throws IOException {
        Path image = kind.make(disk, Files.createDirectory(directory.resolve("vm")));
        Tools.ok("cmp", disk.file().toString(), kind.byReader(image, directory).toString());
    }

    static Stream<ImageKind> kindsWithReaders() {
        return Stream.of(ImageKind.values()).filter(kind -> kind.reader != null);
    }

    @ParameterizedTest
    @MethodSource("modes")
    void streamsAreRefused(ReclaimMode mode) {
        Path image = directory.resolve("disk.vmdk");
        Tools.shell("qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized \"$1\" \"$2\"", disk.file(), image);
        String before = Tools.ok("sha256sum", image.toString());
        ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().mode(mode).build());
        assertEquals(ImageReport.Verdict.REFUSED, report.verdict());
        assertTrue(report.reason().contains("copy"), report.reason());
        assertEquals(before, Tools.ok("sha256sum", image.toString()));
    }

    static Stream<ReclaimMode> modes() {
        return Stream.of(ReclaimMode.values());
    }
}
