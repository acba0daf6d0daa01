package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.EditedImage.AUTOCLEAR;
import static io.lacuna.diskimage.qcow2.EditedImage.BACKING_NAME_LENGTH;
import static io.lacuna.diskimage.qcow2.EditedImage.BACKING_NAME_OFFSET;
import static io.lacuna.diskimage.qcow2.EditedImage.CLUSTER;
import static io.lacuna.diskimage.qcow2.EditedImage.CLUSTER_BITS;
import static io.lacuna.diskimage.qcow2.EditedImage.COMPRESSION_TYPE;
import static io.lacuna.diskimage.qcow2.EditedImage.CRYPT_METHOD;
import static io.lacuna.diskimage.qcow2.EditedImage.DISK_SIZE;
import static io.lacuna.diskimage.qcow2.EditedImage.HEADER_LENGTH;
import static io.lacuna.diskimage.qcow2.EditedImage.INCOMPATIBLE;
import static io.lacuna.diskimage.qcow2.EditedImage.L1_ENTRIES;
import static io.lacuna.diskimage.qcow2.EditedImage.L1_OFFSET;
import static io.lacuna.diskimage.qcow2.EditedImage.MAGIC;
import static io.lacuna.diskimage.qcow2.EditedImage.REFCOUNT_ORDER;
import static io.lacuna.diskimage.qcow2.EditedImage.REFCOUNT_TABLE_CLUSTERS;
import static io.lacuna.diskimage.qcow2.EditedImage.REFCOUNT_TABLE_OFFSET;
import static io.lacuna.diskimage.qcow2.EditedImage.SNAPSHOTS_OFFSET;
import static io.lacuna.diskimage.qcow2.EditedImage.SNAPSHOT_COUNT;
import static io.lacuna.diskimage.qcow2.EditedImage.VERSION;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryHostFile;
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

/** The header: each check refuses what it is for. */
class Qcow2FieldsTest {

    private static final Class<? extends DiskFormatException> CORRUPT = CorruptException.class;
    private static final Class<? extends DiskFormatException> UNSUPPORTED = UnsupportedException.class;
    private static final Class<? extends DiskFormatException> UNSAFE = UnsafeException.class;

    private static final String PLAIN = "plain.qcow2";
    private static final String OLD = "old.qcow2";
    private static final String BACKED = "backed.qcow2";
    private static final String SNAPSHOT = "snapshot.qcow2";
    private static final String EXTENDED = "extended.qcow2";
    private static final String ZSTD = "zstd.qcow2";
    private static final String DATA_FILE = "data.qcow2";
    private static final String RAW_DATA = "raw-data.qcow2";

