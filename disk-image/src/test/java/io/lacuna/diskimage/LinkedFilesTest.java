package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.fixtures.Tools;
import java.io.Closeable;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** The names that an image gives are the word of a guest. */
@Timeout(60)
class LinkedFilesTest {

    @TempDir
    Path folder;

    private Path inside;
    private Path outside;
    private NativeFile image;

    @BeforeEach
    void createTrees() throws IOException {
        inside = Files.createDirectories(folder.resolve("inside"));
        outside = Files.createDirectories(folder.resolve("outside"));
        Files.createDirectories(inside.resolve("sub"));
        Files.write(inside.resolve("image"), new byte[512]);
        Files.write(inside.resolve("base"), new byte[1024]);
        Files.write(inside.resolve("sub/base"), new byte[2048]);
        Files.write(outside.resolve("secret"), new byte[4096]);
        image = NativeFile.open(inside.resolve("image"), Descriptor.Purpose.READ);
    }

    @AfterEach
    void close() throws IOException {
        image.close();
    }

    private LinkedFiles links(Access access, Path... allowed) throws IOException {
        return LinkedFiles.of(image, new Options(access, null, List.of(allowed)));
    }

    private long sizeOf(String name, Path... allowed) throws IOException {
        long size;
        try (DiskImage backing = links(Access.PLAN, allowed).openBacking(name, "raw")) {
            size = backing.virtualSize();
        }
        try (HostFile data = links(Access.PLAN, allowed).openDataFile(name)) {
            assertEquals(size, data.size());
            assertFalse(data.isWritable());
        }
        return size;
    }

    private void refuses(String name, String why, Path... allowed) throws IOException {
        LinkedFiles backing = links(Access.PLAN, allowed);
        DiskFormatException refused = assertThrows(DiskFormatException.class, () -> backing.openBacking(name, "raw"));
        assertTrue(refused.reason().contains(why) && refused.reason().contains("--allow-backing"), refused.reason());
        LinkedFiles data = links(Access.WRITE, allowed);
        refused = assertThrows(DiskFormatException.class, () -> data.openDataFile(name));
        assertTrue(refused.reason().contains(why), refused.reason());
        assertFalse(refused instanceof UnsafeException unsafe && unsafe.scope() == UnsafeException.Scope.MACHINE);
    }

    @Test
    void opensWhatLiesInTheImagesTree() throws IOException {
        assertEquals(1024, sizeOf("base"));
        assertEquals(1024, sizeOf("./base"));
        assertEquals(2048, sizeOf("sub/base"));
        assertEquals(1024, sizeOf("sub/../base"));
        assertEquals(1024, sizeOf("../inside/base"));
        assertEquals(1024, sizeOf(inside.resolve("base").toString()));
        Files.createSymbolicLink(inside.resolve("link"), inside.resolve("sub/base"));
        assertEquals(2048, sizeOf("link"));
        Files.write(inside.resolve("with:colon"), new byte[7]);
        assertEquals(7, sizeOf("./with:colon"));
    }

    @Test
    void refusesWhatLiesOutside() throws IOException {
        refuses("../outside/secret", "outside of the image's own directory");
        refuses(outside.resolve("secret").toString(), "outside of the image's own directory");
        refuses("/etc/passwd", "outside of the image's own directory");
    }

    @Test
    void refusesSymbolicLinksThatLeadOutside() throws IOException {
        Files.createSymbolicLink(inside.resolve("link"), outside.resolve("secret"));
        refuses("link", outside.toRealPath().toString());
        Files.createSymbolicLink(inside.resolve("folder"), outside);
        refuses("folder/secret", outside.toRealPath().toString());
        refuses("folder/../outside/secret", outside.toRealPath().toString());
    }

    @Test
    void aDirectoryWithTheSameBeginningIsOutside() throws IOException {
        Path twin = Files.createDirectories(folder.resolve("inside-not"));
        Files.write(twin.resolve("secret"), new byte[1]);
        refuses("../inside-not/secret", "outside of the image's own directory");
    }

    @Test
    void opensWhatTheCallerAllows() throws IOException {
        assertEquals(4096, sizeOf("../outside/secret", outside));
        assertEquals(4096, sizeOf(outside.resolve("secret").toString(), outside));
        Files.createSymbolicLink(folder.resolve("allowed"), outside);
        assertEquals(4096, sizeOf("../outside/secret", folder.resolve("allowed")));
        refuses("/etc/passwd", "outside of the image's own directory", outside);
    }

    @Test
    void refusesWhatIsNoPlainName() throws IOException {
        for (String name : List.of("nbd:localhost:10809", "nbd://host/export", "http://host/disk", "https://host/disk",
                "json:{\"driver\":\"raw\"}", "file:base", "file:///etc/passwd", "rbd:pool/image", "fat:rw:/tmp", "a:b")) {
            refuses(name, "not a plain file name");
        }
        for (String name : List.of("", "ba\0se", "base\n", "\u001b[2Jbase", "\u007f", "\u009b2Jbase")) {
            refuses(name, "empty or has control characters");
        }
    }

