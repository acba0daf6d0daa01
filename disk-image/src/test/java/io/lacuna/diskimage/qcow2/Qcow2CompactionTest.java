package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.Images.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.StrictHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Makes images of every kind shorter, and lets qemu-img judge. */
class Qcow2CompactionTest {

    private static final int SIZE = 6 << 20;
    /** Aligned and not, small and large, at the start and in the middle; in KiB. */
    private static final ExtentSet FREE = kib(0, 100, 300, 301, 512, 1024, 1500, 1540, 1541, 1545, 2047, 4100, 5000, 5200);
    private static final Pattern LENGTH = Pattern.compile("(\\d+) clusters \\((\\d+) bytes\\) move .* becomes (\\d+) bytes long");

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private Path image;

    @BeforeEach
    void tools() {
        Tools.require("qemu-img", "qemu-io", "filefrag", "fallocate");
    }

    static DeallocationRequest request(ExtentSet free) {
        return new DeallocationRequest(free, ReclaimMode.COMPACT, 0, 0, false);
    }

    private Path image(String options) throws IOException {
        Path raw = Images.pattern(directory.resolve("model.raw"), SIZE, 1);
        image = directory.resolve("image.qcow2");
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", options, raw.toString(), image.toString());
        return image;
    }

    /** Images.run, and: nothing is wrong, nothing leaks, the length is the one that the plan told. */
    private Deallocation compact(ExtentSet free) throws IOException {
        return compact(free, true);
    }

    private Deallocation compact(ExtentSet free, boolean moving) throws IOException {
        long before = Files.size(image);
        Deallocation plan = Images.run(image, request(free));
        Images.assertChecks(image);
        Matcher told = LENGTH.matcher(String.join("\n", plan.remarks()));
        assertEquals(moving, told.find(), () -> plan.remarks().toString());
        assertEquals(moving ? Long.parseLong(told.group(3)) : before, Files.size(image));
        assertTrue(!moving || Files.size(image) < before);
        assertFalse(Files.exists(directory.resolve("image.qcow2.lacuna-journal")));
        return plan;
    }

    /** No cluster of the file is unused: it could not be shorter. */
    private void assertDense() {
        String map = Tools.ok("qemu-img", "check", "--output=json", image.toString());
        Matcher end = Pattern.compile("\"image-end-offset\": (\\d+)").matcher(map);
        assertTrue(end.find());
        assertEquals(image.toFile().length(), Long.parseLong(end.group(1)), 2 << 20);
        assertEquals(0, unusedClusters(), "gaps");
    }

