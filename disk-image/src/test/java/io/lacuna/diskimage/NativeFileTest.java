package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.Descriptor.Purpose;
import io.lacuna.fixtures.Tools;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class NativeFileTest {

    @TempDir
    Path folder;

    private Path random(String name, int size) throws IOException {
        byte[] content = new byte[size];
        new Random(7).nextBytes(content);
        return Files.write(folder.resolve(name), content);
    }

    @Test
    void readsIntoHeapAndDirectBuffersAtAnyPosition() throws IOException {
        Path path = random("image", 1_000_003);
        byte[] content = Files.readAllBytes(path);
        try (NativeFile file = NativeFile.open(path, Purpose.READ)) {
            for (boolean direct : new boolean[] {true, false}) {
                for (int[] range : new int[][] {{0, 1_000_003}, {1, 700_001}, {999_999, 4}, {512, 0}}) {
                    ByteBuffer target = direct ? ByteBuffer.allocateDirect(range[1] + 9) : ByteBuffer.allocate(range[1] + 9);
                    target.position(5).limit(5 + range[1]);
                    file.read(range[0], target);
                    assertEquals(5 + range[1], target.position());
                    byte[] read = new byte[range[1]];
                    target.get(5, read);
                    assertArrayEquals(Arrays.copyOfRange(content, range[0], range[0] + range[1]), read);
                }
            }
            assertThrows(EOFException.class, () -> file.read(1_000_000, ByteBuffer.allocate(4)));
            assertThrows(EOFException.class, () -> file.read(-1, ByteBuffer.allocate(4)));
            file.prefetch(0, Long.MAX_VALUE);
            file.prefetch(-5, 10);
            file.prefetch(5_000_000, 10);
        }
    }

    @Test
    void severalThreadsReadAtOnce() throws IOException {
        Path path = random("image", 1 << 20);
        byte[] content = Files.readAllBytes(path);
        try (NativeFile file = NativeFile.open(path, Purpose.READ)) {
            IntStream.range(0, 2000).parallel().forEach(i -> {
                ByteBuffer target = ByteBuffer.allocate(500);
                int at = i * 500;
                try {
                    file.read(at, target);
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
                assertTrue(Arrays.equals(content, at, at + 500, target.array(), 0, 500));
            });
        }
    }

    @Test
    void readingLeavesTheAccessTimeAlone() throws IOException {
        Path path = random("image", 8192);
        Tools.shell("touch -a -d '2001-01-01' \"$1\"", path);
        var before = Files.readAttributes(path, BasicFileAttributes.class).lastAccessTime();
        try (NativeFile file = NativeFile.open(path, Purpose.READ)) {
            file.read(0, ByteBuffer.allocate(4096));
        }
        assertEquals(before, Files.readAttributes(path, BasicFileAttributes.class).lastAccessTime());
    }

    @Test
    void muchIsWrittenOutBeforeAnybodySyncs() throws Exception {
        Tools.require("filefrag");
        Path path = random("image", 0);
        try (NativeFile file = NativeFile.open(path, Purpose.WRITE)) {
            file.write(0, ByteBuffer.allocate(4 << 20));
            Assumptions.assumeTrue(waitsInMemory(path), "this host's file system does not tell what it keeps in memory");
            file.write(4 << 20, ByteBuffer.allocate(4 << 20));
            for (int i = 0; i < 100 && waitsInMemory(path); i++) {
                Thread.sleep(50);
            }
            // Left to itself the kernel waits for half a minute.
            assertFalse(waitsInMemory(path));
        }
    }

    private static boolean waitsInMemory(Path path) {
        return Tools.ok("filefrag", "-v", path.toString()).contains("delalloc");
    }

    @Test
    void writesGrowsAndTruncates() throws IOException {
        Path path = random("image", 4096);
        byte[] content = new byte[600_000];
        new Random(9).nextBytes(content);
        try (NativeFile file = NativeFile.open(path, Purpose.WRITE)) {
            file.write(4000, ByteBuffer.wrap(content));
            assertEquals(604_000, file.size());
            ByteBuffer direct = ByteBuffer.allocateDirect(100).put(content, 0, 100).flip().position(10);
            file.write(0, direct);
            assertEquals(100, direct.position());
            file.truncate(500_000);
            assertEquals(500_000, file.size());
            file.sync();
        }
        byte[] written = Files.readAllBytes(path);
        assertEquals(500_000, written.length);
        assertTrue(Arrays.equals(content, 10, 100, written, 0, 90));
        assertTrue(Arrays.equals(content, 0, 496_000, written, 4000, 500_000));
    }

    @Test
    void whatIsOpenForReadingCannotBeChanged() throws IOException {
        Path path = random("image", 8192);
        try (NativeFile file = NativeFile.open(path, Purpose.READ)) {
            assertFalse(file.isWritable());
            assertThrows(IOException.class, () -> file.write(0, ByteBuffer.allocate(1)));
            assertThrows(IOException.class, () -> file.punch(0, 4096));
            assertThrows(IOException.class, () -> file.truncate(0));
        }
    }

    @Test
    void aClosedFileSaysSo() throws IOException {
        NativeFile file = NativeFile.open(random("image", 8192), Purpose.READ);
        file.close();
        file.close();
        assertThrows(ClosedChannelException.class, () -> file.read(0, ByteBuffer.allocate(1)));
        assertThrows(ClosedChannelException.class, file::identity);
        file.prefetch(0, 10);
    }

    @Test
    void aHoleFreesItsBlocksAndReadsAsZeros() throws IOException {
        Path path = random("image", 1 << 20);
        byte[] content = Files.readAllBytes(path);
        try (NativeFile file = NativeFile.open(path, Purpose.WRITE)) {
            PunchSupport support = file.punchSupport();
            assertEquals("PUNCH_HOLE", support.method());
            long before = file.hostBytes();
            file.punch(65536, 131072);
            file.sync();
            // A file in many pieces costs its file system a block or two for the list of them.
            assertEquals(before - 131072, file.hostBytes(), 2 * 4096);
            assertEquals(ExtentSet.ofRange(0, 1 << 20).minus(ExtentSet.ofRange(65536, 131072)), file.map().allocated());
            assertTrue(file.map().exact());
        }
        Arrays.fill(content, 65536, 196608, (byte) 0);
        assertArrayEquals(content, Files.readAllBytes(path));
    }

    @Test
    void aHoleUpToTheEndFreesTheLastBlockAndKeepsTheSize() throws IOException {
        Path path = random("image", 100_001);
        try (NativeFile file = NativeFile.open(path, Purpose.WRITE)) {
            file.punch(65536, 100_001 - 65536);
            assertEquals(ExtentSet.ofRange(0, 65536), file.map().allocated());
            assertEquals(100_001, file.size());
        }
        assertEquals(100_001, Files.size(path));
    }

    @Test
    void theMapShowsHolesAndPreallocatedBlocksOfALargeSparseFile() throws IOException {
        Path path = folder.resolve("sparse");
        Tools.shell("truncate -s 1T \"$1\"; fallocate -o 1G -l 1M \"$1\"; for i in $(seq 0 2 40); do "
                + "printf x | dd of=\"$1\" bs=4096 seek=$((2000000 + i)) conv=notrunc status=none; done", path);
        ExtentSet.Builder expected = ExtentSet.builder().add(1L << 30, 1 << 20);
        for (int i = 0; i <= 40; i += 2) {
            expected.add((2_000_000L + i) * 4096, 4096);
        }
        try (NativeFile file = NativeFile.open(path, Purpose.READ)) {
            assertEquals(expected.build(), file.map().allocated());
            assertTrue(file.map().shared().isEmpty());
        }
    }

    @Test
    void manyExtentsTakeSeveralBatches() throws IOException {
        Path path = folder.resolve("many");
        try (NativeFile file = NativeFile.open(Files.createFile(path), Purpose.WRITE)) {
            ExtentSet.Builder expected = ExtentSet.builder();
            for (int i = 0; i < 10_000; i++) {
                file.write(i * 8192L, ByteBuffer.allocate(1).put(0, (byte) 1));
                expected.add(i * 8192L, 4096);
            }
            assertEquals(expected.build(), file.map().allocated());
        }
    }

    /** A hole up to the end reaches over the last block: behind a size of yesterday it would take what was added since. */
    @Test
    void whatAFileGrewByBeforeItWasLockedIsSeen() throws IOException {
        Path path = folder.resolve("grows");
        Files.write(path, new byte[4096 + 100]);
        try (NativeFile file = NativeFile.open(path, Descriptor.Purpose.WRITE)) {
            Files.write(path, new byte[4096], StandardOpenOption.APPEND);
            HostGuard.ofDataFile(file, new DiskImages.Options(DiskImages.Access.WRITE, "raw", List.of()));
            assertEquals(2 * 4096 + 100, file.size());
        }
    }

    @Test
    void identityTellsWhetherAFileChanged() throws Exception {
        Path path = random("image", 8192);
        try (NativeFile file = NativeFile.open(path, Purpose.WRITE)) {
            var before = file.identity();
            assertTrue(file.identity().provesUnchangedSince(before));
            assertEquals(Files.getAttribute(path, "unix:ino"), before.inode());
            Thread.sleep(20);
            file.write(0, ByteBuffer.allocate(1));
            assertFalse(file.identity().provesUnchangedSince(before));
        }
    }

    @Test
    void followsTheCallersSymbolicLink() throws IOException {
        Path path = random("image", 8192);
        Path link = Files.createSymbolicLink(folder.resolve("link"), path);
        try (NativeFile file = NativeFile.open(link, Purpose.READ)) {
            assertEquals(link, file.path());
            assertEquals(path.toRealPath(), file.realPath());
            assertEquals(8192, file.size());
        }
    }

    @Test
    void opensNamesThatAreNotAscii() throws IOException {
        Path path = random("Plätte 日本 %41 \u00a0.img", 8192);
        try (NativeFile file = NativeFile.open(path, Purpose.READ)) {
            assertEquals(path.toRealPath(), file.realPath());
        }
    }

    @Test
    void refusesWhatCannotHoldAnImage() throws IOException {
        Path fifo = folder.resolve("fifo");
        Tools.ok("mkfifo", fifo.toString());
        for (Path path : new Path[] {fifo, folder, Path.of("/dev/null")}) {
            for (Purpose purpose : Purpose.values()) {
                var refused = assertThrows(UnsupportedException.class, () -> NativeFile.open(path, purpose));
                assertTrue(refused.getMessage().matches(".*(FIFO|directory|character device).*"), refused.getMessage());
            }
        }
        assertThrows(NoSuchFileException.class, () -> NativeFile.open(folder.resolve("absent"), Purpose.READ));
        Path loop = folder.resolve("loop");
        Files.createSymbolicLink(loop, loop);
        var looped = assertThrows(IOException.class, () -> NativeFile.open(loop, Purpose.READ));
        assertTrue(looped.getMessage().contains("ELOOP"), looped.getMessage());
    }

    @Test
    void leavesNoDescriptorOpenAfterARefusal() throws IOException {
        Path fifo = folder.resolve("fifo");
        Tools.ok("mkfifo", fifo.toString());
        assertThrows(UnsupportedException.class, () -> NativeFile.open(fifo, Purpose.READ));
        int before = descriptors();
        for (int i = 0; i < 20; i++) {
            assertThrows(UnsupportedException.class, () -> NativeFile.open(fifo, Purpose.READ));
        }
        assertTrue(descriptors() < before + 10, "descriptors leak");
    }

    private static int descriptors() {
        return new java.io.File("/proc/self/fd").list().length;
    }

    /** The kernel hands out such a file a page at a time. */
    @Test
    void shortReadsGoOn() throws IOException {
        Path symbols = Path.of("/proc/kallsyms");
        Assumptions.assumeTrue(Files.isReadable(symbols), "no /proc/kallsyms here");
        byte[] expected;
        try (var in = Files.newInputStream(symbols)) {
            expected = in.readNBytes(200_000);
        }
        Assumptions.assumeTrue(expected.length == 200_000, "a short /proc/kallsyms");
        int descriptor = LinuxHost.open(LinuxHost.bytes(symbols), LinuxHost.O_RDONLY | LinuxHost.O_CLOEXEC, 0);
        try {
            for (ByteBuffer target : List.of(ByteBuffer.allocate(expected.length), ByteBuffer.allocateDirect(expected.length))) {
                Transfer.read(symbols, descriptor, 0, target);
                byte[] read = new byte[expected.length];
                target.get(0, read);
                assertArrayEquals(expected, read);
            }
        } finally {
            LinuxHost.close(descriptor);
        }
    }

    @Test
    void aShortWriteIsNoSuccess() throws IOException {
        Tools.requireLoopDevices();
        Path place = Files.createDirectory(folder.resolve("small"));
        Tools.ok("mount", "-t", "tmpfs", "-o", "size=1M", "none", place.toString());
        try {
            Path path = Files.write(place.resolve("image"), new byte[1]);
            try (NativeFile file = NativeFile.open(path, Purpose.WRITE)) {
                IOException full = assertThrows(IOException.class, () -> file.write(0, ByteBuffer.allocateDirect(3 << 20)));
                assertTrue(full.getMessage().contains("ENOSPC") && full.getMessage().contains(path.toString()), full.getMessage());
            }
            assertTrue(Files.size(path) > 500_000, "the write was a short one first: " + Files.size(path));
        } finally {
            Tools.ok("umount", place.toString());
        }
    }
}
