package io.lacuna.engine;

import static io.lacuna.engine.RefusalTest.assertRefused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What one volume says about the others, and about the space between them. */
class WholeDiskTest {

    private static final long MIB = 1 << 20;

    @TempDir
    static Path shared;

    private static GuestVolume ext;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeVolume() throws IOException {
        ext = GuestVolume.ext(shared, "ext", 16 * MIB, "-t ext4");
    }

    private GuestVolume copyOf(String name) {
        Path copy = directory.resolve(name);
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", ext.file(), copy);
        return new GuestVolume(copy, false);
    }

    private GuestVolume foreign(String name, long size, String make) {
        Path file = directory.resolve(name);
        Tools.shell("head -c $2 /dev/urandom > \"$1\"; " + make, file, size);
        return new GuestVolume(file, false);
    }

    @Test
    void suspendedGuestInSwapPutsEveryVolumeInDoubt() throws IOException {
        GuestVolume swap = foreign("swap", 4 * MIB, "mkswap \"$1\" > /dev/null; "
                + "printf S1SUSPEND | dd of=\"$1\" bs=1 seek=4086 conv=notrunc status=none");
        assertRefused(GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, copyOf("a"), swap).file(), "hibernated");
    }

    @Test
    void raidOfTheWholeDiskPutsItsPartitionsInDoubt() throws IOException {
        Path disk = GuestDisk.assemble(directory.resolve("disk.raw"), "mbr", 512, copyOf("a")).file();
        // Intel's metadata starts one sector before the last one of the disk.
        Tools.shell("size=$(stat -c %s \"$1\"); printf 'Intel Raid ISM Cfg Sig. 1.3.00' "
                + "| dd of=\"$1\" bs=512 seek=$((size / 512 - 2)) conv=notrunc status=none", disk);
        assertRefused(disk, "RAID");
    }

    /** A table that stayed in the boot block, and in its old partition a file system that is still sound. */
    @Test
    void aFileSystemOfTheWholeDiskPutsItsPartitionsInDoubt() throws IOException {
        Path disk = copyOf("whole").file();
        Tools.shell("truncate -s 4M \"$2\"; mke2fs -q -F -t ext4 \"$2\"\n"
                + "dd if=\"$2\" of=\"$1\" bs=1M seek=8 conv=notrunc status=none\n"
                // One partition of 4 MiB at 8 MiB.
                + "printf '\\0\\0\\0\\0\\203\\0\\0\\0\\000\\100\\0\\0\\000\\040\\0\\0' "
                + "| dd of=\"$1\" bs=1 seek=446 conv=notrunc status=none\n"
                + "printf '\\125\\252' | dd of=\"$1\" bs=1 seek=510 conv=notrunc status=none", disk, directory.resolve("inner"));
        assertRefused(disk, "must be stale");
    }

    @Test
    void raidWhoseMetadataLiesInsideTheLastPartition() throws IOException {
        Tools.require("sfdisk");
        GuestVolume volume = copyOf("a");
        Path disk = directory.resolve("disk.raw");
        long sectors = volume.file().toFile().length() / 512;
        Tools.shell("truncate -s $((($2 + 63) * 512)) \"$1\"", disk, sectors);
        Tools.okWithInput("label: dos\nstart=63, size=" + sectors + ", type=83\n", "sfdisk", "-q", disk.toString());
        // MD 1.0 stands at the last 4 KiB boundary that is 8 KiB from the end: of the disk here, which is no such boundary of the
        // partition.
        Tools.shell("dd if=\"$2\" of=\"$1\" bs=512 seek=63 conv=notrunc,sparse status=none; size=$(stat -c %s \"$1\")\n"
                + "printf '\\374\\116\\053\\251\\001\\000\\000\\000' | dd of=\"$1\" bs=512 seek=$(((size / 512 - 16) / 8 * 8)) "
                + "conv=notrunc status=none", disk, volume.file());
        assertRefused(disk, "belonging to no partition");
    }

    @Test
    void swapAndGapsGoOnlyWhenAskedFor() throws IOException {
        GuestVolume swap = foreign("swap", 4 * MIB + 512 * 1024, "mkswap -L keepme \"$1\" > /dev/null");
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, copyOf("a"), swap, copyOf("b"));
        long gap = disk.offsets().get(1) + swap.file().toFile().length();
        Tools.shell("dd if=/dev/urandom of=\"$1\" bs=4096 seek=$2 count=$3 conv=notrunc status=none", disk.file(), gap / 4096,
                (disk.offsets().get(2) - gap) / 4096);
        ExtentSet rest = ExtentSet.builder().add(disk.offsets().get(1) + 4096, swap.file().toFile().length() - 4096).build()
                .union(ExtentSet.ofRange(gap, disk.offsets().get(2) - gap));
        ExtentSet free = disk.volumes().get(0).free().shift(disk.offsets().get(0))
                .union(disk.volumes().get(2).free().shift(disk.offsets().get(2)));
        for (boolean asked : new boolean[] {false, true}) {
            Path image = directory.resolve("image.raw");
            Tools.shell("cp --sparse=always \"$1\" \"$2\"", disk.file(), image);
            Set<ReclaimOptions.Include> includes = asked ? Set.of(ReclaimOptions.Include.values()) : Set.of();
            ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().includes(includes).build());
            assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict(), String.valueOf(report.reason()));
            ExtentSet allowed = asked ? free.union(rest) : free;
            assertEquals(List.of(), disk.differences(image, allowed, allowed.inwardTo(4096)), report.toString());
            assertTrue(Tools.ok("sfdisk", "-d", image.toString()).contains("start=        2048"));
        }
    }

    /** Its memory may be saved where nobody looks; then its file systems are open, or there is none that could tell. */
    @Test
    void swapOfAGuestThatMayResumeStays() throws IOException {
        Set<ReclaimOptions.Include> swapToo = Set.of(ReclaimOptions.Include.SWAP);
        GuestVolume open = copyOf("open");
        Tools.ok("debugfs", "-w", "-R", "feature needs_recovery", open.file().toString());
        for (int i = 0; i < 3; i++) {
            GuestVolume swap = foreign("swap" + i, 4 * MIB, "mkswap \"$1\" > /dev/null");
            Path image = directory.resolve("image" + i + ".raw");
            GuestDisk disk = switch (i) {
                case 0 -> GuestDisk.assemble(image, "gpt", 512, open, swap, copyOf("clean"));
                case 1 -> GuestDisk.assemble(image, "gpt", 512, foreign("root", 4 * MIB, "true"), swap, copyOf("boot"));
                default -> GuestDisk.assemble(image, "gpt", 512, swap);
            };
            int index = i < 2 ? 1 : 0;
            VolumeReport left = ReclaimRun.run(image, ReclaimOptions.builder().includes(swapToo).build()).volumes().get(index);
            assertTrue(left.skipped() && left.reason().contains("--replay-journal"), left.toString());
            ReclaimOptions boots = ReclaimOptions.builder().includes(swapToo).volumeOptions(new VolumeOptions(true, false)).build();
            VolumeReport gone = ReclaimRun.run(disk.file(), boots).volumes().get(index);
            assertTrue(!gone.skipped() && gone.reclaimableBytes() == 4 * MIB - 4096, gone.toString());
        }
    }

    /** The last two of its four labels are where the disk's own would be. */
    @Test
    void aPoolInTheLastPartitionIsItsOwn() throws IOException {
        Tools.require("sfdisk");
        GuestVolume volume = copyOf("a");
        Path disk = directory.resolve("disk.raw");
        long sectors = volume.file().toFile().length() / 512;
        Tools.shell("truncate -s $((($2 + 2048 + 8192) * 512)) \"$1\"\n"
                + "dd if=\"$3\" of=\"$1\" bs=1M seek=1 conv=notrunc status=none\n"
                + "pool=$((($2 + 2048) * 512)); for label in 0 256 3584 3840; do at=$((pool + label * 1024 + 16384))\n"
                + "printf '\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\1' | dd of=\"$1\" bs=1 seek=$at conv=notrunc status=none\n"
                + "printf version | dd of=\"$1\" bs=1 seek=$((at + 24)) conv=notrunc status=none; done", disk, sectors,
                volume.file());
        Tools.okWithInput("label: dos\nstart=2048, size=" + sectors + ", type=83\nstart=" + (sectors + 2048)
                + ", size=8192, type=bf\n", "sfdisk", "-q", disk.toString());
        ImageReport report = ReclaimRun.run(disk, ReclaimOptions.builder().build());
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict(), String.valueOf(report.reason()));
        assertTrue(report.volumes().get(1).reason().contains("ZFS"), report.volumes().get(1).toString());
    }

    @Test
    void suspendedGuestInAPartitionThatIsRefusedForAnotherReason() throws IOException {
        GuestVolume swap = foreign("swap", 4 * MIB, "mkswap \"$1\" > /dev/null; "
                + "printf S1SUSPEND | dd of=\"$1\" bs=1 seek=4086 conv=notrunc status=none");
        Path disk = GuestDisk.assemble(directory.resolve("disk.raw"), "mbr", 512, copyOf("a"), swap).file();
        Tools.shell("truncate -s -2M \"$1\"", disk);
        assertRefused(disk, "hibernated");
    }

    /** Otherwise each of the entries could have the same bitmaps read once more. */
    @Test
    void tableFullOfWrongPartitionsIsNotLookedThroughForEver() throws IOException {
        ByteBuffer disk = ByteBuffer.allocate(8 << 20).order(ByteOrder.LITTLE_ENDIAN);
        int extended = 2048;
        entry(disk, 0, 0, 0x0F, extended, 14000);
        for (int i = 0; i < 200; i++) {
            entry(disk, extended + 16 * i, 0, 0x83, 1, 8);
            // The last one leads back to the first.
            entry(disk, extended + 16 * i, 1, 0x05, i == 199 ? 0 : 16 * (i + 1), 16);
        }
        Path image = directory.resolve("disk.raw");
        Files.write(image, disk.array());
        assertRefused(image, "more than 128");
    }

    private static void entry(ByteBuffer disk, int sector, int slot, int type, int start, int count) {
        int at = sector * 512 + 446 + slot * 16;
        disk.put(at + 4, (byte) type).putInt(at + 8, start).putInt(at + 12, count);
        disk.putShort(sector * 512 + 510, (short) 0xAA55);
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void hibernatedWindowsAlsoBehindASecondSignature(boolean second) throws IOException {
        Tools.require("mkntfs", "ntfs-3g");
        Tools.requireFuse();
        Path windows = directory.resolve("windows");
        Tools.shell("truncate -s 16M \"$1\"; mkntfs -q -Q -F \"$1\" > /dev/null 2>&1; mkdir \"$1.mnt\"; ntfs-3g \"$1\" \"$1.mnt\"\n"
                + "(printf hibr; head -c 65536 /dev/zero) > \"$1.mnt/hiberfil.sys\"; umount \"$1.mnt\"\n"
                + "while fuser -s \"$1\" 2> /dev/null; do sleep 0.1; done\n"
                // The magic of ext in the boot code.
                + (second ? "printf '\\123\\357' | dd of=\"$1\" bs=1 seek=1080 conv=notrunc status=none" : ""), windows);
        Path disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, copyOf("a"),
                new GuestVolume(windows, true)).file();
        assertRefused(disk, "hibernated");
    }

    /** What looks like a gap is the tail of a file system whose partition was made smaller in the table only. */
    @Test
    void gapBehindAFileSystemThatIsLargerThanItsPartition() throws IOException {
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, copyOf("a"), copyOf("b"), copyOf("c"));
        Tools.require("sfdisk");
        Tools.okWithInput(",8M\n", "sfdisk", "-q", "--no-tell-kernel", "-N", "2", disk.file().toString());
        Path image = directory.resolve("image.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", disk.file(), image);
        ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().includes(Set.of(ReclaimOptions.Include.GAPS)).build());
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict(), String.valueOf(report.reason()));
        VolumeReport gaps = report.volumes().get(3);
        assertTrue(gaps.type().equals("gaps") && gaps.skipped() && gaps.reason().contains("volume 2"), gaps.toString());
        ExtentSet free = disk.volumes().get(0).free().shift(disk.offsets().get(0))
                .union(disk.volumes().get(2).free().shift(disk.offsets().get(2)));
        assertEquals(List.of(), disk.differences(image, free, free.inwardTo(4096)));
    }
}