    @Test
    void messagesShowNoControlCharacters() throws IOException {
        UnsafeException refused = assertThrows(UnsafeException.class,
                () -> links(Access.PLAN).openBacking("\u001b[2J\n", "raw"));
        assertTrue(refused.getMessage().chars().noneMatch(Character::isISOControl), refused.getMessage());
        Files.write(outside.resolve("\u202Eterces"), new byte[1]);
        UnsafeException turned = assertThrows(UnsafeException.class,
                () -> links(Access.PLAN).openBacking("../outside/\u202Eterces", "raw"));
        assertTrue(turned.reason().contains("u202eterces") && turned.reason().indexOf('\u202E') < 0, turned.reason());
    }

    @Test
    void refusesWhatIsNoRegularFile() throws IOException {
        Tools.ok("mkfifo", inside.resolve("fifo").toString());
        LinkedFiles links = links(Access.PLAN);
        assertThrows(UnsupportedException.class, () -> links.openBacking("fifo", "raw"));
        assertThrows(UnsupportedException.class, () -> links.openBacking("sub", "raw"));
        Files.createSymbolicLink(inside.resolve("null"), Path.of("/dev/null"));
        assertThrows(UnsupportedException.class, () -> links.openBacking("null", "raw"));
        Files.delete(inside.resolve("null"));
    }

    @Test
    void refusesSocketsAndFifosForDataToo() throws IOException {
        Tools.ok("mkfifo", inside.resolve("fifo").toString());
        LinkedFiles links = links(Access.WRITE);
        assertThrows(UnsupportedException.class, () -> links.openDataFile("fifo"));
        try (ServerSocketChannel socket = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            socket.bind(UnixDomainSocketAddress.of(inside.resolve("socket")));
            assertThrows(UnsupportedException.class, () -> links.openDataFile("socket"));
            assertThrows(UnsupportedException.class, () -> links.openBacking("socket", "raw"));
        }
        Files.createSymbolicLink(inside.resolve("null"), Path.of("/dev/null"));
        assertThrows(UnsupportedException.class, () -> links.openDataFile("null"));
        Files.delete(inside.resolve("null"));
    }

    @Test
    void refusesNamesThatAreTooLong() throws IOException {
        refuses("x".repeat(256), "too long");
        refuses("sub/" + "\u00e9".repeat(128), "too long");
        refuses("./".repeat(2048) + "base", "too long");
        assertEquals(1024, sizeOf("./".repeat(900) + "base"));
    }

    @Test
    void linksThatLeadInACircleAreAFailureAndNoHang() throws IOException {
        Files.createSymbolicLink(inside.resolve("one"), Path.of("two"));
        Files.createSymbolicLink(inside.resolve("two"), Path.of("one"));
        assertThrows(IOException.class, () -> links(Access.PLAN).openBacking("one", "raw"));
        assertThrows(IOException.class, () -> links(Access.WRITE).openDataFile("one"));
    }

