package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.Descriptor.Purpose;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** File systems of the host, each a real one. */
@Timeout(120)
class HostFileSystemsTest {

    @TempDir
    Path folder;

    private static Path random(Path path, int size) throws IOException {
        byte[] content = new byte[size];
        new Random(11).nextBytes(content);
        return Files.write(path, content);
    }

    private static PunchSupport support(Path image) throws IOException {
        try (NativeFile file = NativeFile.open(image, Purpose.READ)) {
            PunchSupport support = file.punchSupport();
            assertEquals(List.of(), file.remarks());
            return support;
        }
    }

    private static Deallocation plan(Path image, ExtentSet free) throws IOException {
        try (OpenedImage opened = DiskImages.open(image, new Options(Access.PLAN, "raw", List.of()))) {
            return opened.image().plan(new DeallocationRequest(free, ReclaimMode.PUNCH, 0, 0, false));
        }
    }

    private static long run(Path image, ExtentSet free) throws IOException {
        try (OpenedImage opened = DiskImages.open(image, new Options(Access.WRITE, "raw", List.of()))) {
            Deallocation plan = opened.image().plan(new DeallocationRequest(free, ReclaimMode.PUNCH, 0, 0, false));
            long before = opened.image().hostBytes();
            opened.image().apply(plan, Progress.NONE);
            return before - opened.image().hostBytes();
        }
    }

    private void requireExact(Path image, long granularity) throws IOException {
        assertEquals(new PunchSupport(granularity, 0, true, "PUNCH_HOLE"), support(image));
        byte[] content = Files.readAllBytes(image);
        ExtentSet free = ExtentSet.builder().add(granularity - 1, 2 * granularity + 1).add(10 * granularity, 1).build();
        assertEquals(2 * granularity, plan(image, free).plannedBytes());
        assertEquals(2 * granularity, run(image, free));
        java.util.Arrays.fill(content, (int) granularity, (int) (3 * granularity), (byte) 0);
        assertArrayEquals(content, Files.readAllBytes(image));
    }

    /** Some file systems call what waits to be written a hole; ext4, which does not, tells at least whether anything waits. */
    @ParameterizedTest
    @EnumSource(value = Access.class, names = {"WRITE", "PLAN", "COPY"})
    void nothingWaitsToBeWrittenWhenTheMapIsRead(Access access) throws IOException {
        Tools.require("filefrag");
        try (LoopMount ext = new LoopMount(folder, "64M", "", "mkfs.ext4", "-q")) {
            Path image = random(ext.place().resolve("disk"), 1 << 20);
            assertTrue(Tools.ok("filefrag", "-v", image.toString()).contains("delalloc"));
            try (OpenedImage opened = DiskImages.open(image, new Options(access, "raw", List.of()))) {
                opened.image().mayHoldData();
            }
            String map = Tools.ok("filefrag", "-v", image.toString());
            assertFalse(map.contains("delalloc"), map);
        }
    }

