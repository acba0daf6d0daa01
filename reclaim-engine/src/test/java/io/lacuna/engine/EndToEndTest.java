package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whole runs on disks that real tools made, judged by real tools. */
class EndToEndTest {

    private static final long MIB = 1 << 20;
    private static final long HOST_BLOCK = 4096;

    @TempDir
    static Path shared;

    private static GuestDisk gpt;
    private static GuestDisk mbr;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeDisks() throws IOException {
        Tools.require("qemu-img", "qemu-io", "sfdisk");
        GuestVolume ext = GuestVolume.ext(shared, "ext4", 40 * MIB, "-t ext4");
        GuestVolume ntfs = GuestVolume.ntfs(shared, "ntfs", 40 * MIB, "-c 4096");
        gpt = GuestDisk.assemble(shared.resolve("gpt.raw"), "gpt", 512, ext, ntfs);
        mbr = GuestDisk.assemble(shared.resolve("mbr.raw"), "mbr", 512, GuestVolume.ext(shared, "ext2", 24 * MIB,
                "-t ext2 -b 1024"), GuestVolume.ntfs(shared, "ntfs512", 24 * MIB, "-c 512"));
    }

    private Path copyOf(GuestDisk disk) {
        Path image = directory.resolve("disk.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", disk.file(), image);
        return image;
    }

    private Path convert(GuestDisk disk, String options) {
        Path image = directory.resolve("disk.qcow2");
        Tools.shell("qemu-img convert -q -f raw -O qcow2 " + options + " \"$1\" \"$2\"", disk.file(), image);
        return image;
    }

    private static ReclaimOptions.Builder defaults() {
        return ReclaimOptions.builder();
    }

