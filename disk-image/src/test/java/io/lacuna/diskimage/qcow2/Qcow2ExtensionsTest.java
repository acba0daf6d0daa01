package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.EditedImage.AUTOCLEAR;
import static io.lacuna.diskimage.qcow2.EditedImage.BACKING_FORMAT;
import static io.lacuna.diskimage.qcow2.EditedImage.BACKING_NAME_OFFSET;
import static io.lacuna.diskimage.qcow2.EditedImage.BITMAPS;
import static io.lacuna.diskimage.qcow2.EditedImage.CLUSTER;
import static io.lacuna.diskimage.qcow2.EditedImage.DATA_FILE_NAME;
import static io.lacuna.diskimage.qcow2.EditedImage.FEATURE_NAMES;
import static io.lacuna.diskimage.qcow2.EditedImage.UNKNOWN_EXTENSION;
import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Header extensions and what the bitmaps extension leads to: each check refuses what it is for. */
class Qcow2ExtensionsTest {

    private static final Class<? extends DiskFormatException> CORRUPT = CorruptException.class;
    private static final Class<? extends DiskFormatException> UNSUPPORTED = UnsupportedException.class;

    private static final String BACKED = "backed.qcow2";
    private static final String BITMAP = "bitmap.qcow2";
    private static final String DATA_FILE = "data.qcow2";

    // Fields of the bitmaps extension, behind its type and length. Source: QEMU docs/interop/qcow2, "Bitmaps extension".
    private static final int COUNT = 0;
    private static final int DIRECTORY_SIZE = 8; // u64
    private static final int DIRECTORY_OFFSET = 16; // u64
    private static final int BITMAPS_SIZE = 24;
    // Fields of an entry of the bitmap directory.
    private static final int TABLE_OFFSET = 0; // u64
    private static final int TABLE_ENTRIES = 8;
    private static final int NAME_LENGTH = 18; // u16
    private static final int EXTRA_LENGTH = 20;

