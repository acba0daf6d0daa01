package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.Images.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Places where a wrong guess frees a live block; each of these fails when its guard is taken out. */
class Qcow2TrapsTest {

    private static final int SIZE = 2 << 20;
    private static final long COPIED = 1L << 63;
    private static final ExtentSet FREE = kib(256, 1024);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private Path image;

    @BeforeEach
    void make() throws IOException {
        Tools.require("qemu-img", "qemu-io", "fallocate");
        make("cluster_size=64k");
    }

    private void make(String options) throws IOException {
        image = directory.resolve("image.qcow2");
        Images.pattern(directory.resolve("model.raw"), SIZE, 1);
        Tools.shell("cd \"$1\"; qemu-img convert -f raw -O qcow2 -o $2 model.raw image.qcow2", directory, options);
    }

    private long get(long offset) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "r")) {
            file.seek(offset);
            return file.readLong();
        }
    }

    private void put(long offset, long value) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(offset);
            file.writeLong(value);
        }
    }

    private long l2() throws IOException {
        return get(get(40)) & L2Entry.OFFSET;
    }

    /** Where the 16-bit count of the cluster at this place stands. */
    private long refcount(long cluster) throws IOException {
        return get(get(48)) + (cluster >>> 16) * 2;
    }

    private void putRefcount(long cluster, int count) throws IOException {
        try (RandomAccessFile file = new RandomAccessFile(image.toFile(), "rw")) {
            file.seek(refcount(cluster));
            file.writeShort(count);
        }
    }

    private <T extends Throwable> T refuses(Class<T> kind, ExtentSet free) throws IOException {
        byte[] before = Files.readAllBytes(image);
        T refusal = assertThrows(kind, () -> {
            try (DiskImage disk = Images.open(image, true)) {
                disk.apply(disk.plan(Images.request(free)), Progress.NONE);
            }
        });
        assertArrayEquals(before, Files.readAllBytes(image), "a refused image is unchanged");
        return refusal;
    }

    @Test
    void tableSharedWithASnapshotIsNotChanged() throws IOException {
        Tools.ok("qemu-img", "snapshot", "-c", "a", image.toString());
        byte[] before = Files.readAllBytes(image);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertTrue(plan.isEmpty());
        assertEquals(FREE, Images.retained(plan, "shared with snapshot 'a'"));
        assertArrayEquals(before, Files.readAllBytes(image));
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void nothingIsPunchedInsideAClusterOfTwo(boolean punchOnly) throws IOException {
        Tools.ok("qemu-img", "snapshot", "-c", "a", image.toString());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", image.toString()); // the L2 table is its own now
        byte[] snapshot = Images.content(image, "-l", "a");
        ExtentSet part = kib(256, 300);
        Deallocation plan = Images.run(image, punchOnly ? Images.punch(part) : Images.request(part));
        assertTrue(plan.isEmpty());
        assertEquals(part, Images.retained(plan, "shared with snapshot 'a'"));
        assertArrayEquals(snapshot, Images.content(image, "-l", "a"));
    }

    @Test
    void sharedClusterLosesOnlyTheCurrentReference() throws IOException {
        Tools.ok("qemu-img", "snapshot", "-c", "a", image.toString());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", image.toString());
        byte[] snapshot = Images.content(image, "-l", "a");
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertTrue(plan.changesTables());
        assertEquals(0, plan.plannedBytes());
        assertArrayEquals(snapshot, Images.content(image, "-l", "a"));
        Images.assertChecks(image);
        Tools.ok("qemu-img", "snapshot", "-a", "a", image.toString());
        assertArrayEquals(snapshot, Images.content(image));
        Images.assertChecks(image);
    }

    @Test
    void nothingIsPunchedInACompressedCluster() throws IOException {
        Tools.shell("cd \"$1\"; seq 1 200000 > text; truncate -s 1M text\n"
                + "qemu-img convert -c -f raw -O qcow2 text image.qcow2", directory);
        Deallocation plan = Images.run(image, Images.punch(kib(128, 640)));
        assertTrue(plan.isEmpty());
        plan = Images.run(image, Images.request(kib(130, 180)));
        assertTrue(plan.isEmpty());
        assertEquals(kib(130, 180), Images.retained(plan, RetainedBytes.COMPRESSED_PART));
    }

    @Test
    void versionTwoPunchesOverABackingFile() throws IOException {
        Tools.shell("cd \"$1\"; rm image.qcow2; qemu-img create -q -f qcow2 -o compat=0.10 -b model.raw -F raw image.qcow2\n"
                + "qemu-io -f qcow2 -c 'write -P 5 0 2M' image.qcow2", directory);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertFalse(plan.changesTables());
        assertEquals(FREE, plan.reclaimable());
    }

    @ParameterizedTest
    @CsvSource({"79, 32, UnsupportedException", "72, -128, UnsupportedException", "79, 1, UnsafeException",
        "79, 2, UnsafeException", "35, 1, UnsupportedException", "35, 2, UnsupportedException",
        "7, 4, UnsupportedException", "7, 1, UnsupportedException", "23, 22, UnsupportedException",
        "23, 8, CorruptException", "99, 7, CorruptException"})
    void headerIsRefused(int offset, int value, String kind) throws IOException {
        byte[] bytes = Files.readAllBytes(image);
        bytes[offset] = (byte) value;
        Files.write(image, bytes);
        DiskFormatException refusal = assertThrows(DiskFormatException.class, () -> Images.open(image, false).close());
        assertEquals(kind, refusal.getClass().getSimpleName(), refusal.getMessage());
        if (kind.equals("UnsafeException")) {
            assertTrue(refusal.getMessage().contains("qemu-img check -r all"), refusal.getMessage());
        }
        assertEquals(image.toString(), refusal.path());
    }

    @Test
    void countBelowTheReferencesIsRefused() throws IOException {
        putRefcount(get(l2() + 16 * 8) & L2Entry.OFFSET, 0); // a cluster that is not free: any contradiction counts
        assertTrue(refuses(CorruptException.class, FREE).getMessage().contains("reference count"));
        make("cluster_size=64k");
        putRefcount(l2(), 0);
        refuses(CorruptException.class, FREE);
    }

    @Test
    void copiedFlagOnASharedClusterIsRefused() throws IOException {
        Tools.ok("qemu-img", "snapshot", "-c", "a", image.toString());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", image.toString());
        put(l2() + 5 * 8, get(l2() + 5 * 8) | COPIED);
        refuses(CorruptException.class, FREE);
    }

    @Test
    void copiedFlagOnASharedTableIsRefused() throws IOException {
        Tools.ok("qemu-img", "snapshot", "-c", "a", image.toString());
        put(get(40), get(get(40)) | COPIED);
        refuses(CorruptException.class, FREE);
    }

    @Test
    void clusterWithoutItsCopiedFlagStays() throws IOException {
        put(l2() + 5 * 8, get(l2() + 5 * 8) & ~COPIED);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertEquals(kib(320, 384), Images.retained(plan, RetainedBytes.FLAG));
    }

    @ParameterizedTest
    @ValueSource(ints = {40, 48, 0})
    void dataInATableIsRefused(int field) throws IOException {
        long table = field == 0 ? l2() : get(field);
        put(l2() + 20 * 8, table | COPIED); // the entry of a cluster that is not free
        putRefcount(table, 2); // so that the counts agree
        refuses(CorruptException.class, FREE);
    }

    @Test
    void clusterUsedTwiceStays() throws IOException {
        long cluster = get(l2() + 5 * 8) & L2Entry.OFFSET;
        put(l2() + 5 * 8, cluster);
        put(l2() + 20 * 8, cluster);
        putRefcount(cluster, 2);
        byte[] before = Images.content(image);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertEquals(kib(320, 384), Images.retained(plan, RetainedBytes.TWICE));
        assertEquals(-1, Arrays.mismatch(before, 20 << 16, 21 << 16, Images.content(image), 20 << 16, 21 << 16));
    }

    @Test
    void tableUsedTwiceIsRefused() throws IOException {
        make("cluster_size=4k"); // an L2 table for 2 MiB
        Tools.ok("qemu-img", "resize", "-q", image.toString(), "4M");
        put(get(40) + 8, get(get(40)));
        refuses(CorruptException.class, FREE);
    }

    @Test
    void countAboveTheReferencesKeepsTheCluster() throws IOException {
        long cluster = get(l2() + 5 * 8) & L2Entry.OFFSET;
        put(l2() + 5 * 8, cluster);
        putRefcount(cluster, 2);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertEquals(kib(320, 384), Images.retained(plan, RetainedBytes.EXCESS));
        assertTrue(plan.remarks().toString().contains("higher than the references"), () -> plan.remarks().toString());
    }

    @Test
    void leaksAreTakenBackOnlyAfterACutRun() throws IOException {
        put(l2() + 20 * 8, 0);
        Deallocation plan = Images.run(image, Images.request(FREE));
        assertEquals(FREE.totalBytes(), plan.plannedBytes());
        assertTrue(plan.remarks().toString().contains("qemu-img check -r leaks"));
        assertEquals(3, Tools.run("qemu-img", "check", image.toString()).status());
        plan = Images.run(image, Images.repair(FREE));
        assertEquals(65536, plan.plannedBytes());
        assertEquals(65536, plan.unreferencedBytes());
        Images.assertChecks(image);
    }

    @Test
    void unusedClustersArePunched() throws IOException {
        long cluster = get(l2() + 10 * 8) & L2Entry.OFFSET;
        put(l2() + 10 * 8, 0);
        putRefcount(cluster, 0);
        Deallocation plan = Images.run(image, Images.request(ExtentSet.EMPTY));
        assertEquals(65536, plan.unreferencedBytes());
        assertFalse(plan.changesTables());
        Images.assertChecks(image);
    }

    @Test
    void anUnknownExtensionOwnsWhatNobodyElseDoes() throws IOException {
        long cluster = get(l2() + 10 * 8) & L2Entry.OFFSET;
        put(l2() + 10 * 8, 0);
        put(l2() + 20 * 8, 0); // leaked
        putRefcount(cluster, 0); // unused
        byte[] header = Files.readAllBytes(image);
        int end = 112;
        while (header[end] != 0 || header[end + 1] != 0 || header[end + 2] != 0 || header[end + 3] != 0) {
            end += 8 + ((header[end + 6] & 0xFF) << 8 | header[end + 7] & 0xFF) + 7 & -8;
        }
        put(end, 0x12345678_00000000L);
        Deallocation plan = Images.run(image, Images.repair(ExtentSet.EMPTY));
        assertTrue(plan.isEmpty(), plan::toString);
        assertTrue(plan.remarks().toString().contains("0x12345678"), () -> plan.remarks().toString());
    }

    @Test
    void unknownAutoclearBitsGoBeforeAnythingIsWritten() throws IOException {
        put(88, 0x80);
        byte[] before = Files.readAllBytes(image);
        try (DiskImage disk = Images.open(image, true)) {
            assertThrows(UnsafeException.class, () -> disk.plan(Images.punch(FREE)));
        }
        assertArrayEquals(before, Files.readAllBytes(image));
        Images.run(image, Images.request(FREE));
        assertEquals(0, get(88));
        Images.assertChecks(image);
    }

    @Test
    void savedMemoryBehindTheDisksEndIsCounted() throws IOException {
        // An L1 entry behind the disk's end, as a snapshot with memory leaves it: its L2 table and cluster are no leak.
        make("cluster_size=4k");
        Tools.ok("qemu-img", "resize", "-q", image.toString(), "8M");
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 3 6M 1M", image.toString());
        put(24, 4 << 20);
        Deallocation plan = Images.run(image, Images.repair(ExtentSet.EMPTY));
        assertTrue(plan.isEmpty(), plan::toString);
        put(24, 8 << 20);
        assertEquals(3, Images.content(image)[6 << 20]);
        Images.assertChecks(image);
    }

    @Test
    void linksDecideOnTheDataFile() throws IOException {
        Tools.shell("cd \"$1\"; rm image.qcow2; qemu-img create -q -f qcow2 -o data_file=$1/data.bin image.qcow2 1M", directory);
        assertThrows(UnsupportedException.class, () -> Images.FORMAT.open(
                new io.lacuna.fixtures.PlainHostFile(image, true), new io.lacuna.blockio.ImageLinks() {
                    @Override
                    public DiskImage openBacking(String name, String format) throws IOException {
                        throw new UnsupportedException("no");
                    }

                    @Override
                    public io.lacuna.blockio.HostFile openDataFile(String name) throws IOException {
                        throw new UnsupportedException("not " + name);
                    }
                }));
    }
}