    @Test
    void rawBehindGpt() throws IOException {
        new ReclaimRun(gpt, copyOf(gpt), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @Test
    void rawBehindMbr() throws IOException {
        new ReclaimRun(mbr, copyOf(mbr), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @ParameterizedTest
    @ValueSource(strings = {"sgdisk", "logical"})
    void rawBehindOtherTables(String scheme) throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("table.raw"), scheme, 512, gpt.volumes().toArray(GuestVolume[]::new));
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    /** Larger than the pages of this machine's kernel, which does not mount them. */
    @ParameterizedTest
    @ValueSource(ints = {8192, 16384, 32768, 65536})
    void extWithLargeBlocks(int blockSize) throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("whole.raw"), "none", 512,
                GuestVolume.extByDebugfs(directory, "volume", 48 * MIB, "-t ext4 -b " + blockSize));
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    /** Where there are no loop devices, all disks are made so. */
    @Test
    void extUsedWithoutAMount() throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("whole.raw"), "none", 512,
                GuestVolume.extByDebugfs(directory, "volume", 24 * MIB, "-t ext4 -O ^64bit,^flex_bg -b 1024"));
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @Test
    void aFileSystemThatHasGrown() throws IOException {
        GuestVolume volume = GuestVolume.ext(directory, "volume", 24 * MIB, "-t ext4 -b 1024 -g 1024");
        Tools.require("resize2fs");
        Tools.shell("truncate -s 60M \"$1\"; resize2fs \"$1\" > /dev/null 2>&1", volume.file());
        GuestDisk disk = GuestDisk.assemble(directory.resolve("whole.raw"), "none", 512, volume);
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @ParameterizedTest
    @ValueSource(strings = {"-t ext4 -b 1024", "-t ext3 -b 2048", "-t ext4 -O bigalloc -C 16384",
        "-t ext4 -b 1024 -O bigalloc -C 8192", "-t ext4 -O ^has_journal,meta_bg,^resize_inode",
        "-t ext4 -O ^metadata_csum,uninit_bg -b 1024 -g 1024", "-t ext4 -O 64bit,^metadata_csum,uninit_bg -b 1024 -g 1024",
        "-t ext4 -O ^64bit -b 1024", "-t ext4 -O ^flex_bg -b 1024 -g 1024", "-t ext4 -O sparse_super2,64bit -b 1024"})
    void extWithoutTable(String arguments) throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("whole.raw"), "none", 512,
                GuestVolume.ext(directory, "volume", 24 * MIB, arguments));
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @ParameterizedTest
    @ValueSource(strings = {"-c 1024", "-c 65536", "-s 4096 -c 4096"})
    void ntfsWithoutTable(String arguments) throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("whole.raw"), "none", 512,
                GuestVolume.ntfs(directory, "volume", 24 * MIB, arguments));
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @ParameterizedTest
    @CsvSource({"262144,64", "2097152,512"})
    void ntfsWithLargeClusters(int clusterSize, int mebibytes) throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("whole.raw"), "none", 512,
                GuestVolume.ntfs(directory, "volume", mebibytes * MIB, "-c " + clusterSize));
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @Test
    void sectorsOf4096Bytes() throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("4kn.raw"), "gpt", 4096,
                GuestVolume.ext(directory, "volume", 24 * MIB, "-t ext4 -b 4096"));
        new ReclaimRun(disk, copyOf(disk), directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "-o compat=0.10", "-o cluster_size=2M", "-o cluster_size=4K,refcount_bits=1",
        "-o refcount_bits=64", "-o extended_l2=on,cluster_size=128K", "-o preallocation=full", "-o lazy_refcounts=on"})
    void qcow2(String options) throws IOException {
        Path image = convert(gpt, options);
        new ReclaimRun(gpt, image, directory).reclaimAndProve(defaults(), HOST_BLOCK);
    }

    @Test
    void qcow2WithClustersOfOneSector() throws IOException {
        // The host's blocks hold eight clusters, and a table among them keeps the block: what is free there cannot go.
        ImageReport report = new ReclaimRun(mbr, convert(mbr, "-o cluster_size=512"), directory).reclaimAndProve(defaults(), 0);
        long kept = report.volumes().stream().flatMap(volume -> volume.notReclaimable().stream())
                .filter(rest -> rest.why().contains("host block")).mapToLong(VolumeReport.NotReclaimable::bytes).sum();
        assertTrue(kept < report.freeBytes() / 5, kept + " of " + report.freeBytes());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "-o compat=0.10", "-o cluster_size=1M"})
    void qcow2PunchedOnly(String options) throws IOException {
        Path image = convert(gpt, options);
        String clusters = Tools.ok("qemu-img", "check", image.toString());
        ReclaimRun run = new ReclaimRun(gpt, image, directory);
        ImageReport report = run.reclaimAndProve(defaults().mode(ReclaimMode.PUNCH), HOST_BLOCK);
        assertEquals(clusters, Tools.ok("qemu-img", "check", image.toString()), "the same clusters are mapped as before");
        assertTrue(report.plannedBytes() > 30 * MIB);
    }

    @ParameterizedTest
    @ValueSource(strings = {"-c", "-c -o compression_type=zstd"})
    void qcow2Compressed(String options) throws IOException {
        Path image = convert(gpt, options);
        new ReclaimRun(gpt, image, directory).reclaimAndProve(defaults(), 65536);
    }

    @Test
    void qcow2WithSnapshotOfAnOlderState() throws IOException {
        Path image = directory.resolve("disk.qcow2");
        Tools.shell("size=$(stat -c %s \"$1\"); qemu-img create -q -f qcow2 \"$2\" $size\n"
                + "qemu-io -f qcow2 -c \"write -P 7 0 $size\" \"$2\" > /dev/null; qemu-img snapshot -c before \"$2\"\n"
                + "qemu-img convert -n -f raw -O qcow2 \"$1\" \"$2\"", mbr.file(), image);
        String before = snapshotHash(image);
        new ReclaimRun(mbr, image, directory).reclaimAndProve(defaults(), HOST_BLOCK);
        assertEquals(before, snapshotHash(image), "the snapshot reads the same");
    }

    private String snapshotHash(Path image) {
        return Tools.shell("qemu-img convert -l before -f qcow2 -O raw \"$1\" \"$2\"; sha256sum < \"$2\"; rm \"$2\"", image,
                directory.resolve("snapshot.raw"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"raw", "qcow2"})
    void overlayNeverLetsItsBackingFileShineThrough(String backingFormat) throws IOException {
        Path base = directory.resolve("base." + backingFormat);
        Path image = directory.resolve("overlay.qcow2");
        Tools.shell("size=$(stat -c %s \"$1\"); qemu-img create -q -f $4 \"$2\" $size; qemu-io -f $4 -c \"write -P 0xBA 0 $size\" "
                + "\"$2\" > /dev/null\nqemu-img create -q -f qcow2 -b \"$2\" -F $4 \"$3\"; qemu-img convert -n -f raw -O qcow2 "
                + "\"$1\" \"$3\"", gpt.file(), base,
                image, backingFormat);
        String baseHash = Tools.ok("sha256sum", base.toString());
        new ReclaimRun(gpt, image, directory).reclaimAndProve(defaults(), HOST_BLOCK);
        assertEquals(baseHash, Tools.ok("sha256sum", base.toString()));
    }

    @Test
    void qemuReusesWhatWasFreed() throws IOException {
        Path image = convert(gpt, "");
        new ReclaimRun(gpt, image, directory).reclaimAndProve(defaults(), HOST_BLOCK);
        long length = Files.size(image);
        ExtentSet free = gpt.free().inwardTo(65536);
        StringBuilder commands = new StringBuilder();
        long written = 0;
        for (int i = 0; i < free.count() && written < 8 * MIB; i++) {
            long bytes = Math.min(free.end(i) - free.start(i), MIB);
            commands.append("write -P 9 ").append(free.start(i)).append(' ').append(bytes).append('\n');
            written += bytes;
        }
        Tools.okWithInput(commands.toString(), "qemu-io", "-f", "qcow2", image.toString());
        assertTrue(Files.size(image) <= Math.max(length, Files.size(image) - written + MIB),
                "QEMU wrote " + written + " and the file grew from " + length + " to " + Files.size(image));
        Tools.ok("qemu-img", "check", image.toString());
    }
}