    private static final int LARGEST_NAME = 1023;
    private static final int LARGEST_DIRECTORY = 65535 * (24 + LARGEST_NAME + 1);

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("""
                cd "$1"; truncate -s 2M base.raw
                qemu-img create -q -f qcow2 bitmap.qcow2 2M
                qemu-img bitmap --add bitmap.qcow2 dirty; qemu-io -f qcow2 -c 'write -P 7 0 1M' bitmap.qcow2
                qemu-img create -q -f qcow2 -b base.raw -F raw backed.qcow2 2M
                qemu-img create -q -f qcow2 -o data_file=data.bin data.qcow2 2M
                """, directory);
    }

    private static FieldCase opening(String claim, String image, FieldCase.Edit edit, String says) {
        return new FieldCase(claim, image, FieldCase.Stage.OPEN, edit, CORRUPT, says);
    }

    private static FieldCase.Edit length(int type, int length) {
        return image -> image.put32(image.extension(type) + 4, length);
    }

    private static FieldCase.Edit type(int type, int other) {
        return image -> image.put32(image.extension(type), other);
    }

    private static Stream<FieldCase> lengths() {
        return Stream.of(
                opening("a length behind the cluster", BITMAP, length(FEATURE_NAMES, CLUSTER),
                        "header extension 0x6803f857: length @0x74"),
                opening("a length one byte behind the cluster", BITMAP,
                        i -> length(FEATURE_NAMES, CLUSTER - i.extension(FEATURE_NAMES) - 8 + 1).apply(i),
                        "header extension 0x6803f857: length @0x74"),
                opening("a length as a negative number", BITMAP, length(FEATURE_NAMES, -8),
                        "header extension 0x6803f857: length @0x74"),
                opening("a length of an unknown extension", BITMAP,
                        i -> i.put32(i.extension(FEATURE_NAMES), UNKNOWN_EXTENSION).put32(i.extension(UNKNOWN_EXTENSION) + 4, -1),
                        "header extension 0x12345678: length @0x74"),
                opening("a length one byte into the backing file's name", BACKED,
                        i -> length(FEATURE_NAMES, (int) i.get64(BACKING_NAME_OFFSET) - i.extension(FEATURE_NAMES) - 8 + 1)
                                .apply(i),
                        "header extension 0x6803f857: length @0x"));
    }

    private static Stream<FieldCase> names() {
        String format = "header extension: backing file format @0x";
        String name = "header extension: data file name @0x";
        return Stream.of(
                opening("two backing formats", BACKED, type(FEATURE_NAMES, BACKING_FORMAT), format),
                opening("a backing format of no bytes", BACKED, length(BACKING_FORMAT, 0), format),
                opening("a backing format of 1024 bytes", BITMAP,
                        i -> i.put32(i.extension(FEATURE_NAMES), BACKING_FORMAT)
                                .put32(i.extension(BACKING_FORMAT) + 4, LARGEST_NAME + 1), format),
                opening("two data file names", DATA_FILE, type(FEATURE_NAMES, DATA_FILE_NAME), name),
                opening("a data file name of no bytes", DATA_FILE, length(DATA_FILE_NAME, 0), name),
                opening("a data file name of 1024 bytes", DATA_FILE, length(DATA_FILE_NAME, LARGEST_NAME + 1), name),
                new FieldCase("a data file without a name", DATA_FILE, FieldCase.Stage.OPEN,
                        type(DATA_FILE_NAME, UNKNOWN_EXTENSION), UNSUPPORTED, "does not name it"));
    }

    private static FieldCase.Edit bitmaps(int field, long value) {
        return image -> image.put64(image.bitmaps() + field, value);
    }

    private static Stream<FieldCase> bitmapsExtensions() {
        String length = "bitmaps extension: length @0x";
        String count = "bitmaps extension: count @0x";
        String place = "bitmaps extension: directory @0x";
        return Stream.of(
                opening("shorter than its fields", BITMAP, length(BITMAPS, BITMAPS_SIZE - 8), length),
                opening("longer than its fields", BITMAP, length(BITMAPS, BITMAPS_SIZE + 8), length),
                opening("two of them", BITMAP, i -> {
                    int second = i.bitmaps() + BITMAPS_SIZE;
                    i.put32(second, BITMAPS).put32(second + 4, BITMAPS_SIZE);
                    for (int at = 0; at < BITMAPS_SIZE; at += 8) {
                        i.put64(second + 8 + at, i.get64(i.bitmaps() + at));
                    }
                }, length),
                opening("none, but the bit that calls them consistent", BITMAP, type(BITMAPS, UNKNOWN_EXTENSION),
                        "qcow2 header: auto-clear features @0x58: expected bit 0 only with a bitmaps extension"),
                opening("the bit where there never was one", BACKED, i -> i.set64(AUTOCLEAR, 1),
                        "qcow2 header: auto-clear features @0x58: expected bit 0 only with a bitmaps extension"),
                opening("no bitmap", BITMAP, i -> i.put32(i.bitmaps() + COUNT, 0), count),
                opening("65536 bitmaps", BITMAP, i -> i.put32(i.bitmaps() + COUNT, 65536), count),
                opening("a directory in the header", BITMAP, bitmaps(DIRECTORY_OFFSET, 0), place),
                opening("a directory misaligned by a sector", BITMAP, i -> bitmaps(DIRECTORY_OFFSET, i.grow(1) + 512).apply(i),
                        place),
                opening("a directory far outside the file", BITMAP, bitmaps(DIRECTORY_OFFSET, 1L << 40), place),
                opening("a directory at 2^63", BITMAP, bitmaps(DIRECTORY_OFFSET, 1L << 63), "64-bit field @0x"),
                opening("a directory that ends one byte behind the last cluster", BITMAP,
                        i -> bitmaps(DIRECTORY_SIZE, (i.size() + CLUSTER - 1 & -CLUSTER) - i.bitmap() + 1).apply(i), place),
                opening("a directory that is larger than all its entries can be", BITMAP, i -> {
                    i.resize((int) i.bitmap() + LARGEST_DIRECTORY + CLUSTER);
                    bitmaps(DIRECTORY_SIZE, LARGEST_DIRECTORY + 1).apply(i);
                }, place));
    }

    private static FieldCase planning(String claim, FieldCase.Edit edit, Class<? extends DiskFormatException> kind, String says) {
        return new FieldCase(claim, BITMAP, FieldCase.Stage.PLAN, edit, kind, says);
    }

    private static FieldCase.Edit table(long offset) {
        return image -> image.put64(image.bitmap() + TABLE_OFFSET, offset);
    }

    private static Stream<FieldCase> directoryEntries() {
        String entries = "bitmap 0: table entries @0x";
        String place = "bitmap 0: table @0x";
        return Stream.of(
                planning("a table above QEMU's limit", i -> i.put32(i.bitmap() + TABLE_ENTRIES, 0x800_0001), UNSUPPORTED, entries),
                planning("a table of 2^32 - 1 entries", i -> i.put32(i.bitmap() + TABLE_ENTRIES, -1), UNSUPPORTED, entries),
                planning("a table in the header", table(0), CORRUPT, place),
                planning("a table misaligned by a sector", i -> table(i.get64(i.bitmap()) + 512).apply(i), CORRUPT, place),
                planning("a table far outside the file", table(1L << 40), CORRUPT, place),
                planning("a table at 2^63", table(1L << 63), CORRUPT, "64-bit field @0x"),
                planning("a table that starts in the file and ends behind it",
                        i -> i.put32(i.bitmap() + TABLE_ENTRIES, (i.size() + CLUSTER) / 8), CORRUPT, place),
                planning("a name behind the directory", i -> i.put16(i.bitmap() + NAME_LENGTH, 9), CORRUPT,
                        "bitmap directory entry 0 @0x"),
                planning("extra data behind the directory", i -> i.put32(i.bitmap() + EXTRA_LENGTH, 8), CORRUPT,
                        "bitmap directory entry 0 @0x"),
                planning("extra data of 2^32 - 1 bytes", i -> i.put32(i.bitmap() + EXTRA_LENGTH, -1), CORRUPT,
                        "bitmap directory entry 0 @0x"),
                planning("more bitmaps than the directory has", i -> i.put32(i.bitmaps() + COUNT, 2), CORRUPT,
                        "bitmap directory entry 1 @0x"),
                planning("a directory that the file ends in", i -> {
                    int end = i.grow(1);
                    i.resize(end + 16).put64(i.bitmaps() + DIRECTORY_OFFSET, end);
                }, CORRUPT, "bitmap directory entry 0 @0x"));
    }

    /** An entry of the first bitmap's table. */
    private static FieldCase.Edit bits(long entry) {
        return image -> image.put64(image.get64(image.bitmap()), entry);
    }

    private static Stream<FieldCase> tableEntries() {
        String entry = "bitmap table entry @0x";
        return Stream.of(
                planning("reserved bit 1", bits(2), CORRUPT, entry),
                planning("reserved bit 8", bits(1 << 8), CORRUPT, entry),
                planning("reserved bit 56", bits(1L << 56), CORRUPT, entry),
                planning("reserved bit 63", bits(1L << 63), CORRUPT, entry),
                planning("all ones and a cluster", i -> bits(i.grow(1) | 1).apply(i), CORRUPT, entry),
                planning("bits misaligned by a sector", i -> bits(i.grow(2) + 512).apply(i), CORRUPT, "bitmap data @0x"),
                planning("bits outside the file", bits(1L << 40), CORRUPT, "bitmap data @0x"));
    }

    @ParameterizedTest
    @MethodSource({"lengths", "names", "bitmapsExtensions", "directoryEntries", "tableEntries"})
    void isRefusedAndTheFieldNamed(FieldCase field) throws IOException {
        field.check(directory);
    }

    @Test
    void aTableOfFeatureNamesMeansNothing() throws IOException {
        EditedImage image = new EditedImage(directory.resolve(BACKED));
        image.put32(image.extension(FEATURE_NAMES) + 4, 47); // no whole entry
        int next = image.extension(FEATURE_NAMES) + 8 + 48;
        image.put32(next, FEATURE_NAMES).put32(next + 4, 0).put64(next + 8, 0);
        assertDoesNotThrow(() -> image.open().close());
    }

    @Test
    void extensionsEndAtTypeZero() throws IOException {
        EditedImage image = new EditedImage(directory.resolve(BACKED));
        image.put32(image.extension(FEATURE_NAMES) + 4, -1).put32(image.extension(FEATURE_NAMES), 0);
        assertDoesNotThrow(() -> image.open().close());
    }

    @Test
    void inconsistentBitmapsAreNotFollowed() throws IOException {
        EditedImage image = new EditedImage(directory.resolve(BITMAP));
        image.put64(AUTOCLEAR, 0).put32(image.bitmaps() + COUNT, 0).put64(image.bitmaps() + DIRECTORY_OFFSET, 7);
        try (DiskImage disk = image.open()) {
            Deallocation plan = disk.plan(Images.request(ExtentSet.EMPTY));
            assertTrue(plan.remarks().toString().contains("bitmap"), plan.remarks().toString());
            assertEquals(0, plan.plannedBytes());
        }
    }

    @Test
    void aBitmapOfOnesHasNoCluster() throws IOException {
        EditedImage image = new EditedImage(directory.resolve(BITMAP));
        bits(1).apply(image);
        try (DiskImage disk = image.open()) {
            assertDoesNotThrow(() -> disk.plan(Images.request(ExtentSet.EMPTY)));
        }
    }
}
