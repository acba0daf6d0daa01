package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Blocks of zeros, in use, in images that real tools made with storage behind every byte. */
class ZeroesTest {

    private static final int MIB = 1 << 20;
    private static final int SIZE = 12 * MIB;
    private static final int HOST_BLOCK = 4096;
    /** Extent blocks of the host's own file system, and the tables of the formats. */
    private static final long SLACK = 2 * MIB;

    @TempDir
    static Path shared;

    /** No file system that anybody knows: all of it may be in use. */
    private static Path unknown;
    private static long pagesWithData;
    private static long runs;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "qemu-io", "sfdisk");
        Random random = new Random(7);
        byte[] disk = new byte[SIZE];
        int[] lengths = {512, 1024, 3584, 4096, 8192, 12800, 65536, 131072, 300000, 2 * MIB};
        for (int at = 0; at < SIZE - 3 * MIB;) {
            int data = lengths[random.nextInt(8)];
            byte[] bytes = new byte[Math.min(data, SIZE - at)];
            random.nextBytes(bytes);
            System.arraycopy(bytes, 0, disk, at, bytes.length);
            at += data + lengths[random.nextInt(lengths.length)];
            runs++;
        }
        for (int page = 0; page < SIZE; page += HOST_BLOCK) {
            boolean data = false;
            for (int i = page; i < page + HOST_BLOCK && !data; i++) {
                data = disk[i] != 0;
            }
            pagesWithData += data ? 1 : 0;
        }
        unknown = Files.write(shared.resolve("unknown.raw"), disk);
        Tools.shell("sync \"$1\"", unknown);
    }

    private static ReclaimOptions.Builder zeroes() {
        return ReclaimOptions.builder().zeroes(true);
    }

    private static ImageReport run(Path image, ReclaimOptions options) {
        return Reclaimer.run(image, options, Progress.NONE);
    }

    private static long hostBytes(Path file) {
        return 512 * Long.parseLong(Tools.shell("sync \"$1\"; stat -c %b \"$1\"", file).strip());
    }

    private static String state(Path file) {
        return Tools.shell("sha256sum < \"$1\"; stat -c '%y %z %s %b' \"$1\"", file);
    }

    private static void same(Path raw, Path image, String driver) {
        Tools.ok("qemu-img", "compare", "-f", "raw", "-F", driver, raw.toString(), image.toString());
    }

    /** Dry run, run, second run. @return the report of the run */
    private static ImageReport prove(Path image, ReclaimOptions.Builder options) {
        long before = hostBytes(image);
        ImageReport planned = run(image, options.purpose(ReclaimOptions.Purpose.DRY_RUN).build());
        assertNull(planned.reason());
        assertEquals(before, hostBytes(image), "a dry run changes nothing");
        ImageReport done = run(image, options.purpose(ReclaimOptions.Purpose.RECLAIM).build());
        assertNull(done.reason());
        assertEquals(ImageReport.Verdict.RECLAIMED, done.verdict());
        assertEquals(planned.plannedBytes(), done.plannedBytes());
        assertEquals(planned.zeroBytes(), done.zeroBytes());
        assertEquals(planned.volumes(), done.volumes());
        long fallen = before - hostBytes(image);
        assertTrue(fallen <= done.plannedBytes() && fallen > done.plannedBytes() - MIB, fallen + " of " + done.plannedBytes());
        String state = state(image);
        ImageReport second = run(image, options.build());
        assertEquals(ImageReport.Verdict.NOTHING_TO_RECLAIM, second.verdict(), second.toString());
        assertEquals(state, state(image), "a second run writes nothing");
        return done;
    }

    @ParameterizedTest
    @CsvSource({"raw,''", "qcow2,''", "qcow2,compat=0.10", "qcow2,cluster_size=2M", "qcow2,cluster_size=512",
        "qcow2,'extended_l2=on,cluster_size=128k'", "vpc,subformat=dynamic", "vpc,subformat=fixed", "vhdx,''",
        "vhdx,subformat=fixed", "vmdk,''", "vmdk,subformat=twoGbMaxExtentFlat", "vdi,''", "vdi,static=on"})
    void nothingOfAnyFormatReadsDifferently(String driver, String options) throws IOException {
        Path image = directory.resolve("disk." + driver);
        for (ReclaimMode mode : ReclaimMode.values()) {
            Tools.shell("rm -f \"$1\"* ; qemu-img convert -S 0 -f raw -O $2 ${4:+-o $4} \"$3\" \"$1\"", image, driver, unknown,
                    options);
            Path raw = directory.resolve("before.raw");
            Tools.shell("qemu-img convert -f $3 -O raw \"$1\" \"$2\"", image, raw, driver);
            boolean inPieces = options.contains("Flat");
            Path stored = inPieces ? directory.resolve("disk-f001.vmdk") : image;
            long before = hostBytes(stored);
            ImageReport report = inPieces ? run(image, zeroes().mode(mode).build()) : prove(image, zeroes().mode(mode));
            assertNull(report.reason());
            assertTrue(report.volumes().get(0).skipped(), "the volume itself stays skipped");
            same(raw, image, driver);
            if (!driver.equals("raw") && !driver.equals("vpc") && !(driver.equals("vdi") && !options.isEmpty()) && !inPieces) {
                Tools.ok("qemu-img", "check", "-f", driver, image.toString());
            }
            // A run of zeros that does not begin at a host block of the file loses up to one at either end.
            long after = hostBytes(stored);
            long most = (pagesWithData + (driver.equals("raw") ? 0 : 2 * runs)) * HOST_BLOCK + SLACK
                    + (options.contains("2M") ? 8 * MIB : 0);
            // Where a host block holds eight clusters, tables lie among them nearly everywhere.
            assertTrue(options.contains("cluster_size=512") || after <= most && before > SIZE - MIB,
                    before + " -> " + after + ", at most " + most);
            if (driver.equals("raw")) {
                assertEquals(pagesWithData * HOST_BLOCK, report.hostBytesBefore() - report.plannedBytes());
            }
        }
    }

    @Test
    void clustersOfZerosAreUnmapped() {
        Path image = directory.resolve("disk.qcow2");
        Tools.shell("qemu-img create -q -f qcow2 \"$1\" 16M; qemu-io -f qcow2 -c 'write -P 5 0 1M' -c 'write -P 0 1M 4M' "
                + "-c 'write -P 5 5M 64k' \"$1\" > /dev/null; sync", image);
        ImageReport report = prove(image, zeroes());
        assertEquals(4 * MIB, report.zeroBytes());
        String map = Tools.ok("qemu-img", "map", "--output=json", image.toString());
        assertTrue(map.contains("\"start\": 1048576, \"length\": 4194304, \"depth\": 0, \"present\": false, \"zero\": true, "
                + "\"data\": false"),
                map);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "read -P 0 1M 4M", "-c", "read -P 5 5M 64k", image.toString());
    }

    @ParameterizedTest
    @CsvSource({"compat=1.1", "compat=0.10", "'compat=1.1,extended_l2=on,cluster_size=64k'"})
    void theParentNeverShinesThrough(String options) {
        Path base = directory.resolve("base.raw");
        Path image = directory.resolve("top.qcow2");
        // Beside the zeros that the child stores lie parts of the parent, which the child does not.
        Tools.shell("head -c 12M /dev/urandom > \"$1\"; qemu-img create -q -f qcow2 -b base.raw -F raw -o $3 \"$2\" 16M\n"
                + "qemu-io -f qcow2 -c 'write -P 0 1M 3M' -c 'write -P 0 6M 10k' -c 'write -P 0 6152k 2k' -c 'write -P 0 11M 3M' "
                + "-c 'write -P 7 15M 128k' \"$2\" > /dev/null; sync", base, image, options);
        Path raw = directory.resolve("before.raw");
        Tools.shell("qemu-img convert -f qcow2 -O raw \"$1\" \"$2\"", image, raw);
        String parent = state(base);
        ImageReport report = prove(image, zeroes());
        assertTrue(report.zeroBytes() >= 6 * MIB, report.toString());
        same(raw, image, "qcow2");
        Tools.ok("qemu-img", "check", "-f", "qcow2", image.toString());
        assertEquals(parent, state(base));
    }

    @Test
    void aSnapshotKeepsItsClusters() {
        Path image = directory.resolve("disk.qcow2");
        Tools.shell("qemu-img convert -S 0 -f raw -O qcow2 \"$2\" \"$1\"; qemu-img snapshot -c before \"$1\"\n"
                + "qemu-io -f qcow2 -c 'write -P 0 0 2M' \"$1\" > /dev/null; sync", image, unknown);
        Path raw = directory.resolve("now.raw");
        Tools.shell("qemu-img convert -f qcow2 -O raw \"$1\" \"$2\"", image, raw);
        ImageReport report = prove(image, zeroes());
        assertTrue(report.plannedBytes() >= 2 * MIB && report.plannedBytes() < 3 * MIB, report.toString());
        same(raw, image, "qcow2");
        Path snapshot = directory.resolve("snapshot.raw");
        Tools.shell("qemu-img convert -l before -f qcow2 -O raw \"$1\" \"$2\"; cmp \"$2\" \"$3\"; qemu-img check \"$1\"", image,
                snapshot,
                unknown);
    }

    @Test
    void zerosAndFreeSpaceGoTogether() throws IOException {
        GuestVolume volume = GuestVolume.ext(directory, "ext4", 16L * MIB, "-t ext4");
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, volume);
        Path image = directory.resolve("image.raw");
        Tools.shell("cp --sparse=never \"$1\" \"$2\"", disk.file(), image);
        ExtentSet free = disk.free();
        ImageReport plain = run(image, ReclaimOptions.builder().purpose(ReclaimOptions.Purpose.DRY_RUN).build());
        assertEquals(0, plain.zeroBytes());
        ImageReport report = prove(image, zeroes());
        assertEquals(List.of(), disk.differences(image, free, free.inwardTo(HOST_BLOCK)));
        VolumeReport found = report.volumes().get(0);
        assertEquals(free.totalBytes(), found.freeBytes());
        assertEquals(found.freeBytes(), found.reclaimableBytes() + found.notReclaimable().stream()
                .mapToLong(VolumeReport.NotReclaimable::bytes).sum());
        assertTrue(report.zeroBytes() > MIB && report.plannedBytes() > plain.plannedBytes(), report.toString());
        assertEquals(report.plannedBytes(), found.reclaimableBytes() + report.zeroBytes());
    }

    @Test
    void aDeviceLosesItsZeros() {
        Tools.requireLoopDevices();
        Path file = directory.resolve("device.raw");
        Tools.shell("cp --sparse=never \"$1\" \"$2\"; sync \"$2\"", unknown, file);
        String loop = Tools.ok("losetup", "-f", "--show", file.toString()).strip();
        try {
            ImageReport report = run(Path.of(loop), zeroes().format("raw").build());
            assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict(), String.valueOf(report.reason()));
        } finally {
            Tools.ok("losetup", "-d", loop);
        }
        Tools.ok("cmp", unknown.toString(), file.toString());
        assertEquals(pagesWithData * HOST_BLOCK, hostBytes(file), HOST_BLOCK);
    }

    @Test
    void aDoubtAboutTheMachineKeepsZeros() throws IOException {
        Path saved = directory.resolve("vm.raw");
        Tools.shell("cp --sparse=never \"$1\" \"$2\"; head -c 100000 /dev/urandom > \"$2.vmss\"; sync", unknown, saved);
        GuestVolume swap = new GuestVolume(directory.resolve("swap"), false);
        Tools.shell("head -c 4M /dev/zero > \"$1\"; mkswap \"$1\" > /dev/null; printf S1SUSPEND | dd of=\"$1\" bs=1 seek=4086 "
                + "conv=notrunc status=none", swap.file());
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, swap);
        Path hibernated = Files.createDirectory(directory.resolve("apart")).resolve("disk.raw");
        Tools.shell("cp --sparse=never \"$1\" \"$2\"; sync \"$2\"", disk.file(), hibernated);
        for (Path image : List.of(saved, hibernated)) {
            String state = state(image);
            ImageReport report = run(image, zeroes().build());
            assertEquals(ImageReport.Verdict.REFUSED, report.verdict());
            assertTrue(report.reason().contains(image == saved ? "VMware" : "hibernated"), report.reason());
            assertEquals(state, state(image));
        }
    }

    @Test
    void runsAreFoundToTheSector() throws IOException {
        byte[] disk = new byte[3 * MIB];
        new Random(3).nextBytes(disk);
        ExtentSet wanted = ExtentSet.builder().add(512, 4096).add(10 * 4096, 4096).add(MIB - 512, 8192).add(2 * MIB + 100, 5000)
                .add(2 * MIB + 65536, 3584).build();
        for (var run : wanted) {
            java.util.Arrays.fill(disk, (int) run.offset(), (int) run.end(), (byte) 0);
        }
        Path file = Files.write(directory.resolve("runs.raw"), disk);
        ExtentSet expected = ExtentSet.builder().add(512, 4096).add(10 * 4096, 4096).add(MIB - 512, 8192)
                .add(2 * MIB + 512, 4608 - 512).build();
        try (var opened = io.lacuna.diskimage.DiskImages.open(file, new io.lacuna.diskimage.DiskImages.Options(
                io.lacuna.diskimage.DiskImages.Access.INSPECT, "raw", List.of()))) {
            assertEquals(expected, new ZeroScan(opened.image().guest(), 64).scan(ExtentSet.ofRange(0, disk.length)));
            // At the edge of what is looked at a short run counts.
            assertEquals(ExtentSet.ofRange(2 * MIB + 65536, 3584), new ZeroScan(opened.image().guest(), 64)
                    .scan(ExtentSet.ofRange(2 * MIB + 65536, 8192)));
        }
    }

    @Test
    void tooManyRunsDropTheShortest() throws IOException {
        byte[] disk = new byte[4 * MIB];
        new Random(3).nextBytes(disk);
        for (int i = 0; i < 200; i++) {
            java.util.Arrays.fill(disk, i * 16384, i * 16384 + (i % 10 == 0 ? 12288 : 4096), (byte) 0);
        }
        Path file = Files.write(directory.resolve("runs.raw"), disk);
        try (var opened = io.lacuna.diskimage.DiskImages.open(file, new io.lacuna.diskimage.DiskImages.Options(
                io.lacuna.diskimage.DiskImages.Access.INSPECT, "raw", List.of()))) {
            ExtentSet found = new ZeroScan(opened.image().guest(), 64).scan(ExtentSet.ofRange(4096, disk.length - 4096));
            assertTrue(found.count() <= 64 && found.atLeast(12288).count() == 19, found.toString());
        }
    }
}