    @Test
    void ext4WithSmallBlocksPunchesSmallHoles() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "64M", "", "mkfs.ext4", "-q", "-b", "1024")) {
            requireExact(random(ext.place().resolve("disk"), 256 << 10), 1024);
        }
    }

    /** The block is 4 KiB, but the file system gives out clusters. */
    @Test
    void ext4WithClustersPunchesWholeClusters() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "256M", "", "mkfs.ext4", "-q", "-O", "bigalloc", "-C", "65536")) {
            requireExact(random(ext.place().resolve("disk"), 2 << 20), 65536);
        }
    }

    @Test
    void clustersAboveTheFirstTrialsSizeAreFound() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "512M", "", "mkfs.ext4", "-q", "-O", "bigalloc", "-C", "1048576")) {
            requireExact(random(ext.place().resolve("disk"), 12 << 20), 1 << 20);
        }
    }

    @Test
    void tmpfsPunchesPages() throws IOException {
        Tools.requireLoopDevices();
        Path place = Files.createDirectory(folder.resolve("tmp"));
        Tools.ok("mount", "-t", "tmpfs", "-o", "size=32M", "tmpfs", place.toString());
        try {
            Path disk = random(place.resolve("disk"), 1 << 20);
            requireExact(disk, 4096);
            try (NativeFile file = NativeFile.open(disk, Purpose.READ)) {
                assertEquals(ExtentSet.ofRange(0, 1 << 20).minus(ExtentSet.ofRange(4096, 8192)), file.map().allocated());
                assertTrue(file.map().exact());
            }
        } finally {
            Tools.ok("umount", place.toString());
        }
    }

    @Test
    void blocksSharedOnXfsStayAndAreNamed() throws IOException {
        try (LoopMount xfs = new LoopMount(folder, "400M", "", "mkfs.xfs", "-q", "-m", "reflink=1")) {
            requireSharedStay(xfs.place());
        }
    }

    @Test
    void blocksSharedOnBtrfsStayAndAreNamed() throws IOException {
        try (LoopMount btrfs = new LoopMount(folder, "256M", "", "mkfs.btrfs", "-q")) {
            requireSharedStay(btrfs.place());
        }
    }

    private void requireSharedStay(Path place) throws IOException {
        Path disk = random(place.resolve("disk"), 1 << 20);
        Tools.shell("sync \"$1\"; cp --reflink=always \"$1\" \"$2\"", disk, place.resolve("copy"));
        byte[] copied = Files.readAllBytes(disk);
        // The first and the last quarter are the disk's own again; what is shared lies between two holes to be.
        Tools.shell("for at in 0 3; do head -c 262144 /dev/urandom "
                + "| dd of=\"$1\" bs=262144 seek=$at iflag=fullblock conv=notrunc,fsync status=none; done", disk);
        byte[] content = Files.readAllBytes(disk);
        ExtentSet free = ExtentSet.ofRange(4096, (1 << 20) - 4096);
        Deallocation plan = plan(disk, free);
        ExtentSet own = ExtentSet.builder().add(4096, 262144 - 4096).add(3 * 262144, 262144).build();
        assertEquals(own, plan.reclaimable());
        assertEquals(1, plan.retained().size());
        assertTrue(plan.retained().get(0).why().contains("shared with another file"));
        assertEquals(plan.plannedBytes(), run(disk, free));
        java.util.Arrays.fill(content, 4096, 262144, (byte) 0);
        java.util.Arrays.fill(content, 3 * 262144, 1 << 20, (byte) 0);
        assertArrayEquals(content, Files.readAllBytes(disk));
        assertArrayEquals(copied, Files.readAllBytes(place.resolve("copy")));
        Files.delete(place.resolve("copy"));
        // XFS lets go of a deleted file's blocks in the background.
        for (int i = 0; i < 100 && plan(disk, free).isEmpty(); i++) {
            Tools.shell("sync -f \"$1\"; sleep 0.1", disk);
        }
        assertEquals(2 * 262144, plan(disk, free).plannedBytes());
    }

    @Test
    void aFileSystemThatCannotPunchIsRefusedAndNothingChanges() throws IOException {
        Tools.requireLoopDevices();
        Path place = Files.createDirectory(folder.resolve("ram"));
        Tools.ok("mount", "-t", "ramfs", "ramfs", place.toString());
        try {
            requireRefusedUntouched(random(place.resolve("disk"), 1 << 20));
        } finally {
            Tools.ok("umount", place.toString());
        }
    }

    /** NTFS-3G knows neither nameless files nor holes. */
    @Test
    void aFuseFileSystemThatCannotPunchIsRefusedAndNothingChanges() throws IOException {
        Tools.require("ntfs-3g");
        try (LoopMount ntfs = new LoopMount(folder, "32M", "", "mkfs.ntfs", "-q", "-F", "-Q")) {
            requireRefusedUntouched(random(ntfs.place().resolve("disk"), 1 << 20));
        }
    }

    @Test
    void squashfsCannotPunch() throws IOException {
        Tools.requireLoopDevices();
        Tools.require("mksquashfs");
        Path tree = Files.createDirectory(folder.resolve("tree"));
        Path disk = random(tree.resolve("disk"), 1 << 20);
        Path place = Files.createDirectory(folder.resolve("squash"));
        Tools.ok("mksquashfs", tree.toString(), folder.resolve("s.img").toString(), "-quiet");
        Tools.ok("mount", "-o", "loop,ro", folder.resolve("s.img").toString(), place.toString());
        try {
            assertArrayEquals(Files.readAllBytes(disk), Files.readAllBytes(place.resolve("disk")));
            assertThrows(UnsupportedException.class, () -> plan(place.resolve("disk"), ExtentSet.ofRange(0, 4096)));
            IOException readOnly = assertThrows(IOException.class, () -> run(place.resolve("disk"), ExtentSet.EMPTY));
            assertTrue(readOnly.getMessage().contains("EROFS"), readOnly.getMessage());
        } finally {
            Tools.ok("umount", place.toString());
        }
    }

    private static void requireRefusedUntouched(Path disk) throws IOException {
        byte[] content = Files.readAllBytes(disk);
        Object modified = Files.getLastModifiedTime(disk);
        ExtentSet free = ExtentSet.ofRange(0, 1 << 20);
        for (int i = 0; i < 2; i++) {
            UnsupportedException refused = assertThrows(UnsupportedException.class, () -> run(disk, free));
            assertTrue(refused.reason().contains("cannot punch"), refused.reason());
            assertEquals(disk.toString(), refused.path());
            assertThrows(UnsupportedException.class, () -> plan(disk, free));
        }
        assertArrayEquals(content, Files.readAllBytes(disk));
        assertEquals(modified, Files.getLastModifiedTime(disk));
        try (var files = Files.list(disk.getParent())) {
            assertEquals(List.of(disk), files.toList());
        }
    }

    @Test
    void aReadOnlyMountIsPlannedByItsTypeAndSaysSo() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "64M", "", "mkfs.ext4", "-q", "-b", "1024")) {
            Path disk = random(ext.place().resolve("disk"), 256 << 10);
            Tools.ok("mount", "-o", "remount,ro", ext.place().toString());
            try (OpenedImage opened = DiskImages.open(disk, new Options(Access.PLAN, "raw", List.of()))) {
                Deallocation plan = opened.image().plan(
                        new DeallocationRequest(ExtentSet.ofRange(0, 10_000), ReclaimMode.PUNCH, 0, 0, false));
                assertEquals(9216, plan.plannedBytes());
                assertTrue(opened.remarks().toString().contains("could not be tried"), opened.remarks().toString());
            }
        }
    }

    /** The case that the tool is for: there is no room left, not even for a trial. */
    @Test
    void aFullFileSystemIsStillReclaimed() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "16M", "", "mkfs.ext4", "-q", "-b", "4096", "-m", "0")) {
            Path disk = random(ext.place().resolve("disk"), 1 << 20);
            Tools.shell("cat /dev/zero > \"$1\" 2>/dev/null || true; sync", ext.place().resolve("filler"));
            try (OpenedImage opened = DiskImages.open(disk, new Options(Access.WRITE, "raw", List.of()))) {
                Deallocation plan = opened.image().plan(
                        new DeallocationRequest(ExtentSet.ofRange(0, 1 << 19), ReclaimMode.PUNCH, 0, 0, false));
                assertEquals(1 << 19, plan.plannedBytes());
                opened.image().apply(plan, Progress.NONE);
                assertEquals(1 << 19, opened.image().hostBytes());
                assertTrue(opened.remarks().toString().contains("could not be tried"), opened.remarks().toString());
            }
        }
    }

    @Test
    void aFileMountedAloneIsNotJudgedByItsNeighbours() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "64M", "", "mkfs.ext4", "-q", "-b", "1024")) {
            Path disk = random(ext.place().resolve("disk"), 256 << 10);
            Path target = Files.createFile(folder.resolve("target"));
            Tools.ok("mount", "--bind", disk.toString(), target.toString());
            try (OpenedImage opened = DiskImages.open(target, new Options(Access.PLAN, "raw", List.of()))) {
                assertEquals(1024, opened.file().punchSupport().granularity());
                assertTrue(opened.remarks().toString().contains("could not be tried"), opened.remarks().toString());
            } finally {
                Tools.ok("umount", target.toString());
            }
        }
    }

    @Test
    void anImmutableFileIsPlannedAndNotWritten() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "16M", "", "mkfs.ext4", "-q")) {
            Path disk = random(ext.place().resolve("disk"), 1 << 20);
            Tools.ok("chattr", "+i", disk.toString());
            try {
                assertEquals(1 << 20, plan(disk, ExtentSet.ofRange(0, 1 << 20)).plannedBytes());
                IOException refused = assertThrows(IOException.class, () -> run(disk, ExtentSet.EMPTY));
                assertTrue(refused.getMessage().contains(disk.toString()) && refused.getMessage().contains("EPERM"),
                        refused.getMessage());
            } finally {
                Tools.ok("chattr", "-i", disk.toString());
            }
        }
    }

    @Test
    void theTrialIsMadeOnceForAFileSystem() throws IOException {
        try (LoopMount ext = new LoopMount(folder, "16M", "", "mkfs.ext4", "-q", "-b", "1024")) {
            PunchSupport first = support(random(ext.place().resolve("one"), 8192));
            assertEquals(1024, first.granularity());
            assertSame(first, support(random(ext.place().resolve("two"), 8192)));
        }
    }
}
