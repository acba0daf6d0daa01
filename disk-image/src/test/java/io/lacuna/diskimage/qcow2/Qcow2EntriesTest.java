package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.EditedImage.CLUSTER;
import static io.lacuna.diskimage.qcow2.EditedImage.COMPRESSED;
import static io.lacuna.diskimage.qcow2.EditedImage.COPIED;
import static io.lacuna.diskimage.qcow2.EditedImage.L1_ENTRIES;
import static io.lacuna.diskimage.qcow2.EditedImage.L1_OFFSET;
import static io.lacuna.diskimage.qcow2.FieldCase.Stage.MAP;
import static io.lacuna.diskimage.qcow2.FieldCase.Stage.PLAN;
import static io.lacuna.diskimage.qcow2.FieldCase.Stage.READ;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** L1 and L2 entries and compressed clusters: each check refuses what it is for. */
class Qcow2EntriesTest {

    private static final Class<? extends DiskFormatException> CORRUPT = CorruptException.class;

    private static final String PLAIN = "plain.qcow2";
    private static final String OLD = "old.qcow2";
    private static final String EXTENDED = "extended.qcow2";
    private static final String DATA_FILE = "data.qcow2";
    private static final String SNAPSHOT = "snapshot.qcow2";
    private static final String ZLIB = "zlib.qcow2";
    private static final String ZSTD = "zstd.qcow2";

