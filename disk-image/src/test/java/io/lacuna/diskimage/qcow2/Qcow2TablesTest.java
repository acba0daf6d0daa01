package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.EditedImage.CLUSTER;
import static io.lacuna.diskimage.qcow2.EditedImage.COMPRESSED;
import static io.lacuna.diskimage.qcow2.EditedImage.COPIED;
import static io.lacuna.diskimage.qcow2.EditedImage.REFCOUNT_TABLE_OFFSET;
import static io.lacuna.diskimage.qcow2.EditedImage.SNAPSHOTS_OFFSET;
import static io.lacuna.diskimage.qcow2.EditedImage.SNAPSHOT_COUNT;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Snapshots and reference counts, and tables that overlap: each check refuses what it is for. */
class Qcow2TablesTest {

    private static final Class<? extends DiskFormatException> CORRUPT = CorruptException.class;
    private static final Class<? extends DiskFormatException> UNSUPPORTED = UnsupportedException.class;

    private static final String PLAIN = "plain.qcow2";
    private static final String SNAPSHOT = "snapshot.qcow2";
    /** The snapshot and the disk have one L2 table. */
    private static final String SHARED = "shared.qcow2";
    private static final String ZLIB = "zlib.qcow2";
    private static final String BITMAP = "bitmap.qcow2";

    // Fields of an entry of the snapshot table. Source: QEMU docs/interop/qcow2, "Snapshots".
    private static final int TABLE_OFFSET = 0; // u64
    private static final int TABLE_ENTRIES = 8;
    private static final int ID_LENGTH = 12; // u16
    private static final int NAME_LENGTH = 14; // u16
    private static final int EXTRA_LENGTH = 36;
    private static final int ENTRY = 40;

