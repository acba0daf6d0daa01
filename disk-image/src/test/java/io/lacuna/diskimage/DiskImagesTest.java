package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DiskImagesTest {

    @TempDir
    Path folder;

    private static OpenedImage open(Path path, String format) throws IOException {
        return DiskImages.open(path, new Options(Access.INSPECT, format, List.of()));
    }

    @Test
    void knowsItsFormats() {
        assertEquals("raw", DiskImages.formatNames().get(0));
        assertThrows(IllegalArgumentException.class, () -> open(folder, "nonsense"));
    }

    @Test
    void whatCarriesNoSignatureIsRaw() throws IOException {
        for (int size : new int[] {0, 1, 511, 512, 513, 100_000}) {
            Path path = Files.write(folder.resolve("disk" + size), new byte[size]);
            try (OpenedImage image = open(path, null)) {
                assertEquals("raw", image.image().format());
                assertEquals(size, image.image().virtualSize());
                assertEquals(size, image.image().guest().size());
                assertEquals(path, image.image().layers().get(0).path());
                assertTrue(image.formatProbed());
            }
        }
    }

    @Test
    void openingChangesNothing() throws IOException {
        Path path = Files.write(folder.resolve("disk"), new byte[100_000]);
        Object changed = Files.getAttribute(path, "unix:ctime");
        for (Access access : Access.values()) {
            DiskImages.open(path, new Options(access, null, List.of())).close();
        }
        assertEquals(changed, Files.getAttribute(path, "unix:ctime"));
    }

    @Test
    void theCallersWordForRawOverridesAnySignature() throws IOException {
        Path path = Files.writeString(folder.resolve("disk"), "WithoutFreeSpace" + "x".repeat(4096));
        assertThrows(UnsupportedException.class, () -> open(path, null));
        try (OpenedImage image = open(path, "raw")) {
            assertEquals("raw", image.image().format());
            assertFalse(image.formatProbed());
        }
    }

    /** Whatever QEMU can make and Lacuna has no reader for must be named, and never be taken for raw. */
    @Test
    void noContainerOfQemuIsTakenForRaw() throws IOException {
        Tools.require("qemu-img");
        List<List<String>> kinds = List.of(List.of("vpc"), List.of("vpc", "subformat=fixed"), List.of("vhdx"),
                List.of("vhdx", "subformat=fixed"), List.of("vdi"), List.of("vdi", "static=on"), List.of("qed"),
                List.of("qcow"), List.of("qcow2"), List.of("qcow2", "compat=0.10"), List.of("parallels"),
                List.of("vmdk"), List.of("vmdk", "subformat=monolithicFlat"), List.of("vmdk", "subformat=streamOptimized"),
                List.of("vmdk", "subformat=twoGbMaxExtentSparse"));
        for (List<String> kind : kinds) {
            Path path = folder.resolve(String.join("-", kind));
            if (kind.size() == 1) {
                Tools.ok("qemu-img", "create", "-q", "-f", kind.get(0), path.toString(), "4M");
            } else {
                Tools.ok("qemu-img", "create", "-q", "-f", kind.get(0), "-o", kind.get(1), path.toString(), "4M");
            }
            requireNotRaw(path);
        }
    }

    private static void requireNotRaw(Path path) throws IOException {
        try (OpenedImage image = open(path, null)) {
            assertFalse(image.image().format().equals("raw"), path + " was taken for raw");
        } catch (UnsupportedException refused) {
            assertEquals(path.toString(), refused.path());
            assertTrue(refused.reason().contains("--format raw"), refused.reason());
        }
    }

    @Test
    void everySignatureIsFoundAtItsPlaceOnly() throws IOException {
        record Case(String name, int at, String bytes) {
        }
        int size = 8192;
        List<Case> cases = List.of(
                new Case("QED", 0, "QED\0"),
                new Case("qcow (version 1)", 0, "QFI\u00FB\0\0\0\u0001"), new Case("qcow", 0, "QFI\u00FB\0\0\0\u0009"),
                new Case("Parallels", 0, "WithoutFreeSpace"), new Case("Parallels", 0, "WithouFreSpacExt"),
                new Case("Bochs", 0, "Bochs Virtual HD Image"), new Case("cloop", 0, "#!/bin/sh\n#V2.0 Format\n"),
                new Case("DMG", size - 512, "koly"),
                new Case("Expert Witness", 0, "EVF\t\r\n\u00FF\0"), new Case("Expert Witness", 0, "EVF2\r\n\u0081\0"),
                new Case("AFF", 0, "AFF10\r\n\0"), new Case("gzip", 0, "\u001F\u008B\b"), new Case("xz", 0, "\u00FD7zXZ\0"),
                new Case("zstd", 0, "\u0028\u00B5\u002F\u00FD"), new Case("bzip2", 0, "BZh91AY&SY"),
                new Case("Apple", 0, "sprs"), new Case("Apple", 0, "shdw"), new Case("Android", 0, "\u003A\u00FF\u0026\u00ED"));
        Set<String> names = new HashSet<>();
        for (Case one : cases) {
            byte[] bytes = one.bytes().getBytes(StandardCharsets.ISO_8859_1);
            byte[] content = new byte[size];
            System.arraycopy(bytes, 0, content, one.at(), bytes.length);
            Path path = Files.write(folder.resolve("disk"), content);
            UnsupportedException refused = assertThrows(UnsupportedException.class, () -> open(path, null), one.name());
            assertTrue(refused.reason().contains(one.name()), refused.reason());
            names.add(one.name());
            byte[] elsewhere = new byte[size];
            System.arraycopy(bytes, 0, elsewhere, 1024, bytes.length);
            Files.write(path, elsewhere);
            open(path, null).close();
            // A file that ends inside the signature has none.
            if (one.at() == 0) {
                Files.write(path, Arrays.copyOf(bytes, 2));
                open(path, null).close();
            }
        }
        assertTrue(names.size() > 12);
    }

    @Test
    void aDiskWithAVersionLineSomewhereIsNoDescriptor() throws IOException {
        Path path = Files.writeString(folder.resolve("disk"), "\0\0\0\nversion=1\n");
        open(path, null).close();
    }

    @Test
    void containersOfOthersAreNotTakenForRaw() throws IOException {
        for (String directory : List.of("qemu-iotests", "vmdk-rs", "go-vmdk-parser", "SecurityRonin-vmdk-forensic")) {
            for (Path packed : Corpus.files(directory)) {
                if (packed.toString().matches(".*\\.(vmdk|vhdx|vpc|vhd|vdi|qed|parallels|bochs|cloop|dmg)(\\.bz2|\\.gz|\\.xz)?")
                        && Files.size(packed) < 8 << 20 && !packed.toString().matches(".*-(flat|f\\d+|s\\d+|delta).*")) {
                    Path image = Corpus.unpack(Corpus.root().relativize(packed).toString(), folder);
                    try (OpenedImage opened = open(image, null)) {
                        System.out.println("taken for " + opened.image().format() + ": " + packed.getFileName());
                    } catch (IOException refused) {
                        assertFalse(refused.getMessage().isEmpty());
                    }
                    Files.delete(image);
                }
            }
        }
    }

    @Test
    void aRefusedImageIsClosedAgain() throws IOException {
        Path path = Files.writeString(folder.resolve("disk"), "WithoutFreeSpace" + "x".repeat(4096));
        for (Access access : Access.values()) {
            assertThrows(UnsupportedException.class, () -> DiskImages.open(path, new Options(access, null, List.of())));
        }
        Files.createFile(folder.resolve("disk.lck"));
        assertThrows(UnsafeException.class, () -> DiskImages.open(path, new Options(Access.WRITE, "raw", List.of())));
        assertEquals(List.of(), Processes.having(FileStatus.of(LinuxHost.bytes(path))::isSameFileAs));
    }

    @Test
    void aFifoIsRefusedWithoutWaitingForItsOtherEnd() {
        Path path = folder.resolve("fifo");
        Tools.ok("mkfifo", path.toString());
        for (Access access : Access.values()) {
            assertThrows(UnsupportedException.class, () -> DiskImages.open(path, new Options(access, null, List.of())));
        }
    }

    @Test
    void aRawImageReadsAsTheFileDoes() throws IOException {
        byte[] content = "0123456789".repeat(1000).getBytes(StandardCharsets.US_ASCII);
        Path path = Files.write(folder.resolve("disk"), content);
        try (OpenedImage image = open(path, null)) {
            java.nio.ByteBuffer read = java.nio.ByteBuffer.allocate(content.length);
            image.image().guest().read(0, read);
            assertArrayEquals(content, read.array());
        }
    }
}
