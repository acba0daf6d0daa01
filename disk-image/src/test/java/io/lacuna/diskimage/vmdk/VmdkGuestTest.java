package io.lacuna.diskimage.vmdk;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Reads images of every kind that QEMU and others make, and lets QEMU judge. */
class VmdkGuestTest {

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path make(String options) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Vmdks.pattern(directory.resolve("data"), 3 << 20, 1);
        Path image = directory.resolve("image.vmdk");
        Tools.ok("qemu-img", "create", "-q", "-f", "vmdk", "-o", options, image.toString(), "67000320");
        if (options.contains("streamOptimized")) {
            Path raw = directory.resolve("raw");
            Tools.shell("cp \"$1\" \"$2\"; truncate -s 67000320 \"$2\"; dd if=\"$1\" of=\"$2\" bs=1 count=700 seek=66999620 "
                    + "conv=notrunc status=none; qemu-img convert -f raw -O vmdk -o $4 \"$2\" \"$3\"", directory.resolve("data"),
                    raw, image, options);
        } else {
            Tools.ok("qemu-io", "-f", "vmdk", "-c", "write -s " + directory.resolve("data") + " 100k 3M", "-c",
                    "write -P 7 66999296 1024", "-c", "write -P 3 40M 200k", "-c", "write -z 40M 100k", image.toString());
        }
        return image;
    }

    private static void assertReadsLikeQemu(Path image) throws IOException {
        byte[] expected = Vmdks.content(image);
        try (DiskImage disk = Vmdks.open(image, false)) {
            assertEquals(expected.length, disk.virtualSize());
            assertArrayEquals(expected, Vmdks.guest(disk));
            for (int at : new int[] {1, 65535, 65536 * 2 + 3, 102399}) {
                if (at + 70000 < expected.length) {
                    ByteBuffer part = ByteBuffer.allocate(70000);
                    disk.guest().read(at, part);
                    assertEquals(-1, part.flip().mismatch(ByteBuffer.wrap(expected, at, 70000)), "at " + at);
                }
            }
        }
    }

    static Stream<String> kinds() {
        return Stream.of("subformat=monolithicSparse", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse",
                "subformat=twoGbMaxExtentFlat", "subformat=streamOptimized", "zeroed_grain=on",
                "subformat=twoGbMaxExtentSparse,zeroed_grain=on");
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void readsWhatQemuMakes(String options) throws IOException {
        assertReadsLikeQemu(make(options));
    }

    @ParameterizedTest
    @ValueSource(strings = {"subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat"})
    void readsAcrossFilesOfTwoGigabytes(String options) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path image = directory.resolve("image.vmdk");
        Tools.ok("qemu-img", "create", "-q", "-f", "vmdk", "-o", options, image.toString(), "5G");
        Tools.ok("qemu-io", "-f", "vmdk", "-c", "write -P 1 2147418112 128k", "-c", "write -P 2 4095M 2M", "-c",
                "write -P 3 5119M 1M",
                image.toString());
        try (DiskImage disk = Vmdks.open(image, false)) {
            assertEquals(5L << 30, disk.virtualSize());
            assertTrue(disk.layers().size() == 4, "a descriptor and three extents");
            assertBytes(disk, 2147418112L - 4096, 4096, 0);
            assertBytes(disk, 2147418112L, 128 << 10, 1);
            assertBytes(disk, 4095L << 20, 2 << 20, 2);
            assertBytes(disk, 5119L << 20, 1 << 20, 3);
            assertBytes(disk, 4097L << 20, 1 << 20, 0);
        }
    }

    /** VirtualBox rounds the header's capacity up to whole grains, and tells the disk's length in the descriptor. */
    @Test
    void theDescriptorTellsTheLengthOfTheLastGrain() throws IOException {
        Path image = directory.resolve("image.vmdk");
        for (int sectors : new int[] {20353, 20400, 20479, 20352}) {
            Tools.shell("qemu-img create -q -f vmdk \"$1\" 10M\nqemu-io -f vmdk -c 'write -P 7 10420000 600' \"$1\" > /dev/null\n"
                    + "at=$(grep -abo 'RW 20480' \"$1\" | cut -d: -f1); printf 'RW %s' $2 | dd of=\"$1\" bs=1 seek=$at "
                    + "conv=notrunc status=none", image, sectors);
            if (sectors == 20352) {
                assertTrue(assertThrows(CorruptException.class, () -> Vmdks.open(image, false).close())
                        .getMessage().contains("in its header"));
                continue;
            }
            try (DiskImage disk = Vmdks.open(image, false)) {
                assertEquals(sectors * 512L, disk.virtualSize());
                assertBytes(disk, 10420000, 512, 7);
                ByteBuffer last = ByteBuffer.allocate(512);
                disk.guest().read(sectors * 512L - 512, last);
                assertThrows(IOException.class, () -> disk.guest().read(sectors * 512L, ByteBuffer.allocate(1)));
            }
        }
    }

    private static void assertBytes(DiskImage disk, long offset, int length, int value) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        disk.guest().read(offset, bytes);
        for (int i = 0; i < length; i++) {
            assertEquals(value, bytes.get(i), "byte " + (offset + i));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"zeroed_grain=off", "zeroed_grain=on", "subformat=twoGbMaxExtentSparse"})
    void readsThroughParents(String options) throws IOException {
        Path base = make("zeroed_grain=off");
        Files.move(base, directory.resolve("base.vmdk"));
        Tools.shell("cd \"$1\"; qemu-img create -q -f vmdk -o $2 -b base.vmdk -F vmdk middle.vmdk\n"
                + "qemu-io -f vmdk -c 'write -P 5 1M 70k' middle.vmdk\n"
                + "qemu-img create -q -f vmdk -o $2 -b middle.vmdk -F vmdk image.vmdk\n"
                + "qemu-io -f vmdk -c 'write -P 6 1500k 3M' -c 'write -z 2M 256k' image.vmdk", directory, options);
        assertReadsLikeQemu(directory.resolve("image.vmdk"));
        try (DiskImage disk = Vmdks.open(directory.resolve("image.vmdk"), false)) {
            assertTrue(disk.layers().stream().filter(layer -> layer.role().equals("backing")).count() >= 2);
        }
    }

    @Test
    void aChangedParentIsRefused() throws IOException {
        make("zeroed_grain=off");
        Tools.shell("cd \"$1\"; mv image.vmdk base.vmdk; qemu-img create -q -f vmdk -b base.vmdk -F vmdk child.vmdk\n"
                + "qemu-io -f vmdk -c 'write -P 5 1M 70k' base.vmdk", directory);
        UnsafeException refused = assertThrows(UnsafeException.class, () -> Vmdks.open(directory.resolve("child.vmdk"), false));
        assertTrue(refused.getMessage().contains("was changed since"), refused::getMessage);
        Files.delete(directory.resolve("base.vmdk"));
        assertThrows(IOException.class, () -> Vmdks.open(directory.resolve("child.vmdk"), false));
    }

    /** COWD and seSparse by hand, from their layouts; QEMU reads them as well. */
    @ParameterizedTest
    @ValueSource(strings = {"cowd", "cowd-child", "sesparse", "sesparse-child"})
    void readsFormatsOfEsx(String kind) throws IOException {
        Path image = EsxImages.make(directory, kind);
        assertReadsLikeQemu(image);
    }

    /** All of the collection's VMDKs: what must come of each. */
    private static final Map<String, String> CORPUS = Map.ofEntries(
            Map.entry("SecurityRonin-vmdk-forensic/compressed_stream_opt.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/dfvfs_ext2.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/flat.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/flat-f001.vmdk", "that names it, flat.vmdk"),
            Map.entry("SecurityRonin-vmdk-forensic/minimal.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/mono_flat.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/mono_flat-flat.vmdk", "that names it, mono_flat.vmdk"),
            Map.entry("SecurityRonin-vmdk-forensic/ms3-win.vmdk", "disk-s001.vmdk"),
            Map.entry("SecurityRonin-vmdk-forensic/plaso_image.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/stream_opt.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/tw_sparse.vmdk", "read"),
            Map.entry("SecurityRonin-vmdk-forensic/tw_sparse-s001.vmdk", "that names it, tw_sparse.vmdk"),
            Map.entry("SecurityRonin-vmdk-forensic/tw_sparse_data.vmdk", "tw_sparse_data-s001.vmdk"),
            Map.entry("dfvfs/ext2.vmdk", "read"),
            Map.entry("go-vmdk-parser/vmdk-invalid.img", "VMDK descriptor"),
            Map.entry("go-vmdk-parser/vmdk-monolith.img", "read"),
            Map.entry("go-vmdk-parser/vmdk-streamoptimized.img", "read"),
            Map.entry("qemu-iotests/iotest-version3.vmdk.bz2", "windows"),
            Map.entry("qemu-iotests/iotest-version3-2013.vmdk.bz2", "windows"),
            Map.entry("vmdk-rs/monolithicFlat.vmdk", "monolithicFlat-flat.vmdk"),
            Map.entry("vmdk-rs/monolithicSparse.vmdk", "read"),
            Map.entry("vmdk-rs/streamOptimized.vmdk", "read"),
            Map.entry("vmdk-rs/streamOptimizedWithMarkers.vmdk", "read"),
            Map.entry("vmdk-rs/vmfs_thick.vmdk", "read"),
            Map.entry("vmdk-rs/vmfs_thick-flat.vmdk", "that names it, vmfs_thick.vmdk"),
            Map.entry("vmdk-rs/vmfs_thick-000001.vmdk", "vmfs_thick-000001-delta.vmdk"));

    static Stream<String> corpus() {
        return CORPUS.keySet().stream().sorted();
    }

    @ParameterizedTest
    @MethodSource("corpus")
    void theCollection(String name) throws IOException {
        Tools.require("qemu-img");
        Path image = name.endsWith(".bz2") ? Corpus.unpack(name, directory) : Corpus.root().resolve(name);
        String expected = CORPUS.get(name);
        if (expected.equals("read")) {
            byte[] content = contentOf(image);
            try (DiskImage disk = Vmdks.open(image, false)) {
                assertArrayEquals(content, Vmdks.guest(disk));
            }
        } else if (expected.equals("windows")) {
            assertReadsLikeQemuInPlaces(image);
        } else {
            IOException refused = assertThrows(IOException.class, () -> Vmdks.open(image, false));
            assertTrue(refused.getMessage().contains(expected), refused::getMessage);
            assertTrue(refused instanceof DiskFormatException || refused instanceof java.nio.file.NoSuchFileException);
        }
    }

    private byte[] contentOf(Path image) throws IOException {
        Path raw = directory.resolve("content.raw");
        Tools.ok("qemu-img", "convert", "-f", "vmdk", "-O", "raw", image.toString(), raw.toString());
        return Files.readAllBytes(raw);
    }

    /** Gigabytes of zeros and little in between: what QEMU says is data, and the rest is zeros. */
    private void assertReadsLikeQemuInPlaces(Path image) throws IOException {
        Path raw = directory.resolve("content.raw");
        Tools.ok("qemu-img", "convert", "-f", "vmdk", "-O", "raw", image.toString(), raw.toString());
        ByteBuffer ours = ByteBuffer.allocate(1 << 20);
        ByteBuffer theirs = ByteBuffer.allocate(1 << 20);
        try (DiskImage disk = Vmdks.open(image, false); var channel = java.nio.channels.FileChannel.open(raw)) {
            assertEquals(channel.size(), disk.virtualSize());
            for (long at = 0; at < channel.size(); at += at < 64 << 20 ? 1 << 20 : 97 << 20) {
                disk.guest().read(at, ours.clear());
                channel.read(theirs.clear(), at);
                assertEquals(ours.flip(), theirs.flip(), "at " + at);
            }
        }
    }
}