    private static final int MOST_L1_ENTRIES = 4 << 20;
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
                image plain
                image shared; qemu-img snapshot -c one shared.qcow2
                image snapshot; qemu-img snapshot -c one snapshot.qcow2; qemu-io -f qcow2 -c 'write -P 8 0 64k' snapshot.qcow2
                image bitmap; qemu-img bitmap --add bitmap.qcow2 dirty
                seq 1 200000 > text; truncate -s 1M text
                qemu-img convert -c -f raw -O qcow2 text zlib.qcow2
                """, directory);
    }

    private static FieldCase corrupt(String claim, String image, FieldCase.Edit edit, String says) {
        return new FieldCase(claim, image, FieldCase.Stage.PLAN, edit, CORRUPT, says);
    }

    private static FieldCase snapshot(String claim, FieldCase.Edit edit, Class<? extends DiskFormatException> kind, String says) {
        return new FieldCase(claim, SNAPSHOT, FieldCase.Stage.PLAN, edit, kind, says);
    }

    /** Puts the only entry of the snapshot table to the file's end, which comes so many bytes behind its start. */
    private static long moveTable(EditedImage image, int bytes) {
        long old = image.snapshot();
        int start = image.grow((bytes + CLUSTER - 1) / CLUSTER);
        for (int at = 0; at < ENTRY + 32; at += 8) {
            image.put64(start + at, image.get64(old + at));
        }
        image.resize(start + bytes).put64(SNAPSHOTS_OFFSET, start);
        return start;
    }

    private static FieldCase.Edit snapshotTable(long offset) {
        return image -> image.put64(image.snapshot() + TABLE_OFFSET, offset);
    }

    private static Stream<FieldCase> snapshots() {
        String entries = "snapshot 0: L1 entries @0x";
        String place = "snapshot 0: L1 table @0x";
        return Stream.of(
                snapshot("an L1 table above 32 MiB", i -> i.put32(i.snapshot() + TABLE_ENTRIES, MOST_L1_ENTRIES + 1), UNSUPPORTED,
                        entries),
                snapshot("an L1 table of 2^32 - 1 entries", i -> i.put32(i.snapshot() + TABLE_ENTRIES, -1), UNSUPPORTED, entries),
                snapshot("an L1 table in the header", snapshotTable(0), CORRUPT, place),
                snapshot("an L1 table misaligned by a sector", i -> snapshotTable(i.get64(i.snapshot()) + 512).apply(i), CORRUPT,
                        place),
                snapshot("an L1 table far outside the file", snapshotTable(FAR), CORRUPT, place),
                snapshot("an L1 table at 2^63", snapshotTable(1L << 63), CORRUPT, "64-bit field @0x"),
                snapshot("an L1 table that starts in the file and ends behind it",
                        i -> i.put32(i.snapshot() + TABLE_ENTRIES, (i.size() + CLUSTER) / 8), CORRUPT, place),
                snapshot("L1 tables of 1 GiB and more together", i -> {
                    i.resize((int) i.l1() + MOST_L1_ENTRIES * 8);
                    long table = i.grow(1);
                    i.put64(SNAPSHOTS_OFFSET, table).put32(SNAPSHOT_COUNT, 33);
                    for (int n = 0; n < 33; n++) {
                        i.put64(table + n * ENTRY + TABLE_OFFSET, i.l1());
                        i.put32(table + n * ENTRY + TABLE_ENTRIES, MOST_L1_ENTRIES);
                    }
                }, UNSUPPORTED, "snapshots: L1 entries of all @0x"),
                snapshot("extra data above 1024 bytes", i -> i.put32(i.snapshot() + EXTRA_LENGTH, 1025), UNSUPPORTED,
                        "snapshot 0: extra data @0x"),
                snapshot("extra data of 2^32 - 1 bytes", i -> i.put32(i.snapshot() + EXTRA_LENGTH, -1), UNSUPPORTED,
                        "snapshot 0: extra data @0x"),
                snapshot("a table above 64 MiB", i -> {
                    int step = ENTRY + 2 * 65535 + 7 & -8;
                    int count = (64 << 20) / step + 1;
                    long table = i.grow(count * step / CLUSTER + 2);
                    i.put64(SNAPSHOTS_OFFSET, table).put32(SNAPSHOT_COUNT, count);
                    for (int n = 0; n < count; n++) {
                        i.put16(table + (long) n * step + ID_LENGTH, 65535).put16(table + (long) n * step + NAME_LENGTH, 65535);
                    }
                }, UNSUPPORTED, "snapshot table @0x"),
                snapshot("an entry behind the end of the file", i -> {
                    moveTable(i, ENTRY + 32);
                    i.put32(SNAPSHOT_COUNT, 2);
                }, CORRUPT, "snapshot table entry 1 @0x"),
                snapshot("a name behind the end of the file", i -> i.put16(moveTable(i, ENTRY + 32) + ID_LENGTH, 100), CORRUPT,
                        "snapshot name @0x"),
                snapshot("a name that ends behind the file", i -> i.put16(moveTable(i, 200) + NAME_LENGTH, 65535), CORRUPT,
                        "snapshot table @0x"));
    }

    private static Stream<FieldCase> refcounts() {
        String entry = "refcount table entry 0 @0x";
        String count = "reference count of the cluster at 0x";
        return Stream.of(
                corrupt("reserved bit 0", PLAIN, i -> i.set64(i.refcountTable(), 1), entry),
                corrupt("reserved bit 8", PLAIN, i -> i.set64(i.refcountTable(), 1 << 8), entry),
                corrupt("a block misaligned by a sector", PLAIN, i -> i.set64(i.refcountTable(), 512), entry),
                corrupt("a block far outside the file", PLAIN, i -> i.put64(i.refcountTable(), FAR), entry),
                corrupt("a block at 2^63", PLAIN, i -> i.set64(i.refcountTable(), 1L << 63), entry),
                corrupt("a block behind the end, for clusters that are not there", PLAIN,
                        i -> i.put64(i.refcountTable() + 8, i.grow(0)), "refcount table entry 1 @0x"),
                corrupt("no block for clusters in use", PLAIN, i -> i.put64(i.refcountTable(), 0), count + "0 (repair"),
                corrupt("a count of 0 for the header", PLAIN, i -> i.put16(i.get64(i.refcountTable()), 0),
                        count + "0 (repair"),
                corrupt("a count of 1 for a cluster of two", SNAPSHOT, i -> {
                    long cluster = i.get64(i.l2() + 8) & L2Entry.OFFSET;
                    i.put16(i.get64(i.refcountTable()) + cluster / CLUSTER * 2, 1);
                }, "expected at least the 2 references found, found 1"),
                corrupt("COPIED on a table of two", SHARED, i -> i.set64(i.l1(), COPIED), "COPIED flag of a L2 table"),
                corrupt("COPIED on a cluster of two", SNAPSHOT, i -> i.set64(i.l2() + 8, COPIED), "COPIED flag of a cluster"));
    }

    private static Stream<FieldCase> overlaps() {
        return Stream.of(
                corrupt("the refcount table is the L1 table", PLAIN, i -> i.put64(REFCOUNT_TABLE_OFFSET, i.l1()),
                        "refcount table (repair"),
                corrupt("a refcount block is the L1 table", PLAIN, i -> i.put64(i.refcountTable(), i.l1()),
                        "refcount block (repair"),
                corrupt("the snapshot table is the refcount table", SNAPSHOT,
                        i -> i.put64(SNAPSHOTS_OFFSET, i.refcountTable()), "snapshot table (repair"),
                corrupt("a snapshot's L1 table is the active one", SNAPSHOT, i -> snapshotTable(i.l1()).apply(i),
                        "snapshot's L1 table (repair"),
                corrupt("the bitmap directory is the refcount table", BITMAP,
                        i -> i.put64(i.bitmaps() + 16, i.refcountTable()), "bitmap directory (repair"),
                corrupt("a bitmap's table is the L1 table", BITMAP, i -> i.put64(i.bitmap(), i.l1()),
                        "bitmap table (repair"),
                corrupt("a bitmap's cluster is the L1 table", BITMAP, i -> i.put64(i.get64(i.bitmap()), i.l1()),
                        "bitmap data (repair"),
                corrupt("an L2 table is the refcount table", PLAIN, i -> i.putL1(i.refcountTable() | COPIED),
                        "L2 table (repair"),
                corrupt("a cluster is the L2 table", PLAIN, i -> i.putL2(0, i.l2() | COPIED), "data cluster (repair"),
                corrupt("a compressed cluster is in the L2 table", PLAIN, i -> i.putL2(0, COMPRESSED | i.l2()),
                        "compressed cluster (repair"),
                corrupt("a compressed cluster is in another's", PLAIN,
                        i -> i.putL2(1, COMPRESSED | i.get64(i.l2()) & L2Entry.OFFSET), "compressed cluster (repair"),
                corrupt("a cluster is where a compressed one is", ZLIB,
                        i -> i.putL2(1, i.get64(i.l2()) & (1L << SECTORS_SHIFT) - 1 & -CLUSTER), "data cluster (repair"));
    }

    @ParameterizedTest
    @MethodSource({"snapshots", "refcounts", "overlaps"})
    void isRefusedAndTheFieldNamed(FieldCase field) throws IOException {
        field.check(directory);
    }
}
