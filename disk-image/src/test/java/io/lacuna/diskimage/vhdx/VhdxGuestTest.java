package io.lacuna.diskimage.vhdx;

import static io.lacuna.diskimage.vhdx.Reading.assertReadsLike;
import static io.lacuna.diskimage.vhdx.Reading.byteAt;
import static io.lacuna.diskimage.vhdx.Reading.open;
import static io.lacuna.diskimage.vhdx.VhdxMaker.FULL;
import static io.lacuna.diskimage.vhdx.VhdxMaker.MIB;
import static io.lacuna.diskimage.vhdx.VhdxMaker.PARTIAL;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.Holdings;
import io.lacuna.diskimage.ImageBase;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What the guest reads, against QEMU and libvhdi. */
class VhdxGuestTest {

    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(strings = {"subformat=dynamic", "subformat=fixed", "block_size=1M", "block_size=2M,log_size=3M",
        "block_size=256M", "block_size=1M,block_state_zero=off"})
    void readsWhatQemuReads(String options) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path image = directory.resolve("image.vhdx");
        Tools.ok("qemu-img", "create", "-q", "-f", "vhdx", "-o", options, image.toString(), "41943552");
        Tools.ok("qemu-io", "-f", "vhdx", "-c", "write -P 1 0 70000", "-c", "write -P 2 1M 3M", "-c", "write -P 3 9000448 512",
                "-c", "write -P 5 41943040 512", "-c", "write -P 6 12M 1k", "-c", "write -P 7 33M 1k", "-c",
                "write -P 4 24M 2M", image.toString());
        assertReadsLike(Reading.byQemu(image, directory), image);
    }

    @ParameterizedTest
    @ValueSource(strings = {"LTRData-DiscUtils/btrfs.vhdx.gz", "LTRData-DiscUtils/swap.vhdx.gz",
        "freebsd-mkimg/img-1x1-512-gpt.vhdx.gz", "qemu-iotests/iotest-dynamic-1G.vhdx.bz2", "LTRData-DiscUtils/xfs5.vhdx.gz"})
    void readsTheCollection(String name) throws IOException {
        Tools.require("qemu-img");
        Path image = Corpus.unpack(name, directory);
        assertReadsLike(Reading.byQemu(image, directory), image);
    }

    @Test
    void readsTheCollectionsUnfinishedLog() throws IOException {
        Tools.require("qemu-img");
        Path image = Corpus.unpack("qemu-iotests/iotest-dirtylog-10G-4M.vhdx.bz2", directory);
        Path repaired = directory.resolve("repaired.vhdx");
        Files.copy(image, repaired);
        Tools.ok("qemu-img", "check", "-q", "-r", "all", "-f", "vhdx", repaired.toString());
        byte[] before = Files.readAllBytes(image);
        try (DiskImage disk = open(image)) {
            assertTrue(disk.remarks().get(0).contains("log"), disk.remarks().toString());
        }
        assertReadsLike(Reading.byQemu(repaired, directory), image);
        assertEquals(-1, java.util.Arrays.mismatch(before, Files.readAllBytes(image)), "a mere reader wrote");
    }

    @Test
    void neverPresentUndefinedZeroAndUnmappedReadAsZerosAndTheirPlacesMeanNothing() throws IOException {
        Path image = directory.resolve("states.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 8L * MIB, MIB)) {
            long place = maker.store(0, FULL, 0xAA);
            maker.entry(1, 0).entry(2, place | 1).entry(3, 2).entry(4, place | 3).entry(5, place | 2).entry(6, 1L << 60 | 3);
        }
        try (DiskImage disk = open(image)) {
            assertEquals(0xAA, byteAt(disk, MIB - 1));
            for (int block = 1; block < 8; block++) {
                assertEquals(0, byteAt(disk, (long) block * MIB), "block " + block);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"512, 1048576", "512, 33554432", "4096, 1048576", "4096, 2097152"})
    void readsDifferencingDisksLikeLibvhdi(int sectorSize, int blockSize) throws IOException {
        Path child = chain(sectorSize, blockSize, 0);
        assertReadsLike(Reading.byLibvhdi(child, directory), child);
        chain(sectorSize, blockSize, 2); // libvhdi of 2021 shows the parent in place of defined zeros
        try (DiskImage disk = open(child)) {
            assertEquals(3, disk.layers().size());
            assertEquals("backing", disk.layers().get(2).role());
            assertEquals(0x11, byteAt(disk, 0), "the grandparent's");
            assertEquals(0x22, byteAt(disk, blockSize), "the parent's");
            assertEquals(0x33, byteAt(disk, 2L * blockSize + 8L * sectorSize), "its own, in a block that is there in part");
            assertEquals(0x11, byteAt(disk, 2L * blockSize + 7L * sectorSize), "not its own");
            assertEquals(0, byteAt(disk, 3L * blockSize), "zero hides the parent");
            if (blockSize < 4 << 20) {
                try (DiskImage parent = open(directory.resolve("middle.vhdx"))) {
                    Holdings.checkOwn(disk, Runs.guest(disk), Runs.guest(parent));
                }
                assertEquals(blockSize + (1L + 80 + 1) * sectorSize, disk.ownRanges().intersect(ExtentSet.ofRange(2L * blockSize,
                        2L * blockSize)).totalBytes());
            }
        }
    }

    /** @return the youngest of three, with blocks of every state in it */
    private Path chain(int sectorSize, int blockSize, int stateOfBlock3) throws IOException {
        long size = 5L * blockSize - 4096;
        try (VhdxMaker base = new VhdxMaker(directory.resolve("base.vhdx"), size, blockSize, sectorSize, false,
                java.util.Map.of())) {
            for (int block = 0; block < 4; block++) {
                base.store(block, FULL, 0x11);
            }
        }
        try (VhdxMaker middle = VhdxMaker.child(directory.resolve("middle.vhdx"), size, blockSize, sectorSize, "base.vhdx")) {
            middle.store(1, FULL, 0x22);
            long bitmap = middle.bitmap(0);
            middle.store(4, PARTIAL, 0x23);
            middle.present(bitmap, 4 * (blockSize / sectorSize) + 70, 100);
        }
        Path child = directory.resolve("child.vhdx");
        try (VhdxMaker top = VhdxMaker.child(child, size, blockSize, sectorSize, "middle.vhdx")) {
            long bitmap = top.bitmap(0);
            top.store(2, PARTIAL, 0x33);
            int first = 2 * (blockSize / sectorSize);
            top.present(bitmap, first + 8, 1);
            top.present(bitmap, first + 60, 80);
            top.present(bitmap, first + blockSize / sectorSize - 1, 1);
            top.entry(3, stateOfBlock3);
        }
        return child;
    }

    @Test
    void aFullyPresentBlockNeedsNoSectorBitmap() throws IOException {
        try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), 4L * MIB, MIB)) {
            base.store(0, FULL, 0x11);
        }
        Path image = directory.resolve("child.vhdx");
        try (VhdxMaker child = VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx")) {
            child.store(0, FULL, 0x22);
            child.bitmap(0); // says that no sector is here, which does not count
        }
        try (DiskImage disk = open(image)) {
            assertEquals(0x22, byteAt(disk, 0));
        }
    }

    @Test
    void aLongerChildReadsZerosBehindItsParent() throws IOException {
        try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), 2L * MIB, MIB)) {
            base.store(1, FULL, 0x11);
        }
        Path image = directory.resolve("child.vhdx");
        VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx").close();
        try (DiskImage disk = open(image)) {
            assertEquals(0x11, byteAt(disk, 2L * MIB - 1));
            assertEquals(0, byteAt(disk, 2L * MIB));
        }
    }

    @Test
    void theParentIsToldWithoutBeingOpened() throws IOException {
        Path base = directory.resolve("base.vhdx");
        VhdxMaker.dynamic(base, 4L * MIB, MIB).close();
        Path image = directory.resolve("child.vhdx");
        VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx").close();
        assertEquals(base.toRealPath(), ImageBase.of(image, List.of()).orElseThrow().path());
    }

    @Test
    void refusesAMissingParent() throws IOException {
        Path image = directory.resolve("child.vhdx");
        VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx").close();
        UnsafeException refusal = assertThrows(UnsafeException.class, () -> open(image));
        assertTrue(refusal.getMessage().contains("parent is missing") && refusal.getMessage().contains("'base.vhdx'"),
                refusal.getMessage());
    }

    @Test
    void refusesAChangedParent() throws IOException {
        try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), 4L * MIB, MIB)) {
            base.dataWrite(new UUID(1, 2));
        }
        Path image = directory.resolve("child.vhdx");
        VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx").close();
        UnsafeException refusal = assertThrows(UnsafeException.class, () -> open(image));
        assertTrue(refusal.getMessage().contains("DataWriteGuid"), refusal.getMessage());
    }

    @Test
    void refusesAParentWithOtherSectors() throws IOException {
        new VhdxMaker(directory.resolve("base.vhdx"), 4L * MIB, MIB, 4096, false, java.util.Map.of()).close();
        Path image = directory.resolve("child.vhdx");
        VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx").close();
        assertTrue(assertThrows(UnsafeException.class, () -> open(image)).getMessage().contains("sectors of 4096"));
    }

    @Test
    void findsAMovedParentBesideTheChildAndTakesTheSecondIdentity() throws IOException {
        try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), 4L * MIB, MIB)) {
            base.store(0, FULL, 0x11);
        }
        Path image = directory.resolve("child.vhdx");
        new VhdxMaker(image, 4L * MIB, MIB, 512, false, java.util.Map.of(
                "parent_linkage", "{00000000-0000-0000-0000-000000000001}",
                "parent_linkage2", "{11112222-3333-4444-5555-666677778888}",
                "relative_path", "..\\elsewhere\\base.vhdx",
                "absolute_win32_path", "\\\\?\\C:\\elsewhere\\base.vhdx")).close();
        try (DiskImage disk = open(image)) {
            assertEquals(0x11, byteAt(disk, 0));
        }
    }

    @Test
    void refusesABlockThatIsThereInPartWithoutASectorBitmap() throws IOException {
        VhdxMaker.dynamic(directory.resolve("base.vhdx"), 4L * MIB, MIB).close();
        Path image = directory.resolve("child.vhdx");
        try (VhdxMaker child = VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx")) {
            child.store(1, PARTIAL, 1);
        }
        try (DiskImage disk = open(image)) {
            CorruptException refusal = assertThrows(CorruptException.class, () -> byteAt(disk, MIB));
            assertTrue(refusal.getMessage().contains("sector bitmap"), refusal.getMessage());
            assertEquals(0, byteAt(disk, 0));
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {4, 5, PARTIAL | 4L << 20, FULL | 4L << 20 | 8, FULL, FULL | 1L << 20, FULL | 3L << 20,
        FULL | 0xFFFL << 20, FULL | 0xFFFL << 52})
    void refusesEntriesThatMakeNoSense(long entry) throws IOException {
        Path image = directory.resolve("image.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 4L * MIB, MIB)) {
            maker.store(0, FULL, 1);
            maker.entry(1, entry);
        }
        try (DiskImage disk = open(image)) {
            assertTrue(assertThrows(CorruptException.class, () -> byteAt(disk, MIB)).getMessage().contains("BAT entry 1"));
            assertEquals(1, byteAt(disk, 0));
        }
    }

    @Test
    void aDynamicDisksSectorBitmapEntriesDoNotCount() throws IOException {
        Path image = directory.resolve("image.vhdx"); // QEMU up to 7.2 leaves junk there
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 4096L * MIB + 2L * MIB, MIB)) {
            maker.put(VhdxMaker.BAT + 8L * 4096, VhdxMaker.buffer(8).putLong(-1).array());
            maker.store(4096, FULL, 0x44);
        }
        try (DiskImage disk = open(image)) {
            assertEquals(0x44, byteAt(disk, 4096L * MIB));
        }
    }

    @Test
    void isFoundByItsServiceLineAndItsParentThroughTheConfinedLinks() throws IOException {
        Path image = directory.resolve("child.vhdx");
        VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx").close();
        DiskImages.Options options = new DiskImages.Options(DiskImages.Access.INSPECT, null, java.util.List.of());
        UnsafeException missing = assertThrows(UnsafeException.class, () -> DiskImages.open(image, options));
        assertTrue(missing.getMessage().contains("parent is missing"), missing.getMessage());
        try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), 4L * MIB, MIB)) {
            base.store(0, FULL, 0x11);
        }
        try (var opened = DiskImages.open(image, options)) {
            assertEquals("vhdx", opened.image().format());
            assertEquals(0x11, byteAt(opened.image(), 0));
        }
        Path outside = Files.createDirectory(directory.resolve("inside"));
        Path stray = outside.resolve("stray.vhdx");
        new VhdxMaker(stray, 4L * MIB, MIB, 512, false, java.util.Map.of(
                "parent_linkage", "{11112222-3333-4444-5555-666677778888}", "relative_path", "..\\base.vhdx")).close();
        UnsafeException refusal = assertThrows(UnsafeException.class, () -> DiskImages.open(stray, options));
        assertTrue(refusal.getMessage().contains("--allow-backing"), refusal.getMessage());
    }

    @Test
    void recognisesOnlyItsSignature() throws IOException {
        Path image = directory.resolve("image.vhdx");
        VhdxMaker.dynamic(image, MIB, MIB).close();
        Path other = directory.resolve("other");
        Files.writeString(other, "vhdxfil");
        try (var yes = new io.lacuna.fixtures.PlainHostFile(image, false);
                var no = new io.lacuna.fixtures.PlainHostFile(other, false)) {
            assertTrue(Reading.FORMAT.recognises(yes));
            assertFalse(Reading.FORMAT.recognises(no));
            assertThrows(DiskFormatException.class, () -> Reading.FORMAT.open(no, null));
        }
    }
}