    /** What counts is the file that is open, not what its name meant a moment before. */
    @Test
    void whoExchangesTheFileWhileItIsOpenedGainsNothing() throws Exception {
        Path link = inside.resolve("base2");
        Path other = inside.resolve("other");
        Files.createSymbolicLink(link, inside.resolve("base"));
        AtomicBoolean end = new AtomicBoolean();
        Thread attacker = new Thread(() -> {
            boolean out = true;
            while (!end.get()) {
                try {
                    Files.createSymbolicLink(other, (out ? outside : inside).resolve(out ? "secret" : "base"));
                    Files.move(other, link, StandardCopyOption.ATOMIC_MOVE);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
                out = !out;
            }
        });
        attacker.start();
        int opened = 0;
        int refused = 0;
        try {
            for (int i = 0; i < 2_000 && (i < 100 || opened == 0 || refused == 0); i++) {
                try (HostFile data = links(Access.PLAN).openDataFile("base2")) {
                    assertEquals(1024, data.size(), "the file outside has 4096 bytes");
                    opened++;
                } catch (DiskFormatException e) {
                    refused++;
                }
            }
        } finally {
            end.set(true);
            attacker.join();
        }
        assertTrue(opened > 0 && refused > 0, opened + " opened, " + refused + " refused");
    }

    @Test
    void refusesBlockDevicesEvenWhereAllowed() throws IOException {
        Tools.requireLoopDevices();
        refuses("/dev/loop0", "is a block device", Path.of("/dev"));
    }

    @Test
    void aMissingFileIsNamed() throws IOException {
        LinkedFiles links = links(Access.PLAN);
        UnsupportedException missing = assertThrows(UnsupportedException.class, () -> links.openBacking("absent", "raw"));
        assertTrue(missing.reason().contains("inside/absent"), missing.reason());
    }

    @Test
    void neverGuessesTheFormatOfABackingFile() throws IOException {
        UnsupportedException refused = assertThrows(UnsupportedException.class,
                () -> links(Access.PLAN).openBacking("base", null));
        assertTrue(refused.reason().contains("does not record the format"), refused.reason());
    }

    @Test
    void refusesABackingFileOfAFormatWithoutAReader() throws IOException {
        UnsupportedException refused = assertThrows(UnsupportedException.class,
                () -> links(Access.PLAN).openBacking("base", "nbd"));
        assertEquals(inside.toRealPath().resolve("base").toString(), refused.path());
        // Nothing of it stays open.
        assertEquals(List.of(), Processes.having(FileStatus.of(LinuxHost.bytes(inside.resolve("base")))::isSameFileAs));
    }

    @Test
    void refusesAChainThatLoops() throws IOException {
        Files.createLink(inside.resolve("again"), inside.resolve("image"));
        assertThrows(UnsafeException.class, () -> links(Access.PLAN).openBacking("image", "raw"));
        UnsafeException refused = assertThrows(UnsafeException.class,
                () -> links(Access.PLAN).openBacking("again", "raw"));
        assertTrue(refused.reason().contains("circle"), refused.reason());
    }

    @Test
    void theFilesOfAnImageThatHasManyAreNoChain() throws IOException {
        LinkedFiles links = links(Access.INSPECT);
        List<Closeable> opened = new ArrayList<>();
        try {
            for (int i = 0; i < 70; i++) {
                Files.write(inside.resolve("part" + i), new byte[1]);
                opened.add(links.openDataFile("part" + i));
            }
            assertEquals(70, opened.size());
        } finally {
            for (Closeable file : opened) {
                file.close();
            }
        }
    }

    @Test
    void refusesAChainOfImagesWithoutEnd() throws IOException {
        Tools.require("qemu-img");
        Tools.shell("cd \"$1\"; qemu-img create -q -f raw 0 1M; format=raw; for i in $(seq 1 64); do "
                + "qemu-img create -q -f qcow2 -u -b $((i - 1)) -F $format $i 1M; format=qcow2; done", inside);
        DiskImages.Options options = new DiskImages.Options(Access.INSPECT, null, List.of());
        DiskImages.open(inside.resolve("63"), options).close();
        UnsupportedException refused = assertThrows(UnsupportedException.class,
                () -> DiskImages.open(inside.resolve("64"), options));
        assertTrue(refused.reason().contains("longer than 64"), refused.reason());
    }

    @Test
    void aDataFileIsWrittenOnlyIfTheImageIs() throws IOException {
        try (HostFile data = links(Access.WRITE).openDataFile("base")) {
            assertTrue(data.isWritable());
            Tools.require("qemu-io");
            assertTrue(Tools.run("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", inside.resolve("base").toString())
                    .output().contains("lock"));
        }
    }

    @Test
    void aBackingFileIsOnlyReadAndKeptFromWriters() throws IOException {
        Tools.require("qemu-io");
        try (DiskImage backing = links(Access.WRITE).openBacking("base", "raw")) {
            assertEquals("raw", backing.format());
            Tools.ok("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", inside.resolve("base").toString());
            assertTrue(Tools.run("qemu-io", "-f", "raw", "-c", "write 0 512", inside.resolve("base").toString())
                    .status() != 0);
        }
    }

    @Test
    void refusesABackingFileThatSomebodyWrites() throws IOException {
        Tools.require("qemu-io");
        try (Holder qemu = Holder.qemuIo("-f", "raw", inside.resolve("base").toString())) {
            UnsafeException refused = assertThrows(UnsafeException.class,
                    () -> links(Access.WRITE).openBacking("base", "raw"));
            assertTrue(refused.getMessage().contains("process " + qemu.process()), refused.getMessage());
            assertTrue(refused.path().endsWith("base"));
            LinkedFiles looking = links(Access.INSPECT);
            looking.openBacking("base", "raw").close();
            assertTrue(looking.remarks().get(0).contains("process " + qemu.process()), looking.remarks().toString());
        }
    }

    @Test
    void anImageOpenedByASymbolicLinkMayMeanEitherNeighbour() throws IOException {
        Path link = Files.createSymbolicLink(outside.resolve("link"), inside.resolve("image"));
        try (NativeFile byLink = NativeFile.open(link, Descriptor.Purpose.READ)) {
            LinkedFiles links = LinkedFiles.of(byLink, new Options(Access.PLAN, null, List.of()));
            links.openBacking("base", "raw").close();
            Files.write(outside.resolve("base"), new byte[1]);
            LinkedFiles again = LinkedFiles.of(byLink, new Options(Access.PLAN, null, List.of()));
            UnsafeException refused = assertThrows(UnsafeException.class, () -> again.openBacking("base", "raw"));
            assertTrue(refused.reason().contains("could be"), refused.reason());
        }
    }
}