    private static final long FAR = 1L << 40;
    /** Where the number of sectors stands in the entry of a compressed cluster, with clusters of 64 KiB. */
    private static final int SECTORS_SHIFT = 62 - (16 - 8);

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("""
                cd "$1"
                image() { qemu-img create -q -f qcow2 "${@:2}" $1.qcow2 2M; qemu-io -f qcow2 -c 'write -P 7 0 1M' $1.qcow2; }
                image plain; image old -o compat=0.10; image extended -o extended_l2=on; image data -o data_file=data.bin
                image snapshot; qemu-img snapshot -c one snapshot.qcow2
                qemu-io -f qcow2 -c 'write -P 8 0 64k' snapshot.qcow2
                seq 1 200000 > text; truncate -s 1M text
                qemu-img convert -c -f raw -O qcow2 text zlib.qcow2
                qemu-img convert -c -f raw -O qcow2 -o compression_type=zstd text zstd.qcow2
                """, directory);
    }

    private static FieldCase corrupt(String claim, String image, FieldCase.Stage stage, FieldCase.Edit edit, String says) {
        return new FieldCase(claim + " (" + stage + ")", image, stage, edit, CORRUPT, says);
    }

    /** What reading, mapping and planning refuse alike. */
    private static Stream<FieldCase> l1Entries() {
        return Stream.of(READ, MAP, PLAN).flatMap(stage -> Stream.of(
                corrupt("L1: reserved bit 0", PLAIN, stage, i -> i.set64(i.l1(), 1), "L1 entry 0 @0x"),
                corrupt("L1: reserved bit 8", PLAIN, stage, i -> i.set64(i.l1(), 1 << 8), "L1 entry 0 @0x"),
                corrupt("L1: reserved bit 56", PLAIN, stage, i -> i.set64(i.l1(), 1L << 56), "L1 entry 0 @0x"),
                corrupt("L1: reserved bit 62", PLAIN, stage, i -> i.set64(i.l1(), 1L << 62), "L1 entry 0 @0x"),
                corrupt("L1: misaligned by a sector", PLAIN, stage, i -> i.set64(i.l1(), 512), "L1 entry 0 @0x"),
                corrupt("L1: outside the file", PLAIN, stage, i -> i.putL1(FAR | COPIED),
                        stage == PLAN ? "L2 table @0x" : "L1 entry 0 @0x")));
    }

    private static Stream<FieldCase> otherL1Entries() {
        return Stream.of(
                corrupt("a flag without a table", PLAIN, PLAN, i -> i.putL1(COPIED), "L2 table @0x0"),
                corrupt("a table named twice", PLAIN, MAP,
                        i -> i.put32(L1_ENTRIES, 2).put64(i.l1() + 8, i.get64(i.l1())), "L1 table: L2 table @0x"),
                corrupt("a table named twice", PLAIN, PLAN,
                        i -> i.put32(L1_ENTRIES, 2).put64(i.l1() + 8, i.get64(i.l1())), "L1 entry 1 (repair"),
                corrupt("more tables than clusters", PLAIN, PLAN, i -> {
                    int table = i.grow(1);
                    long entry = i.get64(i.l1());
                    i.put64(L1_OFFSET, table).put32(L1_ENTRIES, CLUSTER / 8);
                    for (int at = 0; at < CLUSTER; at += 8) {
                        i.put64(table + at, entry);
                    }
                }, "L1 table @0x"),
                corrupt("a snapshot's entry with a reserved bit", SNAPSHOT, PLAN, i -> i.set64(i.get64(i.snapshot()), 1),
                        "L1 entry 0 @0x"),
                corrupt("a snapshot's L2: reserved bit 1", SNAPSHOT, PLAN,
                        i -> i.set64(i.get64(i.get64(i.snapshot())) & L2Entry.OFFSET, 2), "L2 entry of a snapshot"),
                corrupt("a snapshot's entry outside the file", SNAPSHOT, PLAN, i -> i.put64(i.get64(i.snapshot()), FAR),
                        "L2 table @0x"));
    }

    /** Adds bits to the first L2 entry. */
    private static FieldCase.Edit bits(long bits) {
        return image -> image.set64(image.l2(), bits);
    }

    private static Stream<FieldCase> l2Entries() {
        String reserved = "L2 entry of guest byte 0x0: expected an offset of whole clusters, no reserved bits";
        String packed = "L2 entry of guest byte 0x0: expected a compressed cluster without COPIED flag and without data file";
        String offset = ": expected an offset in the data file that is the guest offset";
        String subclusters = "L2 entry of guest byte 0x0: expected subclusters that are stored or zero, not both";
        return Stream.of(READ, MAP, PLAN).flatMap(stage -> Stream.of(
                corrupt("L2: reserved bit 1", PLAIN, stage, bits(2), reserved),
                corrupt("L2: reserved bit 8", PLAIN, stage, bits(1 << 8), reserved),
                corrupt("L2: reserved bit 56", PLAIN, stage, bits(1L << 56), reserved),
                corrupt("L2: reserved bit 61", PLAIN, stage, bits(1L << 61), reserved),
                corrupt("L2: misaligned by a sector", PLAIN, stage, bits(512), reserved),
                corrupt("L2: zeros in version 2", OLD, stage, bits(1), reserved),
                corrupt("L2: zeros in an extended entry", EXTENDED, stage, bits(1), reserved),
                corrupt("L2: outside the file", PLAIN, stage, i -> i.putL2(0, FAR | COPIED),
                        stage == PLAN ? "L2 entry @0x10000000000" : "L2 entry of guest byte 0x0: expected a cluster in the file's"),
                corrupt("L2: compressed and COPIED", ZLIB, stage, bits(COPIED), packed),
                corrupt("L2: compressed beside a data file", DATA_FILE, stage, i -> i.putL2(0, COMPRESSED | CLUSTER), packed),
                corrupt("L2: another offset in the data file", DATA_FILE, stage, i -> i.putL2(1, 2 * CLUSTER | COPIED),
                        "L2 entry of guest byte 0x10000" + offset),
                corrupt("L2: the first offset in the data file again", DATA_FILE, stage, i -> i.putL2(1, COPIED),
                        "L2 entry of guest byte 0x10000" + offset),
                corrupt("L2: a subcluster stored and zero", EXTENDED, stage, i -> i.putL2(1, 1L << 32 + 5 | 1 << 5),
                        subclusters),
                corrupt("L2: the last subcluster stored and zero", EXTENDED, stage, i -> i.putL2(1, 1L << 63 | 1L << 31),
                        subclusters),
                corrupt("L2: a stored subcluster without a cluster", EXTENDED, stage, i -> i.putL2(0, 0), subclusters)));
    }

    private static Stream<FieldCase> compressedClusters() {
        long sectors = 1L << SECTORS_SHIFT;
        FieldCase.Edit ruined = i -> {
            byte[] ones = new byte[64];
            Arrays.fill(ones, (byte) -1);
            i.put(i.get64(i.l2()) & sectors - 1, ones);
        };
        return Stream.of(
                corrupt("compressed in the header", ZLIB, READ, i -> i.putL2(0, COMPRESSED | sectors),
                        "compressed cluster @0x0: expected a place behind the header"),
                corrupt("compressed in the header", ZLIB, PLAN, i -> i.putL2(0, COMPRESSED | sectors),
                        "compressed cluster @0x0: expected a place inside the file, behind the header"),
                corrupt("compressed outside the file", ZLIB, READ, i -> i.putL2(0, COMPRESSED | FAR),
                        "compressed cluster @0x10000000000"),
                corrupt("compressed outside the file", ZLIB, PLAN, i -> i.putL2(0, COMPRESSED | FAR),
                        "compressed cluster @0x10000000000"),
                corrupt("compressed up to behind the end", ZLIB, PLAN,
                        i -> i.putL2(0, COMPRESSED | 255 * sectors | (i.size() - 512 & -512)), "compressed cluster @0x"),
                corrupt("no deflate stream", ZLIB, READ, ruined, "expected a deflate stream of 65536 bytes"),
                corrupt("a deflate stream that is cut", ZLIB, READ, i -> i.clear64(i.l2(), 255 * sectors),
                        "expected a deflate stream of 65536 bytes"),
                corrupt("no zstd frame", ZSTD, READ, ruined, "expected a zstd frame of 65536 bytes"),
                corrupt("a zstd frame that is cut", ZSTD, READ, i -> i.clear64(i.l2(), 255 * sectors),
                        "expected a zstd frame of 65536 bytes"),
                corrupt("a zstd frame with a window of 16 MiB", ZSTD, READ, i -> i.putL2(0, COMPRESSED | frame(i, 24)),
                        "expected a zstd frame of 65536 bytes"));
    }

    /** Adds a zstd frame of one cluster of 'A'. @return where it starts. Source: RFC 8878, 3.1.1 */
    private static int frame(EditedImage image, int windowLog) {
        int start = image.grow(1);
        image.put(start, (byte) 0x28, (byte) 0xB5, (byte) 0x2F, (byte) 0xFD, // magic
                (byte) 0, (byte) (windowLog - 10 << 3), // a window descriptor, no size of the content, no checksum
                (byte) 3, (byte) 0, (byte) 8, (byte) 'A'); // the last block: 65536 times one byte
        return start;
    }

    @ParameterizedTest
    @MethodSource({"l1Entries", "otherL1Entries", "l2Entries", "compressedClusters"})
    void isRefusedAndTheFieldNamed(FieldCase field) throws IOException {
        field.check(directory);
    }

    @Test
    void aZstdFrameMayHaveAWindowOf8Mib() throws IOException {
        EditedImage image = new EditedImage(directory.resolve(ZSTD));
        image.putL2(0, COMPRESSED | frame(image, 23));
        try (DiskImage disk = image.open()) {
            ByteBuffer content = ByteBuffer.allocate(CLUSTER);
            disk.guest().read(0, content);
            assertEquals('A', content.get(CLUSTER - 1));
        }
    }

    @Test
    void moreThanAGibOfTablesInHolesIsRefused() throws IOException {
        int most = 512;
        int tables = most + 8; // more by more than the other tables, which may be stored
        int cluster = 2 << 20;
        Path image = directory.resolve("holes.qcow2");
        Tools.ok("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", image.toString(), "2M");
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            long first = (file.length() + cluster - 1) / cluster * cluster;
            file.setLength(first + (long) tables * cluster);
            file.seek(L1_ENTRIES);
            file.writeInt(most);
            long l1 = file.readLong();
            file.seek(l1);
            for (int i = 0; i < tables; i++) {
                file.writeLong(first + (long) i * cluster | COPIED);
            }
        }
        try (DiskImage disk = Images.open(image, false)) {
            CorruptException counts = assertThrows(CorruptException.class, () -> PLAN.pass(disk));
            assertTrue(counts.reason().startsWith("reference count"), counts.getMessage()); // 1 GiB is not too much yet
        }
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(L1_ENTRIES);
            file.writeInt(tables);
        }
        for (FieldCase.Stage stage : List.of(MAP, PLAN)) {
            try (DiskImage disk = Images.open(image, false)) {
                UnsupportedException refusal = assertThrows(UnsupportedException.class, () -> stage.pass(disk));
                assertTrue(refusal.reason().contains("more than 1 GiB of empty tables in holes"), refusal.getMessage());
            }
        }
    }
}
