package io.lacuna.diskimage.vhd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the guest reads, against QEMU, and against the specification where QEMU cannot read. */
class VhdGuestTest {

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    /** Reads everything in pieces of odd sizes. */
    private static void assertReads(FileSource expected, DiskImage disk) throws IOException {
        Random random = new Random(1);
        assertEquals(expected.size(), disk.virtualSize());
        for (long position = 0; position < expected.size();) {
            int length = (int) Math.min(expected.size() - position, 1 + random.nextInt(random.nextBoolean() ? 1000 : 3_000_000));
            ByteBuffer found = ByteBuffer.allocate(length);
            ByteBuffer wanted = ByteBuffer.allocate(length);
            disk.guest().prefetch(position, length);
            disk.guest().read(position, found);
            expected.read(position, wanted);
            assertEquals(-1, found.flip().mismatch(wanted.flip()), "difference behind " + position);
            position += length;
        }
    }

    private void assertReadsLikeQemu(Path image) throws IOException {
        Path raw = directory.resolve("expected.raw");
        Tools.ok("qemu-img", "convert", "-f", "vpc", "-O", "raw", image.toString(), raw.toString());
        try (DiskImage disk = Runs.open(image, false); FileSource expected = new FileSource(raw)) {
            assertReads(expected, disk);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"subformat=dynamic", "subformat=fixed", "subformat=dynamic,force_size=on",
        "subformat=fixed,force_size=on"})
    void readsWhatQemuReads(String options) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path image = directory.resolve("image.vhd");
        Tools.ok("qemu-img", "create", "-q", "-f", "vpc", "-o", options, image.toString(), "20000256");
        Tools.ok("qemu-io", "-f", "vpc", "-c", "write -P 1 0 70000", "-c", "write -P 2 1M 3M", "-c", "write -P 3 9000448 512",
                "-c", "write -P 5 19999744 512", "-c", "write -P 6 12M 1k", image.toString());
        assertReadsLikeQemu(image);
    }

    @Test
    void readsAFooterOf511Bytes() throws IOException {
        byte[] content = VhdMaker.pattern(9000 / 512 * 512, 1);
        byte[] file = Arrays.copyOf(content, content.length + 511);
        System.arraycopy(VhdMaker.footer(2, "win ", content.length, new byte[16]).array(), 0, file, content.length, 511);
        try (DiskImage disk = Runs.open(Files.write(directory.resolve("old.vhd"), file), false)) {
            assertArrayEquals(content, Runs.byLacuna(disk));
        }
    }

    /** Creator, bytes, geometry as cylinders of 68 sectors; and what becomes of it. */
    @ParameterizedTest
    @CsvSource({"'win ',100,3,100", "'d2v ',100,3,100", "CTXS,300,3,300", "qem2,100,3,100", "'vpc ',300,3,204", "qemu,204,3,204",
        "'vpc ',100,3,204", "vbox,300,3,300", "vbox,100,3,204"})
    void takesTheSizeThatTheDisksOwnHypervisorTakes(String creator, int sectors, int cylinders, int expected) throws IOException {
        VhdMaker maker = VhdMaker.dynamic(new byte[sectors * 512], 0);
        maker.creator = creator;
        maker.spareEntries = 8;
        Path image = maker.write(directory.resolve("image.vhd"));
        try (DiskImage disk = Runs.open(image, false)) {
            assertEquals(expected * 512L, disk.virtualSize());
            assertEquals(sectors != cylinders * 68 && !"win d2v CTXS qem2".contains(creator),
                    disk.remarks().stream().anyMatch(remark -> remark.contains("two sizes")));
        }
        if (!creator.equals("vbox") && Tools.has("qemu-img")) {
            assertTrue(Tools.ok("qemu-img", "info", "-f", "vpc", image.toString()).contains("(" + expected * 512 + " bytes)"));
        }
    }

    @Test
    void theLargestGeometryMeansNothing() throws IOException {
        VhdMaker maker = VhdMaker.dynamic(new byte[100 * 512], 0);
        byte[] bytes = maker.bytes();
        for (int at : new int[] {0, bytes.length - 512}) {
            ByteBuffer footer = ByteBuffer.wrap(Arrays.copyOfRange(bytes, at, at + 512));
            footer.putInt(28, 0x71656d75).putShort(56, (short) 65535).put(58, (byte) 16).put(59, (byte) 255);
            System.arraycopy(VhdMaker.seal(footer, 64).array(), 0, bytes, at, 512);
        }
        try (DiskImage disk = Runs.open(Files.write(directory.resolve("image.vhd"), bytes), false)) {
            assertEquals(51200, disk.virtualSize());
        }
    }

    @Test
    void readsAChainSectorBySector() throws IOException {
        byte[] base = VhdMaker.pattern(9 * 16384, 1);
        VhdMaker parent = VhdMaker.dynamic(base, 5, 0, 1, 2);
        byte[] expected = new byte[10 * 16384 + 1024];
        for (int block : parent.order) {
            System.arraycopy(base, block * 16384, expected, block * 16384, 16384);
        }
        parent.write(directory.resolve("base.vhd"));
        Random random = new Random(7);
        byte[] id = parent.id;
        String name = "base.vhd";
        for (int generation = 0; generation < 3; generation++) {
            byte[] own = VhdMaker.pattern(expected.length, generation + 20);
            BitSet sectors = new BitSet();
            VhdMaker child = VhdMaker.differencing(name, own, sectors, 10, 3, 1, 0, 7);
            child.parentId = id;
            child.id = new byte[] {(byte) (generation + 40), 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
            for (int block : child.order) {
                for (int sector = block * 32; sector < Math.min(block * 32 + 32, expected.length / 512); sector++) {
                    if (random.nextInt(3) == 0) {
                        sectors.set(sector);
                        System.arraycopy(own, sector * 512, expected, sector * 512, 512);
                    }
                }
            }
            name = "child" + generation + ".vhd";
            id = child.id;
            child.write(directory.resolve(name));
        }
        try (DiskImage disk = Runs.open(directory.resolve(name), false);
                FileSource source = new FileSource(Files.write(directory.resolve("expected"), expected))) {
            assertReads(source, disk);
            assertEquals(4, disk.layers().size());
        }
    }

    @Test
    void oneGoodFooterOfTwoIsEnough() throws IOException {
        byte[] content = VhdMaker.pattern(4 * 16384, 1);
        byte[] bytes = VhdMaker.dynamic(content, 0, 1, 2, 3).bytes();
        for (int damaged : new int[] {0, bytes.length - 512}) {
            for (int at : new int[] {0, 30}) {
                byte[] copy = bytes.clone();
                copy[damaged + at] ^= 1;
                try (DiskImage disk = Runs.open(Files.write(directory.resolve("image.vhd"), copy), false)) {
                    assertArrayEquals(content, Runs.byLacuna(disk));
                    assertTrue(disk.remarks().get(0).contains("missing or damaged"), () -> disk.remarks().toString());
                }
            }
        }
    }

    /** QEMU records VHD under its own name. */
    @Test
    void isReadBelowAQcow2Image() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Tools.shell("cd \"$1\"; qemu-img create -q -f vpc -o force_size=on base.vhd 5M; qemu-io -f vpc -c 'write -P 3 1M 2M' "
                + "base.vhd\nqemu-img create -q -f qcow2 -b base.vhd -F vpc top.qcow2; qemu-io -f qcow2 -c 'write -P 4 2M 64k' "
                + "top.qcow2\nqemu-img convert -f qcow2 -O raw top.qcow2 expected.raw", directory);
        var options = new DiskImages.Options(DiskImages.Access.INSPECT, null, List.of());
        try (OpenedImage top = DiskImages.open(directory.resolve("top.qcow2"), options);
                FileSource expected = new FileSource(directory.resolve("expected.raw"))) {
            assertReads(expected, top.image());
            assertEquals("vhd", top.image().layers().get(1).format());
        }
    }

    @Test
    void readsTheCollection() throws IOException {
        Tools.require("qemu-img");
        for (String name : new String[] {"dfvfs/ext2.vhd", "SecurityRonin-vhd-forensic/fixed.vhd",
            "SecurityRonin-vhd-forensic/minimal.vhd", "SecurityRonin-vhd-forensic/original-size-mismatch.vhd",
            "qemu-iotests/d2v-zerofilled.vhd.bz2"}) {
            Path image = Corpus.unpack(name, directory);
            assertReadsLikeQemu(image);
            Files.delete(image);
        }
        try (DiskImage disk = Runs.open(Corpus.unpack("qemu-iotests/hyperv2012r2-dynamic.vhd.bz2", directory), false)) {
            assertEquals(136365211648L, disk.virtualSize());
            ByteBuffer end = ByteBuffer.allocate(512);
            disk.guest().read(disk.virtualSize() - 512, end);
            assertArrayEquals(new byte[512], end.array());
        }
    }

    /** On a device, what tapdisk did not write of a block is what was there before. */
    @Test
    void aDynamicDiskOfXenServerIsNotReadFromADevice() throws IOException {
        Tools.requireLoopDevices();
        Path image = directory.resolve("xen.vhd");
        Tools.shell("qemu-img create -q -f vpc \"$1\" 4M; qemu-io -f vpc -c 'write -P 1 1M 64k' \"$1\" > /dev/null", image);
        byte[] bytes = Files.readAllBytes(image);
        for (int at : new int[] {0, bytes.length - 512}) {
            ByteBuffer footer = ByteBuffer.wrap(Arrays.copyOfRange(bytes, at, at + 512)).put(28, new byte[] {'t', 'a', 'p', 0});
            System.arraycopy(VhdMaker.seal(footer, 64).array(), 0, bytes, at, 512);
        }
        Files.write(image, bytes);
        DiskImages.Options options = new DiskImages.Options(DiskImages.Access.PLAN, "vhd", List.of());
        DiskImages.open(image, options).close();
        String loop = Tools.shell("sync \"$1\"; losetup -f --show \"$1\"", image).strip();
        try {
            UnsupportedException e = assertThrows(UnsupportedException.class,
                    () -> DiskImages.open(Path.of(loop), options).close());
            assertTrue(e.reason().contains("XenServer"), e.reason());
        } finally {
            Tools.ok("losetup", "-d", loop);
        }
    }

    @ParameterizedTest
    @CsvSource({"dfvfs/image.vhd,checksum", "dfvfs/image-differential.vhd,checksum",
        "qemu-iotests/afl5.img.bz2,1024 bytes before the end",
        "dfvfs/fat-differential.vhd,fat-parent.vhd"})
    void refusesOfTheCollection(String name, String reason) throws IOException {
        Path image = Corpus.unpack(name, directory);
        DiskFormatException refused = assertThrows(DiskFormatException.class, () -> Runs.open(image, false));
        assertTrue(refused.reason().contains(reason), refused::reason);
    }

    /** A volume that was cut out of a fixed disk, with the disk's footer: read, but nothing is given back. */
    @Test
    void refusesToChangeAFixedDiskThatIsCut() throws IOException {
        Path image = Corpus.unpack("go-ntfs/charlie.dd.bz2", directory);
        try (DiskImage disk = Runs.open(image, true)) {
            assertEquals(41878016 - 512, disk.virtualSize());
            assertThrows(DiskFormatException.class, () -> disk.plan(Runs.request(Runs.kib(0, 8),
                    io.lacuna.blockio.ReclaimMode.PUNCH)));
        }
    }

    @Test
    void refusesFootersThatContradictEachOther() throws IOException {
        byte[] bytes = VhdMaker.dynamic(VhdMaker.pattern(4 * 16384, 1), 0, 1, 2, 3).bytes();
        byte[] other = VhdMaker.footer(3, "win ", 3 * 16384, new byte[16]).array();
        System.arraycopy(other, 0, bytes, bytes.length - 512, 512);
        Path image = Files.write(directory.resolve("image.vhd"), bytes);
        assertThrows(CorruptException.class, () -> Runs.open(image, false));
        System.arraycopy(VhdMaker.footer(2, "win ", 4 * 16384, new byte[16]).array(), 0, bytes, bytes.length - 512, 512);
        Files.write(image, bytes);
        assertThrows(CorruptException.class, () -> Runs.open(image, false), "a fixed disk whose guest holds a dynamic one, or not");
    }
}