    private static final long FAR = 1L << 40; // a multiple of the cluster size behind the end of every image here

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("""
                cd "$1"
                image() { qemu-img create -q -f qcow2 "${@:2}" $1.qcow2 2M; qemu-io -f qcow2 -c 'write -P 7 0 1M' $1.qcow2; }
                truncate -s 2M base.raw
                image plain; image old -o compat=0.10; image backed -b base.raw -F raw
                image snapshot; qemu-img snapshot -c one snapshot.qcow2
                image extended -o extended_l2=on; image zstd -o compression_type=zstd
                image data -o data_file=data.bin; image raw-data -o data_file=raw-data.bin,data_file_raw=on
                """, directory);
    }

    private static FieldCase opening(String claim, String image, FieldCase.Edit edit, Class<? extends DiskFormatException> kind,
            String says) {
        return new FieldCase(claim, image, FieldCase.Stage.OPEN, edit, kind, says);
    }

    private static Stream<FieldCase> kindsOfImage() {
        return Stream.of(
                opening("another magic", PLAIN, i -> i.put32(MAGIC, 0x514649FA), CORRUPT, "qcow2 header: magic @0x0"),
                opening("version 1", PLAIN, i -> i.put32(VERSION, 1), UNSUPPORTED, "qcow2 header: version @0x4"),
                opening("version 4", PLAIN, i -> i.put32(VERSION, 4), UNSUPPORTED, "qcow2 header: version @0x4"),
                opening("an end in the header of version 2", OLD, i -> i.resize(71), CORRUPT, "qcow2 header @0x0"),
                opening("an end in the header of version 3", PLAIN, i -> i.resize(103), CORRUPT, "qcow2 header @0x0"),
                opening("incompatible bit 5", PLAIN, i -> i.set64(INCOMPATIBLE, 1 << 5), UNSUPPORTED,
                        "qcow2 header: incompatible features @0x48: expected none but bits 0 to 4, found 0x20"),
                opening("incompatible bit 63", PLAIN, i -> i.set64(INCOMPATIBLE, 1L << 63), UNSUPPORTED,
                        "qcow2 header: incompatible features @0x48"),
                opening("an unknown bit of a dirty image", PLAIN, i -> i.set64(INCOMPATIBLE, 1 << 5 | 1), UNSUPPORTED,
                        "qcow2 header: incompatible features @0x48"),
                opening("marked dirty", PLAIN, i -> i.set64(INCOMPATIBLE, 1), UNSAFE, "marked dirty"),
                opening("marked corrupt", PLAIN, i -> i.set64(INCOMPATIBLE, 2), UNSAFE, "marked corrupt"),
                opening("marked corrupt and dirty", PLAIN, i -> i.set64(INCOMPATIBLE, 3), UNSAFE, "marked corrupt"),
                opening("encrypted", PLAIN, i -> i.put32(CRYPT_METHOD, 1), UNSUPPORTED, "encrypted (method 1)"),
                opening("encrypted, version 2", OLD, i -> i.put32(CRYPT_METHOD, 2), UNSUPPORTED, "encrypted (method 2)"));
    }

    private static Stream<FieldCase> sizes() {
        String length = "qcow2 header: length @0x64";
        String bits = "qcow2 header: cluster bits @0x14";
        String order = "qcow2 header: refcount order @0x60";
        return Stream.of(
                opening("header length below 104", PLAIN, i -> i.put32(HEADER_LENGTH, 96), CORRUPT, length),
                opening("header length 0", PLAIN, i -> i.put32(HEADER_LENGTH, 0), CORRUPT, length),
                opening("header length no multiple of 8", PLAIN, i -> i.put32(HEADER_LENGTH, 108), CORRUPT, length),
                opening("header length above a cluster", PLAIN, i -> i.put32(HEADER_LENGTH, CLUSTER + 8), CORRUPT, length),
                opening("header length as a negative number", PLAIN, i -> i.put32(HEADER_LENGTH, -8), CORRUPT, length),
                opening("clusters of 4 MiB", PLAIN, i -> i.put32(CLUSTER_BITS, 22), UNSUPPORTED, bits),
                opening("clusters of 2^63 bytes", PLAIN, i -> i.put32(CLUSTER_BITS, 63), UNSUPPORTED, bits),
                opening("clusters of 2^64 bytes", PLAIN, i -> i.put32(CLUSTER_BITS, 64), CORRUPT, bits),
                opening("clusters of 256 bytes", PLAIN, i -> i.put32(CLUSTER_BITS, 8), CORRUPT, bits + ": expected 9 to 21"),
                opening("extended entries and clusters of 8 KiB", EXTENDED, i -> i.put32(CLUSTER_BITS, 13), CORRUPT,
                        bits + ": expected 14 to 21"),
                opening("refcount order 7", PLAIN, i -> i.put32(REFCOUNT_ORDER, 7), CORRUPT, order),
                opening("refcount order as a negative number", PLAIN, i -> i.put32(REFCOUNT_ORDER, -1), CORRUPT, order));
    }

    private static Stream<FieldCase> compressionTypes() {
        String type = "qcow2 header: compression type @0x68";
        long bit = 1 << 3;
        return Stream.of(
                opening("a type without its bit", PLAIN, i -> i.put(COMPRESSION_TYPE, (byte) 1), CORRUPT, type),
                opening("the bit without a type", PLAIN, i -> i.set64(INCOMPATIBLE, bit), CORRUPT, type),
                opening("zstd without its bit", ZSTD, i -> i.clear64(INCOMPATIBLE, bit), CORRUPT, type),
                opening("the bit in a header without the field", ZSTD, i -> i.put32(HEADER_LENGTH, 104), CORRUPT, type),
                opening("type 2", ZSTD, i -> i.put(COMPRESSION_TYPE, (byte) 2), UNSUPPORTED, type),
                opening("type 255", ZSTD, i -> i.put(COMPRESSION_TYPE, (byte) 255), UNSUPPORTED, type),
                opening("an end before the field", ZSTD, i -> i.resize(104), CORRUPT, "qcow2 header @0x68"));
    }

    private static Stream<FieldCase> backingFiles() {
        String length = "qcow2 header: length of the backing file's name @0x10";
        String place = "qcow2 header: backing file's name @0x8";
        return Stream.of(
                opening("a name of no bytes", BACKED, i -> i.put32(BACKING_NAME_LENGTH, 0), CORRUPT, length),
                opening("a name of 1024 bytes", BACKED, i -> i.put32(BACKING_NAME_LENGTH, 1024), CORRUPT, length),
                opening("a name of 2^32 - 1 bytes", BACKED, i -> i.put32(BACKING_NAME_LENGTH, -1), CORRUPT, length),
                opening("a name that ends behind the first cluster", BACKED,
                        i -> i.put64(BACKING_NAME_OFFSET, CLUSTER - i.get32(BACKING_NAME_LENGTH) + 1), CORRUPT, place),
                opening("a name in the second cluster", BACKED, i -> i.put64(BACKING_NAME_OFFSET, CLUSTER), CORRUPT, place),
                opening("a name at 2^63", BACKED, i -> i.put64(BACKING_NAME_OFFSET, 1L << 63), CORRUPT, "64-bit field @0x8"),
                opening("a name with a byte 0", BACKED, i -> i.put(i.get64(BACKING_NAME_OFFSET) + 1, (byte) 0), CORRUPT,
                        "backing file's name @0x"),
                opening("a backing file beside a raw data file", RAW_DATA,
                        i -> i.put64(BACKING_NAME_OFFSET, 4096).put32(BACKING_NAME_LENGTH, 8), CORRUPT,
                        "qcow2 header: backing file @0x8"));
    }

    private static Stream<FieldCase> tables() {
        String entries = "qcow2 header: L1 entries @0x24";
        String clusters = "qcow2 header: refcount table clusters @0x38";
        String snapshots = "qcow2 header: snapshots @0x3c";
        return Stream.of(
                opening("an L1 table above 32 MiB", PLAIN, i -> i.put32(L1_ENTRIES, (32 << 17) + 1), UNSUPPORTED, entries),
                opening("no L1 table for 2 MiB", PLAIN, i -> i.put32(L1_ENTRIES, 0), CORRUPT, entries),
                opening("an L1 table short by one sector", PLAIN, i -> i.put64(DISK_SIZE, (512 << 20) + 512), CORRUPT,
                        entries + ": expected 2 or more"),
                opening("extended entries: an L1 table short by one sector", EXTENDED,
                        i -> i.put64(DISK_SIZE, (256 << 20) + 512), CORRUPT, entries + ": expected 2 or more"),
                opening("a disk of almost 2^63 bytes", PLAIN, i -> i.put64(DISK_SIZE, Long.MAX_VALUE), CORRUPT, entries),
                opening("a disk of 2^63 bytes", PLAIN, i -> i.put64(DISK_SIZE, 1L << 63), CORRUPT, "64-bit field @0x18"),
                opening("no refcount table", PLAIN, i -> i.put32(REFCOUNT_TABLE_CLUSTERS, 0), CORRUPT, clusters),
                opening("a refcount table above 8 MiB", PLAIN, i -> i.put32(REFCOUNT_TABLE_CLUSTERS, 129), UNSUPPORTED, clusters),
                opening("65537 snapshots", SNAPSHOT, i -> i.put32(SNAPSHOT_COUNT, 65537), UNSUPPORTED, snapshots),
                opening("snapshots beside a data file", DATA_FILE,
                        i -> i.put32(SNAPSHOT_COUNT, 1).put64(SNAPSHOTS_OFFSET, i.l2()), CORRUPT, snapshots),
                opening("raw data without a data file", PLAIN, i -> i.set64(AUTOCLEAR, 2), CORRUPT,
                        "qcow2 header: auto-clear features @0x58"));
    }

    private static Stream<FieldCase> placesOfTables() {
        return Stream.of(new Object[][] {{"L1 table", PLAIN, L1_OFFSET}, {"refcount table", PLAIN, REFCOUNT_TABLE_OFFSET},
            {"snapshot table", SNAPSHOT, SNAPSHOTS_OFFSET}}).flatMap(row -> {
                String name = (String) row[0];
                String image = (String) row[1];
                int field = (Integer) row[2];
                String offset = "qcow2 header: offset of the " + name + " @0x" + Integer.toHexString(field);
                String end = "qcow2 header: " + name + " @0x" + Integer.toHexString(field);
                return Stream.of(
                        opening(name + " in the header", image, i -> i.put64(field, 0), CORRUPT, offset),
                        opening(name + " misaligned by a sector", image, i -> i.put64(field, i.get64(field) + 512), CORRUPT,
                                offset),
                        opening(name + " misaligned by a byte", image, i -> i.put64(field, i.get64(field) + 1), CORRUPT, offset),
                        opening(name + " far outside the file", image, i -> i.put64(field, FAR), CORRUPT, end),
                        opening(name + " in the first cluster behind the end", image,
                                i -> i.put64(field, i.size() + CLUSTER - 1 & -CLUSTER), CORRUPT, end),
                        opening(name + " at the highest cluster", image, i -> i.put64(field, Long.MAX_VALUE & -CLUSTER), CORRUPT,
                                end),
                        opening(name + " at 2^63", image, i -> i.put64(field, 1L << 63), CORRUPT,
                                "64-bit field @0x" + Integer.toHexString(field)));
            });
    }

    private static Stream<FieldCase> endsOfTables() {
        return Stream.of(
                opening("an L1 table that starts in the file and ends behind it", PLAIN,
                        i -> i.put32(L1_ENTRIES, (i.size() - (int) i.l1() + CLUSTER) / 8), CORRUPT,
                        "qcow2 header: L1 table @0x28"),
                opening("a refcount table that starts in the file and ends behind it", PLAIN,
                        i -> i.put32(REFCOUNT_TABLE_CLUSTERS, i.size() / CLUSTER + 1), CORRUPT,
                        "qcow2 header: refcount table @0x30"));
    }

    @ParameterizedTest
    @MethodSource({"kindsOfImage", "sizes", "compressionTypes", "backingFiles", "tables", "placesOfTables", "endsOfTables"})
    void isRefusedAndTheFieldNamed(FieldCase field) throws IOException {
        field.check(directory);
    }

    /** Where version 3 has its features, version 2 has the type of an extension, which looks like a data file's bit. */
    @Test
    void onlyVersion3CanHaveADataFile() throws IOException {
        EditedImage old = new EditedImage(directory.resolve(OLD));
        old.put64(INCOMPATIBLE, (long) EditedImage.BACKING_FORMAT << 32 | 5);
        assertFalse(Images.FORMAT.mayHaveParts(new MemoryHostFile(old.path(), old.bytes())));
        EditedImage plain = new EditedImage(directory.resolve(PLAIN));
        assertFalse(Images.FORMAT.mayHaveParts(new MemoryHostFile(plain.path(), plain.bytes())));
        assertTrue(Images.FORMAT.mayHaveParts(new MemoryHostFile(plain.path(), plain.put64(INCOMPATIBLE, 1 << 2).bytes())));
    }

    @Test
    void aSizeThatIsNoWholeSectorIsCut() throws IOException {
        EditedImage image = new EditedImage(directory.resolve(PLAIN));
        long size = image.get64(DISK_SIZE);
        try (DiskImage disk = image.put64(DISK_SIZE, size - 1).open()) {
            assertEquals(size - 512, disk.virtualSize());
        }
    }
}
