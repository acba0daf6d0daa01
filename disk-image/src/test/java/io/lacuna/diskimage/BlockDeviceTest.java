package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.diskimage.undo.UndoRecorder;
import io.lacuna.fixtures.Tools;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class BlockDeviceTest {

    private static final int SIZE = 16 << 20;

    @TempDir
    Path folder;

    /** A loop device over a file with random content. */
    private final class Loop implements Closeable {
        private final Path file = folder.resolve("backing");
        private final Path device;

        Loop() throws IOException {
            this(512);
        }

        Loop(int sectorSize) throws IOException {
            Tools.requireLoopDevices();
            byte[] content = new byte[SIZE];
            new Random(5).nextBytes(content);
            Files.write(file, content);
            device = Path.of(Tools.ok("losetup", "-f", "--show", "--sector-size", Integer.toString(sectorSize),
                    file.toString()).strip());
        }

        @Override
        public void close() {
            Tools.ok("losetup", "-d", device.toString());
        }
    }

    private static OpenedImage open(Path device, Access access) throws IOException {
        return DiskImages.open(device, new Options(access, "raw", List.of()));
    }

    private static DeallocationRequest request(ExtentSet free) {
        return new DeallocationRequest(free, ReclaimMode.DEALLOCATE, 0, 0, false);
    }

    @Test
    void punchesABlockDevice() throws IOException {
        try (Loop loop = new Loop()) {
            byte[] content = Files.readAllBytes(loop.file);
            ExtentSet free = ExtentSet.ofRange(100, 1 << 20);
            try (OpenedImage image = open(loop.device, Access.WRITE)) {
                assertTrue(image.file().isBlockDevice());
                assertEquals(SIZE, image.image().virtualSize());
                assertEquals(-1, image.image().hostBytes());
                assertFalse(image.file().map().exact());
                assertFalse(image.file().identity().provesUnchangedSince(image.file().identity()));
                PunchSupport support = image.file().punchSupport();
                assertEquals(new PunchSupport(4096, 0, true, "PUNCH_HOLE"), support);
                Deallocation plan = image.image().plan(request(free));
                assertEquals(ExtentSet.ofRange(4096, (1 << 20) - 4096), plan.reclaimable());
                assertTrue(plan.remarks().toString().contains("released again at each run"), plan.remarks().toString());
                image.image().apply(plan, Progress.NONE);
                assertEquals(plan.plannedBytes(), image.image().plan(request(free)).plannedBytes());
            }
            Arrays.fill(content, 4096, 1 << 20, (byte) 0);
            assertArrayEquals(content, Files.readAllBytes(loop.file));
            // A file in many pieces costs its file system a block or two for the list of them.
            long stored = Long.parseLong(Tools.ok("stat", "-c", "%b", loop.file.toString()).strip()) * 512;
            assertEquals(SIZE - (1 << 20) + 4096, stored, 4 * 4096);
        }
    }

    /** Free ranges of a file system with smaller blocks begin and end inside of sectors: what else lies in these is live. */
    @Test
    void roundingAt4Kn() throws IOException {
        try (Loop loop = new Loop(4096)) {
            byte[] content = Files.readAllBytes(loop.file);
            ExtentSet free = ExtentSet.builder().add(512, 3 * 4096).add(20480 + 1024, 2048).add(32768 - 512, 4096 + 1024)
                    .add((1 << 20) + 3584, (1 << 20) + 512).build();
            try (OpenedImage image = open(loop.device, Access.WRITE)) {
                assertEquals(0, image.file().punchSupport().granularity() % 4096);
                Deallocation plan = image.image().plan(request(free));
                assertEquals(ExtentSet.builder().add(4096, 2 * 4096).add(32768, 4096).add((1 << 20) + 4096, 1 << 20).build(),
                        plan.reclaimable());
                image.image().apply(plan, Progress.NONE);
                Arrays.fill(content, 4096, 3 * 4096, (byte) 0);
                Arrays.fill(content, 32768, 36864, (byte) 0);
                Arrays.fill(content, (1 << 20) + 4096, (2 << 20) + 4096, (byte) 0);
            }
            assertArrayEquals(content, Files.readAllBytes(loop.file));
        }
    }

    @Test
    void aGranularityAboveWhatOneCallReleasesIsKept() throws IOException {
        Tools.requireLoopDevices();
        Path file = folder.resolve("large");
        Tools.shell("truncate -s 16G \"$1\"; printf x | dd of=\"$1\" bs=1 seek=9G conv=notrunc status=none", file);
        String device = Tools.ok("losetup", "-f", "--show", file.toString()).strip();
        try (OpenedImage image = open(Path.of(device), Access.WRITE)) {
            DeallocationRequest wide = new DeallocationRequest(ExtentSet.ofRange(1 << 30, 15L << 30), ReclaimMode.DEALLOCATE,
                    8L << 30, 0, false);
            Deallocation plan = image.image().plan(wide);
            assertEquals(ExtentSet.ofRange(8L << 30, 8L << 30), plan.reclaimable());
            image.image().apply(plan, Progress.NONE);
            ByteBuffer read = ByteBuffer.allocate(1);
            image.file().read(9L << 30, read);
            assertEquals(0, read.get(0));
        } finally {
            Tools.ok("losetup", "-d", device);
        }
    }

    @Test
    void neitherReadsNorWritesBehindTheEnd() throws IOException {
        try (Loop loop = new Loop(); NativeFile file = NativeFile.open(loop.device, Descriptor.Purpose.WRITE)) {
            assertThrows(EOFException.class, () -> file.read(SIZE - 1, ByteBuffer.allocate(2)));
            assertThrows(EOFException.class, () -> file.write(SIZE - 1, ByteBuffer.allocate(2)));
            assertThrows(IllegalArgumentException.class, () -> file.truncate(0));
            file.write(SIZE - 2, ByteBuffer.wrap(new byte[] {1, 2}));
            ByteBuffer read = ByteBuffer.allocate(2);
            file.read(SIZE - 2, read);
            assertArrayEquals(new byte[] {1, 2}, read.array());
        }
    }

    @Test
    void aDeviceThatOnlyDiscardsIsDiscarded() throws IOException {
        try (Loop loop = new Loop(); NativeFile file = NativeFile.open(loop.device, Descriptor.Purpose.WRITE)) {
            byte[] content = Files.readAllBytes(loop.file);
            file.assume(new PunchSupport(4096, 0, false, "BLKDISCARD"));
            file.punch(8192, 4096);
            file.sync();
            Arrays.fill(content, 8192, 12288, (byte) 0);
            assertArrayEquals(content, Files.readAllBytes(loop.file));
        }
    }

    /** What is in use and zeros must not become what a discard leaves. */
    @Test
    void zerosInUseAreNotDiscarded() throws IOException {
        try (Loop loop = new Loop(); NativeFile file = NativeFile.open(loop.device, Descriptor.Purpose.WRITE)) {
            ExtentSet free = ExtentSet.ofRange(0, 4096);
            DeallocationRequest request = new DeallocationRequest(free, ExtentSet.ofRange(8192, 8192), ReclaimMode.PUNCH, 0, 0,
                    false);
            List<String> remarks = new ArrayList<>();
            assertEquals(12288, request.on(List.of(file), remarks).free().totalBytes());
            assertEquals(List.of(), remarks);
            file.assume(new PunchSupport(4096, 0, false, "BLKDISCARD"));
            assertEquals(free, request.on(List.of(file), remarks).free());
            assertTrue(remarks.get(0).contains("does not promise"), remarks.toString());
            byte[] content = Files.readAllBytes(loop.file);
            assertThrows(IOException.class, () -> file.punch(8192, 4096));
            assertArrayEquals(content, Files.readAllBytes(loop.file));
        }
    }

    /** With an undo file in between as well. */
    @Test
    void zerosInUseAreNotDiscardedBeneathAnUndoFileEither() throws IOException {
        try (Loop loop = new Loop(); NativeFile file = NativeFile.open(loop.device, Descriptor.Purpose.WRITE);
                UndoRecorder recorder = new UndoRecorder(folder.resolve("undo"))) {
            DeallocationRequest request = new DeallocationRequest(ExtentSet.EMPTY, ExtentSet.ofRange(8192, 8192), ReclaimMode.PUNCH,
                    0, 0, false);
            assertEquals(8192, request.on(List.of(recorder.wrap(file)), new ArrayList<>()).free().totalBytes());
            file.assume(new PunchSupport(4096, 0, false, "BLKDISCARD"));
            byte[] content = Files.readAllBytes(loop.file);
            assertThrows(IOException.class, () -> file.punch(8192, 4096));
            assertArrayEquals(content, Files.readAllBytes(loop.file));
        }
    }

    @Test
    void aMountedDeviceIsRefusedWithItsPlace() throws IOException {
        Tools.requireLoopDevices();
        Tools.require("mkfs.ext4");
        try (Loop loop = new Loop()) {
            Tools.ok("mkfs.ext4", "-q", "-F", loop.device.toString());
            Path place = Files.createDirectory(folder.resolve("place"));
            Tools.ok("mount", loop.device.toString(), place.toString());
            try {
                for (Access access : List.of(Access.WRITE, Access.PLAN)) {
                    UnsafeException refused = assertThrows(UnsafeException.class, () -> open(loop.device, access).close());
                    assertTrue(refused.reason().contains("mounted at " + place), refused.reason());
                }
                open(loop.device, Access.INSPECT).close();
            } finally {
                Tools.ok("umount", place.toString());
            }
            open(loop.device, Access.WRITE).close();
        }
    }

    @Test
    void aDeviceThatAProcessWritesToIsRefused() throws IOException {
        Tools.require("python3");
        try (Loop loop = new Loop();
                Holder holder = Holder.python("import os, sys; f = os.open(sys.argv[1], os.O_RDWR)", loop.device.toString())) {
            UnsafeException refused = assertThrows(UnsafeException.class, () -> open(loop.device, Access.WRITE).close());
            assertTrue(refused.reason().contains("process " + holder.process()), refused.reason());
            try (OpenedImage looked = open(loop.device, Access.INSPECT)) {
                assertTrue(looked.remarks().toString().contains("process " + holder.process()));
            }
        }
    }

    @Test
    void qemusLocksCountOnADevice() throws IOException {
        Tools.require("qemu-io");
        try (Loop loop = new Loop()) {
            try (Holder qemu = Holder.qemuIo("-f", "raw", loop.device.toString())) {
                UnsafeException refused = assertThrows(UnsafeException.class, () -> open(loop.device, Access.PLAN).close());
                assertTrue(refused.reason().contains("process " + qemu.process()), refused.reason());
            }
            try (OpenedImage ours = open(loop.device, Access.WRITE)) {
                assertTrue(ours.file().isWritable());
                assertTrue(Tools.run("qemu-io", "-f", "raw", "-c", "write 0 512", loop.device.toString()).status() != 0);
            }
        }
    }

    @Test
    void aPartitionIsKeptFromWhoWritesToItsDisk() throws IOException {
        Tools.require("addpart", "delpart", "python3");
        try (Loop loop = new Loop()) {
            Tools.ok("addpart", loop.device.toString(), "1", "3", "8000");
            try {
                Path partition = Path.of(loop.device + "p1");
                try (OpenedImage image = open(partition, Access.WRITE)) {
                    assertEquals(8000 * 512, image.image().virtualSize());
                    PunchSupport support = image.file().punchSupport();
                    assertEquals(4096, support.granularity());
                    // Sector 3 is 1536 bytes behind a boundary, so the next one is 2560 bytes on.
                    assertEquals(2560, support.alignment());
                    Deallocation plan = image.image().plan(request(ExtentSet.ofRange(0, 20_000)));
                    assertEquals(ExtentSet.ofRange(2560, 16384), plan.reclaimable());
                }
                for (Path written : List.of(loop.device, partition)) {
                    Path other = written.equals(partition) ? loop.device : partition;
                    try (Holder holder = Holder.python("import os, sys; f = os.open(sys.argv[1], os.O_RDWR)", written.toString())) {
                        UnsafeException refused = assertThrows(UnsafeException.class, () -> open(other, Access.WRITE).close());
                        assertTrue(refused.reason().contains("process " + holder.process()), refused.reason());
                    }
                }
            } finally {
                Tools.ok("delpart", loop.device.toString(), "1");
            }
        }
    }

    /** A loop device takes its device neither exclusively nor by a process. */
    @Test
    void aLoopDeviceOverAPartitionKeepsItsDisk() throws IOException {
        Tools.require("addpart", "delpart");
        try (Loop loop = new Loop()) {
            Tools.ok("addpart", loop.device.toString(), "1", "8", "8000");
            try {
                String second = Tools.ok("losetup", "-f", "--show", loop.device + "p1").strip();
                try {
                    for (Access access : List.of(Access.WRITE, Access.PLAN)) {
                        UnsafeException refused = assertThrows(UnsafeException.class, () -> open(loop.device, access).close());
                        assertTrue(refused.reason().contains(second), refused.reason());
                    }
                } finally {
                    Tools.ok("losetup", "-d", second);
                }
                open(loop.device, Access.WRITE).close();
            } finally {
                Tools.ok("delpart", loop.device.toString(), "1");
            }
        }
    }

    private Path sysfs(String... namesAndValues) throws IOException {
        Path device = Files.createTempDirectory(folder, "device");
        Files.createDirectory(device.resolve("queue"));
        for (int i = 0; i < namesAndValues.length; i += 2) {
            Files.writeString(device.resolve(namesAndValues[i]), namesAndValues[i + 1] + "\n");
        }
        return device;
    }

    @Test
    void whatSysfsSaysDecidesHowToPunch() throws IOException {
        assertEquals(new PunchSupport(65536, 512, false, "BLKDISCARD"), BlockDevice.punchSupport(sysfs(
                "queue/discard_max_bytes", "1048576", "queue/discard_granularity", "65536", "queue/write_zeroes_max_bytes", "0",
                "discard_alignment", "512"), 512));
        assertEquals(new PunchSupport(4096, 0, true, "PUNCH_HOLE"), BlockDevice.punchSupport(sysfs(
                "queue/discard_max_bytes", "1", "queue/discard_granularity", "512", "queue/write_zeroes_max_bytes", "1",
                "discard_alignment", "-1"), 4096));
        assertThrows(UnsupportedException.class, () -> BlockDevice.punchSupport(sysfs("queue/discard_max_bytes", "0"), 512));
        assertThrows(UnsupportedException.class, () -> BlockDevice.punchSupport(sysfs(), 512));
        Path disk = sysfs("queue/discard_max_bytes", "1", "queue/discard_granularity", "1024");
        Path partition = Files.createDirectory(disk.resolve("p1"));
        assertEquals(1024, BlockDevice.punchSupport(partition, 512).granularity());
    }
}