    /** By our own scan, from the counts that qemu-img has just checked. */
    private long unusedClusters() {
        try (DiskImage disk = Images.open(image, false)) {
            return disk.plan(request(ExtentSet.EMPTY)).remarks().stream().filter(remark -> remark.contains("gaps stay")).count();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    /** QEMU goes on with the image. */
    private void assertWritable() throws IOException {
        Images.pattern(directory.resolve("new"), 2 << 20, 9);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -s " + directory.resolve("new") + " 1M 2M", "-c", "write -P 3 5000k 300k",
                image.toString());
        Images.assertChecks(image);
        byte[] content = Images.content(image);
        byte[] written = Files.readAllBytes(directory.resolve("new"));
        for (int i = 0; i < written.length; i++) {
            assertEquals(written[i], content[(1 << 20) + i]);
        }
    }

    static Stream<String> kinds() {
        return Stream.of("compat=0.10", "compat=1.1", "cluster_size=512", "cluster_size=4k", "refcount_bits=1", "refcount_bits=64",
                "cluster_size=512,refcount_bits=64", "cluster_size=1k,compat=0.10", "cluster_size=256k", "cluster_size=2M",
                "extended_l2=on", "extended_l2=on,cluster_size=16k,refcount_bits=1", "preallocation=metadata",
                "preallocation=falloc", "lazy_refcounts=on");
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void becomesAsShortAsItCanBe(String options) throws IOException {
        image(options);
        Deallocation plan = compact(FREE);
        long cluster = options.contains("512") ? 512 : options.contains("=4k") ? 4096 : options.contains("256k") ? 262144
                : options.contains("16k") ? 16384 : options.contains("1k") ? 1024 : options.contains("2M") ? 2 << 20 : 65536;
        long expected = SIZE - FREE.inwardTo(cluster).totalBytes();
        assertTrue(Files.size(image) <= expected + SIZE / 20 + 5 * cluster, () -> image.toFile().length() + " of " + expected);
        assertTrue(plan.plannedBytes() >= FREE.totalBytes() * 85 / 100, () -> plan.plannedBytes() + " of " + FREE.totalBytes());
        assertDense();
        assertWritable();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "cluster_size=512", "cluster_size=4k", "extended_l2=on,cluster_size=16k"})
    void fillsHolesThatWerePunchedBefore(String options) throws IOException {
        image(options);
        Images.run(image, Images.punch(FREE));
        compact(FREE);
        assertDense();
        assertWritable();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "cluster_size=512,refcount_bits=64", "cluster_size=4k"})
    void closesGapsThatADeallocationLeft(String options) throws IOException {
        image(options);
        Images.run(image, Images.request(FREE));
        compact(FREE);
        assertDense();
        assertWritable();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "cluster_size=4k,compat=0.10", "extended_l2=on,cluster_size=16k",
        "cluster_size=512"})
    void backingFilesNeverShineThrough(String options) throws IOException {
        Images.pattern(directory.resolve("base.raw"), SIZE - 700 * 1024, 7);
        image = directory.resolve("image.qcow2");
        Images.pattern(directory.resolve("new"), SIZE, 8);
        Tools.shell("cd \"$1\"; qemu-img create -q -f qcow2 -o $2 -b base.raw -F raw image.qcow2 6M\n"
                + "qemu-io -f qcow2 -c 'write -s new 2M 4M' -c 'write -s new 0 1M' image.qcow2", directory, options);
        compact(FREE, !options.contains("0.10"));
        assertWritable();
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "cluster_size=4k", "cluster_size=512,refcount_bits=64"})
    void whatASnapshotNeedsStays(String options) throws IOException {
        image(options);
        Images.pattern(directory.resolve("new"), SIZE, 8);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "discard 1M 1M", image.toString());
        Tools.ok("qemu-img", "snapshot", "-c", "one", image.toString());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -s " + directory.resolve("new") + " 512k 4M", image.toString());
        byte[] one = Images.content(image, "-l", "one");
        compact(FREE);
        assertArrayEquals(one, Images.content(image, "-l", "one"));
        Tools.ok("qemu-img", "snapshot", "-a", "one", image.toString());
        Images.assertChecks(image);
        assertArrayEquals(one, Images.content(image));
    }

    /** A cluster that only the snapshot needs once it is given up is not moved along the entry that goes. */
    @Test
    void snapshotsTailStaysWhenItIsGivenUp() throws IOException {
        image("cluster_size=64k");
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "discard 1M 1M", image.toString());
        Tools.ok("qemu-img", "snapshot", "-c", "one", image.toString());
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 64k", image.toString()); // the L2 table is its own now
        byte[] one = Images.content(image, "-l", "one");
        Deallocation plan = Images.run(image, request(kib(5120, 6144)));
        assertTrue(plan.changesTables());
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("gaps stay")
                && remark.contains("a snapshot uses it")),
                () -> plan.remarks().toString());
        Images.assertChecks(image);
        assertArrayEquals(one, Images.content(image, "-l", "one"));
    }

    /** To move a cluster whose count or flag says something else than its one reference does would make that worse. */
    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void clustersWithContradictionsStay(boolean count) throws IOException {
        image("cluster_size=64k");
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer fields = ByteBuffer.wrap(bytes);
        int last = bytes.length / 65536 - 1;
        if (count) {
            fields.putShort((int) fields.getLong((int) fields.getLong(48)) + 2 * last, (short) 2);
        } else {
            int table = (int) (fields.getLong((int) fields.getLong(40)) & L2Entry.OFFSET);
            for (int at = table; at < table + 65536; at += 8) {
                if ((fields.getLong(at) & L2Entry.OFFSET) == last * 65536L) {
                    fields.putLong(at, last * 65536L);
                }
            }
        }
        Files.write(image, bytes);
        Deallocation plan = Images.run(image, request(FREE));
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("gaps stay")), () -> plan.remarks().toString());
        assertEquals((last + 1) * 65536L, Files.size(image));
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "cluster_size=4k,compression_type=zstd", "cluster_size=512"})
    void compressedClustersStay(String options) throws IOException {
        image = directory.resolve("image.qcow2");
        Tools.shell("cd \"$1\"; seq 1 1000000 > text; truncate -s 6M text\n"
                + "qemu-img convert -c -f raw -O qcow2 -o $2 text image.qcow2\n"
                + "qemu-io -f qcow2 -c 'write -P 9 3M 700k' image.qcow2", directory, options);
        compact(kib(0, 2000, 3300, 3400));
        assertWritable();
        Deallocation plan = Images.run(image, request(kib(4096, 4608)));
        Images.assertChecks(image);
        assertFalse(plan.remarks().isEmpty());
    }

    @Test
    void compressedTailIsExplained() throws IOException {
        image = directory.resolve("image.qcow2");
        Tools.shell("cd \"$1\"; seq 1 1000000 > text; truncate -s 6M text\n"
                + "qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k text image.qcow2", directory);
        Deallocation plan = compact(kib(0, 2048), false);
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.matches("\\d+ bytes of gaps stay .* holds compressed data "
                + ".*")),
                () -> plan.remarks().toString());
    }

    /** Growing images have their L1 table and their refcount table at the end. */
    @ParameterizedTest
    @CsvSource({"cluster_size=512, 64M", "'cluster_size=512,refcount_bits=64', 16M", "'cluster_size=1k,compat=0.10', 64M"})
    void tablesMoveToo(String options, String size) throws IOException {
        image(options);
        Tools.ok("qemu-img", "resize", "-q", "-f", "qcow2", image.toString(), size);
        Images.pattern(directory.resolve("new"), 4 << 20, 8);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -s " + directory.resolve("new") + " 8M 4M", image.toString());
        Path copy = Files.copy(image, directory.resolve("before.qcow2"));
        byte[] header = Files.readAllBytes(image);
        long l1 = ByteBuffer.wrap(header).getLong(40);
        ExtentSet free = kib(0, 5000);
        try (DiskImage disk = Images.open(image, true)) {
            Deallocation plan = disk.plan(request(free));
            disk.apply(plan, Progress.NONE);
            assertTrue(disk.plan(request(free)).isEmpty(), "a second run finds nothing");
        }
        Images.assertChecks(image);
        assertDense();
        assertTrue(Files.size(image) < Files.size(copy) - (9 << 19), () -> image + " is " + image.toFile().length());
        // Where QEMU found room for a new one in front, it may stay.
        assertTrue(ByteBuffer.wrap(Files.readAllBytes(image)).getLong(40) < l1 || options.contains("64"), "the L1 table moved");
        // Live bytes: the same; free ones: zeros.
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -z 0 5000k", copy.toString());
        Tools.ok("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", image.toString(), copy.toString());
        assertWritable();
    }

    /**
     * Where the file ends inside of the place that the L1 table leaves, clusters would fill that place. What a table has left is
     * given back on the way where the gaps have no storage, so that it must not be filled; and an undo puts tables back before
     * anything else.
     */
    @Test
    void placesThatTablesLeaveAreNotFilled() throws IOException {
        Images.pattern(directory.resolve("model.raw"), 3 << 20, 1);
        Images.pattern(directory.resolve("new"), 1 << 20, 8);
        image = directory.resolve("image.qcow2");
        Tools.shell("cd \"$1\"; qemu-img convert -f raw -O qcow2 -o cluster_size=512 model.raw image.qcow2\n"
                + "qemu-img resize -q -f qcow2 image.qcow2 96M; qemu-io -f qcow2 -c 'write -s new 8M 1M' image.qcow2", directory);
        byte[] made = Files.readAllBytes(image);
        boolean stays = false;
        boolean moves = false;
        for (int free = 996; free < 1034; free += 2) {
            StrictHostFile file = new StrictHostFile(image, made.clone(), 4096, true);
            byte[] before;
            byte[] after;
            try (DiskImage disk = open(file)) {
                disk.apply(disk.plan(Images.request(kib(1300, 1328))), Progress.NONE); // this gap has no storage
                before = start(disk);
                Deallocation plan = disk.plan(request(kib(0, free)));
                boolean moved = !((Qcow2Plan) plan).compaction().relocation().tables().isEmpty();
                stays |= !moved;
                moves |= moved;
                disk.apply(plan, Progress.NONE);
                after = start(disk);
            }
            Arrays.fill(before, 0, free << 10, (byte) 0);
            int gone = free;
            assertEquals(-1, Arrays.mismatch(before, after), () -> gone + " KiB");
            Files.write(image, file.bytes());
            Images.assertChecks(image);
        }
        assertTrue(stays && moves, "the end goes past the table");
    }

    private static byte[] start(DiskImage disk) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(10 << 20);
        disk.guest().read(0, bytes);
        return bytes.array();
    }

    /** QEMU and we take turns, with whatever is free at the moment. */
    @ParameterizedTest
    @CsvSource({"'cluster_size=512,refcount_bits=64', 1", "'cluster_size=4k,refcount_bits=1', 2",
        "'extended_l2=on,cluster_size=16k', 3",
        "'cluster_size=1k,compat=0.10', 4"})
    void survivesManyRounds(String options, int seed) throws IOException {
        image(options);
        Random random = new Random(seed);
        for (int round = 0; round < 6; round++) {
            ExtentSet.Builder free = ExtentSet.builder();
            for (int i = 0; i < 12; i++) {
                free.add(512L * random.nextInt(SIZE / 512 - 1000), 512L * random.nextInt(1000));
            }
            Images.run(image, request(free.build()));
            Images.assertChecks(image);
            assertDense();
            String write = "write -P " + (round + 1) + " " + 512 * random.nextInt(SIZE / 512 - 1000) + " "
                    + 512 * (1 + random.nextInt(999));
            Tools.ok("qemu-io", "-f", "qcow2", "-c", write, "-c", write.replace("write -P " + (round + 1), "write -z"), "-c",
                    "discard " + 65536 * random.nextInt(80) + " 300k", image.toString());
        }
    }

    @Test
    void zeroClustersWithStorageMoveWithoutACopy() throws IOException {
        image("cluster_size=64k");
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -z 4M 2M", image.toString()); // keeps the clusters
        StrictHostFile file = strict(true);
        long before = file.size();
        try (DiskImage disk = open(file)) {
            disk.apply(disk.plan(request(kib(0, 2048))), Progress.NONE);
        }
        assertTrue(file.size() <= before - (2 << 20));
        assertTrue(file.written() < 1 << 20, () -> file.written() + " bytes written");
        Files.write(image, file.bytes());
        Images.assertChecks(image);
        assertWritable();
    }

    private StrictHostFile strict(boolean punchable) throws IOException {
        return new StrictHostFile(image, Files.readAllBytes(image), 4096, punchable);
    }

    private DiskImage open(StrictHostFile file) throws IOException {
        return Images.FORMAT.open(file, new NearbyLinks(directory, Images.FORMAT, true));
    }

    @ParameterizedTest
    @ValueSource(strings = {"cluster_size=64k", "cluster_size=4k", "cluster_size=512", "cluster_size=256k"})
    void needsLittleRoomAndWritesLittle(String options) throws IOException {
        image(options);
        Images.run(image, Images.request(kib(0, 2560))); // the gaps have no storage now
        StrictHostFile file = strict(true);
        file.resetCounters();
        long before = file.hostBytes();
        try (DiskImage disk = open(file)) {
            Deallocation plan = disk.plan(request(ExtentSet.EMPTY));
            Matcher told = LENGTH.matcher(plan.remarks().get(0));
            assertTrue(told.find());
            disk.apply(plan, Progress.NONE);
            assertEquals(plan.plannedBytes(), before - file.hostBytes(), 8192);
            long moved = Long.parseLong(told.group(2));
            assertTrue(moved <= 2700 << 10);
            // Beside the copies: entries and counts, 16 bytes and a few for each cluster, in whole sectors.
            assertTrue(file.written() <= moved + moved / 512 * 40 + (256 << 10), () -> file.written() + " for " + moved);
            assertTrue(file.peak() <= before + disk.blockSize() + (1 << 20), () -> (file.peak() - before) + " more for a time");
        }
        Files.write(image, file.bytes());
        Images.assertChecks(image);
    }

    @ParameterizedTest
    @CsvSource({"cluster_size=64k, COMPACT", "cluster_size=512, COMPACT", "cluster_size=64k, DEALLOCATE",
        "cluster_size=1k, DEALLOCATE"})
    void hostsThatCannotPunchAreServed(String options, ReclaimMode mode) throws IOException {
        image(options);
        byte[] before = Images.content(image);
        StrictHostFile file = strict(false);
        long size = file.size();
        DeallocationRequest request = new DeallocationRequest(FREE.union(kib(5900, 6144)), mode, 0, 0, false);
        Deallocation plan;
        try (DiskImage disk = open(file)) {
            plan = disk.plan(request);
            long stored = file.hostBytes();
            disk.apply(plan, Progress.NONE);
            assertEquals(plan.plannedBytes(), stored - file.hostBytes(), 8192);
            assertTrue(disk.plan(request).isEmpty(), "a second run finds nothing");
        }
        assertTrue(plan.remarks().contains("Nothing is punched: this host cannot punch holes."), () -> plan.remarks().toString());
        Images.assertAccounts(plan, request.free());
        assertTrue(file.size() <= size - (mode == ReclaimMode.COMPACT ? 2 << 20 : 0), () -> size + " to " + file.size());
        Files.write(image, file.bytes());
        Images.assertChecks(image);
        Images.assertLive(before, Images.content(image), request.free(), ExtentSet.EMPTY);
    }

    @Test
    void dataFilesAreDeallocated() throws IOException {
        Images.pattern(directory.resolve("model.raw"), SIZE, 1);
        image = directory.resolve("image.qcow2");
        Tools.shell("cd \"$1\"; qemu-img create -q -f qcow2 -o data_file=$1/data.bin image.qcow2 6M\n"
                + "qemu-io -f qcow2 -c 'write -s model.raw 0 6M' image.qcow2", directory);
        Deallocation plan = compact(FREE, false);
        assertTrue(plan.remarks().get(0).contains("data file"), () -> plan.remarks().toString());
        assertTrue(plan.plannedBytes() > 2 << 20);
    }

    @Test
    void bitmapsStay() throws IOException {
        image("cluster_size=64k");
        Tools.ok("qemu-img", "bitmap", "--add", image.toString(), "backup");
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 1M", image.toString());
        String before = Tools.ok("qemu-img", "info", "--output=json", image.toString());
        Deallocation plan = Images.run(image, request(FREE));
        Images.assertChecks(image);
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("gaps stay") && remark.contains("bitmap")),
                () -> plan.remarks().toString());
        assertTrue(before.contains("backup") && Tools.ok("qemu-img", "info", image.toString()).contains("backup"));
    }

    /** A journal tells that what nothing refers to is a cut run's; any run takes it back and takes the journal down. */
    @ParameterizedTest
    @ValueSource(strings = {"COMPACT", "DEALLOCATE"})
    void journalOfACutRunIsFollowed(ReclaimMode mode) throws IOException {
        image("cluster_size=64k");
        long table = ByteBuffer.wrap(Files.readAllBytes(image)).getLong(48);
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer fields = ByteBuffer.wrap(bytes);
        int block = (int) fields.getLong((int) table);
        int leaked = bytes.length / 65536;
        fields.putShort(block + 2 * leaked, (short) 1);
        Files.write(image, bytes);
        Tools.shell("truncate -s +64k \"$1\"; touch \"$1.lacuna-journal\"", image);
        DeallocationRequest request = new DeallocationRequest(FREE, mode, 0, 0, false);
        Deallocation plan = Images.run(image, request);
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("taken back")), () -> plan.remarks().toString());
        assertFalse(Files.exists(directory.resolve("image.qcow2.lacuna-journal")));
        Images.assertChecks(image);
    }

    /** Without it, they may belong to another program: they are neither filled nor cut off. */
    @Test
    void leaksOfUnknownOriginStay() throws IOException {
        image("cluster_size=64k");
        byte[] bytes = Files.readAllBytes(image);
        ByteBuffer fields = ByteBuffer.wrap(bytes);
        int block = (int) fields.getLong((int) fields.getLong(48));
        int leaked = bytes.length / 65536;
        fields.putShort(block + 2 * leaked, (short) 1);
        Files.write(image, bytes);
        Tools.shell("printf marked >> \"$1\"; truncate -s %64k \"$1\"", image);
        Deallocation plan = Images.run(image, request(FREE));
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("gaps stay")
                && remark.contains("higher than the references")), () -> plan.remarks().toString());
        assertEquals((leaked + 1) * 65536L, Files.size(image));
        assertEquals("marked", new String(Files.readAllBytes(image), leaked * 65536, 6));
        assertEquals(3, Tools.run("qemu-img", "check", image.toString()).status());
    }
}
