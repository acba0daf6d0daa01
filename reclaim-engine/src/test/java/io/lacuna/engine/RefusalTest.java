package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Disks that must not be touched, in whole or in part. */
class RefusalTest {

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

    private static ImageReport run(Path image) {
        return ReclaimRun.run(image, ReclaimOptions.builder().build());
    }

    static void assertRefused(Path image, String reason) {
        Tools.shell("sync \"$1\"", image);
        String state = Tools.shell("stat -c '%b %s %y %z' \"$1\"; sha256sum < \"$1\"", image);
        for (ReclaimOptions.Purpose purpose : List.of(ReclaimOptions.Purpose.DRY_RUN, ReclaimOptions.Purpose.RECLAIM)) {
            ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().purpose(purpose).build());
            assertEquals(ImageReport.Verdict.REFUSED, report.verdict(), purpose + " " + report);
            assertTrue(report.reason().contains(reason), report.reason());
            assertEquals(0, report.plannedBytes());
        }
        assertEquals(state, Tools.shell("stat -c '%b %s %y %z' \"$1\"; sha256sum < \"$1\"", image));
    }

    @Test
    void unknownContent() {
        assertRefused(foreign("junk", 4 * MIB, "true").file(), "no known signature");
    }

    @Test
    void staleSecondSignatureOnAVolume() {
        GuestVolume volume = copyOf("two");
        Tools.shell("printf XFSB | dd of=\"$1\" conv=notrunc status=none", volume.file());
        assertRefused(volume.file(), "xfs");
    }

    /** A partition that became another machine's disk: the old superblock and bitmaps stand before the new partition. */
    @Test
    void staleFileSystemUnderThePartitionTableOfAPartition() throws IOException {
        Tools.require("sfdisk", "mke2fs");
        GuestVolume volume = foreign("nested", 16 * MIB, "mke2fs -q -F -t ext4 -b 1024 -O ^has_journal \"$1\"; echo 2048,,83 | "
                + "sfdisk -q --no-tell-kernel --wipe never \"$1\"; head -c 15M /dev/urandom | dd of=\"$1\" bs=1M seek=1 "
                + "conv=notrunc status=none");
        assertTrue(volume.free().totalBytes() > 8 * MIB, "by its old bitmaps");
        for (String scheme : List.of("gpt", "mbr")) {
            GuestDisk disk = GuestDisk.assemble(directory.resolve(scheme), scheme, 512, volume);
            assertRefused(disk.file(), "dos");
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3})
    void volumeWithItsDmVerityHashesOnAnotherPartition(int behind) throws IOException {
        Tools.require("veritysetup");
        Path hashes = directory.resolve("hashes");
        GuestVolume hashed = copyOf("hashed");
        Tools.shell("veritysetup format \"$1\" \"$2\" > /dev/null; truncate -s 1M \"$2\"; "
                + "truncate -s +$3M \"$1\"", hashed.file(), hashes, behind);
        GuestVolume other = GuestVolume.ext(directory, "other", 20 * MIB, "-t ext4");
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, hashed,
                new GuestVolume(hashes, false), other);
        ImageReport report = run(disk.file());
        assertEquals(List.of(true, true, false), report.volumes().stream().map(VolumeReport::skipped).toList());
        assertTrue(report.volumes().get(0).reason().contains("dm-verity"), report.toString());
        Path cut = disk.volumesOf(disk.file(), directory).get(0).file();
        Tools.ok("cmp", hashed.file().toString(), cut.toString());
    }

    @Test
    void volumeInDoubtIsSkippedAndTheOtherOneReclaimed() throws IOException {
        GuestVolume dirty = copyOf("dirty");
        Tools.ok("debugfs", "-w", "-R", "set_super_value state 0", dirty.file().toString());
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512, copyOf("clean"), dirty);
        Path image = directory.resolve("image.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", disk.file(), image);
        ImageReport report = run(image);
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict());
        assertEquals(List.of(false, true), report.volumes().stream().map(VolumeReport::skipped).toList());
        ExtentSet free = disk.volumes().get(0).free().shift(disk.offsets().get(0));
        assertEquals(List.of(), disk.differences(image, free, free.inwardTo(4096)));
    }

    @Test
    void planOfAnEarlierSessionHoldsOnlyForTheUnchangedFile() throws IOException {
        Path image = copyOf("vm.raw").file();
        Tools.shell("sync \"$1\"", image);
        ReclaimOptions options = ReclaimOptions.builder().build();
        ReclaimPlan plan;
        try (ReclaimSession session = Reclaimer.open(image, options)) {
            plan = session.plan();
        }
        Tools.shell("sleep 0.05; printf x | dd of=\"$1\" conv=notrunc status=none", image);
        try (ReclaimSession session = Reclaimer.open(image, options)) {
            UnsafeException refusal = assertThrows(UnsafeException.class, () -> session.apply(plan, Progress.NONE));
            assertTrue(refusal.getMessage().contains("plan again"), refusal.getMessage());
            assertEquals(ImageReport.Verdict.RECLAIMED, session.apply(session.plan(), Progress.NONE).verdict());
        }
    }

    @Test
    void planOfAnEarlierSessionIsGoodForTheUnchangedFile() throws IOException {
        Path image = copyOf("vm.raw").file();
        Tools.shell("sync \"$1\"", image);
        ReclaimOptions options = ReclaimOptions.builder().build();
        ReclaimPlan plan;
        try (ReclaimSession session = Reclaimer.open(image, options)) {
            plan = session.plan();
        }
        try (ReclaimSession session = Reclaimer.open(image, options)) {
            assertEquals(ImageReport.Verdict.RECLAIMED, session.apply(plan, Progress.NONE).verdict());
        }
    }

    @Test
    void aDataFileThatChangesUnderThePlanStopsTheRun() throws IOException {
        Tools.require("qemu-img");
        Path image = directory.resolve("vm.qcow2");
        Path data = directory.resolve("vm.data");
        Tools.shell("qemu-img create -q -f qcow2 -o data_file=\"$3\" \"$2\" $(stat -c %s \"$1\"); "
                + "qemu-img convert -n -f raw -O qcow2 \"$1\" \"$2\"", ext.file(), image, data);
        ReclaimOptions options = ReclaimOptions.builder().format("qcow2").build();
        try (ReclaimSession session = Reclaimer.open(image, options)) {
            ReclaimPlan plan = session.plan();
            assertTrue(plan.plannedBytes() > 0);
            Tools.shell("sleep 0.05; dd if=\"$1\" of=\"$1\" bs=4096 count=1 conv=notrunc status=none", data);
            String before = Tools.ok("stat", "-c", "%y %b", data.toString());
            UnsafeException refusal = assertThrows(UnsafeException.class, () -> session.apply(plan, Progress.NONE));
            assertTrue(refusal.getMessage().contains("something wrote"), refusal.getMessage());
            assertEquals(before, Tools.ok("stat", "-c", "%y %b", data.toString()));
        }
        assertEquals(ImageReport.Verdict.RECLAIMED, ReclaimRun.run(image, options).verdict());
    }

    /** The guest of a raw disk makes a neighbour's disk its data file, and a fresh file system say that all of it is free. */
    @Test
    void theHeaderThatAGuestWroteLeadsToNoNeighboursDisk() throws IOException {
        Tools.require("qemu-img", "mke2fs");
        Path guest = directory.resolve("guest.raw");
        Path neighbour = copyOf("neighbour.raw").file();
        Tools.shell("cd \"$1\"; size=$(stat -c %s neighbour.raw); truncate -s $size fresh.raw; mke2fs -q -F -t ext4 fresh.raw\n"
                + "cp --sparse=always neighbour.raw keep; qemu-img create -q -f qcow2 -o data_file=neighbour.raw -b fresh.raw -F "
                + "raw evil $size; cp --sparse=always keep neighbour.raw; truncate -s $size guest.raw\n"
                + "dd if=evil of=guest.raw conv=notrunc status=none; rm evil keep", directory);
        String before = Tools.ok("sha256sum", neighbour.toString());
        assertRefused(guest, "--format");
        assertEquals(before, Tools.ok("sha256sum", neighbour.toString()));
    }

    @Test
    void aFileInTheMarkersPlaceIsNotOurs() throws IOException {
        Tools.require("qemu-img");
        Path image = directory.resolve("vm.qcow2");
        Tools.ok("qemu-img", "convert", "-O", "qcow2", ext.file().toString(), image.toString());
        Path notes = Files.write(directory.resolve("vm.qcow2.lacuna-run"), new byte[] {'n', (byte) 0xFF});
        String before = Tools.ok("sha256sum", image.toString());
        assertRefused(image, notes.toString());
        assertEquals(2, Files.size(notes));
        assertEquals(before, Tools.ok("sha256sum", image.toString()));
    }

    @Test
    void blockDeviceIsTrimmedAndItsPlanIsNeverKept() throws IOException {
        Tools.requireLoopDevices();
        GuestVolume volume = copyOf("vm.raw");
        String loop = Tools.ok("losetup", "-f", "--show", volume.file().toString()).strip();
        try {
            ReclaimOptions options = ReclaimOptions.builder().format("raw").build();
            ReclaimPlan plan;
            try (ReclaimSession session = Reclaimer.open(Path.of(loop), options)) {
                plan = session.plan();
            }
            try (ReclaimSession session = Reclaimer.open(Path.of(loop), options)) {
                assertThrows(UnsafeException.class, () -> session.apply(plan, Progress.NONE));
            }
            for (int i = 0; i < 2; i++) {
                ImageReport report = ReclaimRun.run(Path.of(loop), options);
                assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict(), String.valueOf(report.reason()));
                assertTrue(report.remarks().stream().anyMatch(remark -> remark.contains("again")), report.remarks().toString());
            }
        } finally {
            Tools.ok("losetup", "-d", loop);
        }
        GuestDisk disk = new GuestDisk(ext.file(), List.of(ext), List.of(0L));
        assertEquals(List.of(), disk.differences(volume.file(), ext.free(), ext.free().inwardTo(4096)));
        volume.check();
    }

    @Test
    void mountedDeviceIsRefused() throws IOException {
        Tools.requireLoopDevices();
        Path image = copyOf("vm.raw").file();
        Path mountPoint = Files.createDirectory(directory.resolve("mnt"));
        String loop = Tools.ok("losetup", "-f", "--show", image.toString()).strip();
        try {
            Tools.ok("mount", loop, mountPoint.toString());
            try {
                ImageReport report = ReclaimRun.run(Path.of(loop), ReclaimOptions.builder().format("raw").build());
                assertEquals(ImageReport.Verdict.REFUSED, report.verdict(), report.toString());
                assertEquals(ImageReport.Verdict.REFUSED, run(image).verdict(), "the file behind the mounted loop device");
            } finally {
                Tools.ok("umount", mountPoint.toString());
            }
        } finally {
            Tools.ok("losetup", "-d", loop);
        }
    }

    @Test
    void imageThatQemuHasOpenIsRefusedAndTheLockNamed() throws Exception {
        Tools.require("qemu-nbd", "qemu-img");
        Path image = directory.resolve("vm.qcow2");
        Tools.ok("qemu-img", "convert", "-O", "qcow2", ext.file().toString(), image.toString());
        for (String mode : List.of("--discard=unmap", "-r")) {
            Path pid = directory.resolve("nbd.pid");
            Tools.ok("qemu-nbd", "--fork", "--persistent", mode, "-k", directory.resolve("nbd.sock").toString(), "--pid-file",
                    pid.toString(), "-f", "qcow2", image.toString());
            try {
                String before = Tools.ok("sha256sum", image.toString());
                ImageReport report = run(image);
                assertEquals(ImageReport.Verdict.REFUSED, report.verdict(), mode + " " + report);
                assertTrue(report.reason().contains("lock") && report.reason().contains("qemu-nbd"), report.reason());
                assertEquals(before, Tools.ok("sha256sum", image.toString()));
            } finally {
                Tools.shell("kill $(cat \"$1\"); while kill -0 $(cat \"$1\") 2> /dev/null; do sleep 0.05; done", pid);
            }
        }
        assertEquals(ImageReport.Verdict.RECLAIMED, run(image).verdict());
    }

    @Test
    void qemuCannotWriteWhileASessionIsOpen() throws IOException {
        Tools.require("qemu-io", "qemu-img");
        Path image = directory.resolve("vm.qcow2");
        Tools.ok("qemu-img", "convert", "-O", "qcow2", ext.file().toString(), image.toString());
        try (ReclaimSession session = Reclaimer.open(image, ReclaimOptions.builder().build())) {
            session.plan();
            assertTrue(Tools.run("qemu-io", "-c", "write 0 4k", image.toString()).output().contains("lock"));
        }
        Tools.ok("qemu-io", "-c", "read 0 4k", image.toString());
    }

    @Test
    void formatGivenByTheCallerOverridesASignatureThatAGuestWrote() throws IOException {
        GuestVolume volume = copyOf("vm.raw");
        // The boot sector of an ext volume is the guest's to write.
        Tools.shell("qemu-img create -q -f qcow2 -b /etc/passwd -F raw \"$2\" 16M; dd if=\"$2\" of=\"$1\" bs=512 count=1 "
                + "conv=notrunc status=none",
                volume.file(), directory.resolve("evil.qcow2"));
        Path pristine = directory.resolve("pristine.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", volume.file(), pristine);
        assertEquals(ImageReport.Verdict.REFUSED, run(volume.file()).verdict());
        ImageReport report = ReclaimRun.run(volume.file(), ReclaimOptions.builder().format("raw").build());
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict(), String.valueOf(report.reason()));
        assertEquals("fixed", report.formatSource());
        GuestDisk disk = new GuestDisk(pristine, List.of(ext), List.of(0L));
        assertEquals(List.of(), disk.differences(volume.file(), ext.free(), ext.free().inwardTo(4096)));
    }

    @Test
    void savedMemoryBesideTheImage() throws IOException {
        Path image = copyOf("vm.raw").file();
        Files.write(directory.resolve("vm.vmem"), new byte[4096]);
        assertRefused(image, "vm.vmem");
    }

    @Test
    void hostThatCannotPunchHoles() throws IOException {
        Tools.require("mkntfs", "ntfs-3g");
        Tools.requireFuse();
        Path mountPoint = Files.createDirectory(directory.resolve("mnt"));
        Path host = directory.resolve("host.ntfs");
        Tools.shell("truncate -s 64M \"$1\"; mkntfs -q -Q -F \"$1\" > /dev/null 2>&1; ntfs-3g \"$1\" \"$2\"", host, mountPoint);
        try {
            Path image = mountPoint.resolve("vm.raw");
            Files.copy(ext.file(), image);
            ImageReport report = run(image);
            assertEquals(ImageReport.Verdict.REFUSED, report.verdict(), report.toString());
            assertTrue(report.reason().contains("punch"), report.reason());
            Tools.ok("cmp", ext.file().toString(), image.toString());
        } finally {
            Tools.ok("umount", mountPoint.toString());
        }
    }
}
