package io.lacuna.diskimage.vhd;

import static io.lacuna.diskimage.vhd.Runs.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Places where a wrong guess frees a live byte; each of these fails when its guard is taken out. */
class VhdTrapsTest {

    private static final int BLOCK = 64 << 10;
    private static final int SLOT = BLOCK + 512;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private Path image;
    private VhdMaker maker;

    @BeforeEach
    void make() {
        image = directory.resolve("image.vhd");
        maker = VhdMaker.dynamic(VhdMaker.pattern(6 * BLOCK, 1), 0, 1, 2, 3, 4, 5);
        maker.blockSize = BLOCK;
    }

    private int place(int slot) {
        return maker.firstBlock() + slot * SLOT;
    }

    private static byte[] sealed(byte[] bytes) {
        System.arraycopy(VhdMaker.seal(ByteBuffer.wrap(Arrays.copyOfRange(bytes, 512, 1536)), 36).array(), 0, bytes, 512, 1024);
        for (int at : new int[] {0, bytes.length - 512}) {
            System.arraycopy(VhdMaker.seal(ByteBuffer.wrap(Arrays.copyOfRange(bytes, at, at + 512)), 64).array(), 0, bytes, at,
                    512);
        }
        return bytes;
    }

    private <T extends Throwable> T refuses(Class<T> kind, byte[] bytes, ExtentSet free) throws IOException {
        Files.write(image, bytes);
        T refusal = null;
        for (ReclaimMode mode : ReclaimMode.values()) {
            refusal = assertThrows(kind, () -> {
                try (DiskImage disk = Runs.open(image, true)) {
                    disk.apply(disk.plan(Runs.request(free, mode)), Progress.NONE);
                }
            });
            assertArrayEquals(bytes, Files.readAllBytes(image), "a refused image is unchanged");
        }
        return refusal;
    }

    @Test
    void twoBlocksInOnePlaceAreRefused() throws IOException {
        byte[] bytes = maker.bytes();
        ByteBuffer.wrap(bytes).putInt(VhdMaker.TABLE + 8, place(3) / 512);
        refuses(CorruptException.class, bytes, kib(128, 192));
    }

    @Test
    void blocksThatOverlapByASectorAreRefused() throws IOException {
        byte[] bytes = maker.bytes();
        ByteBuffer.wrap(bytes).putInt(VhdMaker.TABLE + 8, place(3) / 512 - SLOT / 512 + 1);
        refuses(CorruptException.class, bytes, kib(0, 64));
    }

    /** Another hypervisor sees a larger disk, or the table is from a larger one: what lies there is somebody's. */
    @Test
    void aBlockBehindTheDisksEndCounts() throws IOException {
        maker.spareEntries = 3;
        byte[] bytes = maker.bytes();
        ByteBuffer.wrap(bytes).putInt(VhdMaker.TABLE + 8 * 4, place(1) / 512);
        refuses(CorruptException.class, bytes, kib(64, 128));
    }

    @Test
    void aBlockBehindTheDisksEndIsKept() throws IOException {
        maker.spareEntries = 3;
        byte[] bytes = maker.bytes();
        // What was block 5 is now behind the end.
        ByteBuffer.wrap(bytes).putInt(VhdMaker.TABLE + 5 * 4, -1).putInt(VhdMaker.TABLE + 8 * 4, place(5) / 512);
        for (ReclaimMode mode : ReclaimMode.values()) {
            Files.write(image, bytes);
            Runs.run(image, mode, kib(0, 64, 192, 384));
            byte[] after = Files.readAllBytes(image);
            int at = ByteBuffer.wrap(after).getInt(VhdMaker.TABLE + 8 * 4) * 512;
            assertEquals(mode == ReclaimMode.COMPACT ? place(0) : place(5), at);
            assertArrayEquals(Arrays.copyOfRange(bytes, place(5), place(6)), Arrays.copyOfRange(after, at, at + SLOT));
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3, 1_000_000, 0x7FFF_FFFF, 0xFFFF_FFFE})
    void aBlockInTheWrongPlaceIsRefused(int sector) throws IOException {
        // Room for a block before the first one, so that only the structures are in its way.
        maker.firstGap = 150;
        byte[] bytes = maker.bytes();
        ByteBuffer.wrap(bytes).putInt(VhdMaker.TABLE + 8, sector);
        refuses(CorruptException.class, bytes, kib(0, 64));
    }

    @Test
    void aBlockOverTheFooterIsRefused() throws IOException {
        byte[] bytes = maker.bytes();
        ByteBuffer.wrap(bytes).putInt(VhdMaker.TABLE + 5 * 4, place(5) / 512 + 1);
        refuses(CorruptException.class, bytes, kib(0, 64));
    }

    @Test
    void aSuspendedMachinesDiskIsRefused() throws IOException {
        byte[] bytes = maker.bytes();
        bytes[84] = 1;
        bytes[bytes.length - 512 + 84] = 1;
        assertEquals(UnsafeException.Scope.MACHINE, refuses(UnsafeException.class, sealed(bytes), kib(0, 64)).scope());
        // One of the two footers is enough.
        bytes[bytes.length - 512 + 84] = 0;
        refuses(UnsafeException.class, sealed(bytes), kib(0, 64));
    }

    /** The last block ends behind this disk's end, but not behind the end that another program gives it. */
    @Test
    void aBlockIsFreeOnlyIfNoProgramSeesALiveByteInIt() throws IOException {
        // The geometry says 204 sectors, which "vpc " goes by; the other size is 256 sectors, two whole blocks.
        VhdMaker two = VhdMaker.dynamic(VhdMaker.pattern(2 * BLOCK, 1), 0, 1);
        two.blockSize = BLOCK;
        two.creator = "vpc ";
        Path path = two.write(image);
        try (DiskImage disk = Runs.open(path, true)) {
            assertEquals(204 * 512, disk.virtualSize());
            Deallocation plan = disk.plan(Runs.request(ExtentSet.ofRange(BLOCK, 204 * 512 - BLOCK), ReclaimMode.DEALLOCATE));
            disk.apply(plan, Progress.NONE);
        }
        byte[] after = Files.readAllBytes(path);
        assertNotEquals(-1, ByteBuffer.wrap(after).getInt(VhdMaker.TABLE + 4));
        assertArrayEquals(Arrays.copyOfRange(two.content, 204 * 512, 256 * 512),
                Arrays.copyOfRange(after, after.length - 512 - 52 * 512, after.length - 512));
    }

    /** Data of blocks begins 512 bytes behind a multiple of 4096 at best: the guest's alignment is not the host's. */
    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void holesKeepToTheHostsBlocksNotTheGuests(ReclaimMode mode) throws IOException {
        maker.write(image);
        Deallocation plan = Runs.run(image, mode, kib(4, 8, 60, 64, 68, 100, 128, 192));
        assertTrue(plan.retained().stream().anyMatch(part -> part.why().startsWith("less than a whole block")),
                () -> plan.retained().toString());
    }

    @Test
    void aLargerGranularityIsKept() throws IOException {
        maker.write(image);
        byte[] before = Files.readAllBytes(image);
        Deallocation plan;
        try (DiskImage disk = Runs.FORMAT.open(new PlainHostFile(image, true, 16384), new NearbyLinks(directory, Runs.FORMAT,
                true))) {
            plan = disk.plan(Runs.request(kib(30, 120), ReclaimMode.PUNCH));
            disk.apply(plan, Progress.NONE);
        }
        byte[] after = Files.readAllBytes(image);
        for (int i = 0; i < after.length; i += 16384) {
            int end = Math.min(after.length, i + 16384);
            boolean same = Arrays.equals(before, i, end, after, i, end);
            assertTrue(same || Arrays.equals(new byte[end - i], Arrays.copyOfRange(after, i, end)), "at " + i);
        }
        Runs.assertLive(Arrays.copyOf(maker.content, maker.content.length), Runs.byQemu(image), kib(30, 120), plan.reclaimable());
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void bitsOfADifferencingDiskStaySet(ReclaimMode mode) throws IOException {
        maker.write(directory.resolve("base.vhd"));
        BitSet own = new BitSet();
        own.set(0, 6 * 128);
        VhdMaker child = VhdMaker.differencing("base.vhd", VhdMaker.pattern(6 * BLOCK, 2), own, 0, 1, 2, 3, 4, 5);
        child.blockSize = BLOCK;
        child.write(image);
        byte[] before;
        byte[] after;
        try (DiskImage disk = Runs.open(image, true)) {
            before = Runs.byLacuna(disk);
            Deallocation plan = disk.plan(Runs.request(kib(0, 384), mode));
            disk.apply(plan, Progress.NONE);
            assertTrue(plan.reclaimable().totalBytes() > 5 * BLOCK);
            after = Runs.byLacuna(disk);
            Runs.assertLive(before, after, kib(0, 384), plan.reclaimable());
        }
        byte[] bytes = Files.readAllBytes(image);
        for (int i = 0; i < 6; i++) {
            int at = ByteBuffer.wrap(bytes).getInt(VhdMaker.TABLE + 4 * i) * 512;
            for (int j = 0; j < 16; j++) {
                assertEquals(-1, bytes[at + j], "bitmap of block " + i);
            }
        }
    }

    @Test
    void theParentsNameIsNotWrittenOver() throws IOException {
        maker.write(directory.resolve("base.vhd"));
        BitSet own = new BitSet();
        own.set(0, 6 * 128);
        VhdMaker child = VhdMaker.differencing("base.vhd", VhdMaker.pattern(6 * BLOCK, 2), own, 0, 1, 2, 3, 4, 5);
        child.blockSize = BLOCK;
        child.gapSectors = 200;
        byte[] bytes = child.bytes();
        // The name moves into the first gap, with 40 sectors to grow into.
        int gap = child.firstBlock() + SLOT + 20 * 512;
        byte[] name = "base.vhd".getBytes(StandardCharsets.UTF_16LE);
        System.arraycopy(name, 0, bytes, gap, name.length);
        ByteBuffer.wrap(bytes).putInt(512 + 580, 40).putLong(512 + 592, gap);
        Arrays.fill(bytes, child.firstBlock() - 512, child.firstBlock(), (byte) 0);
        Files.write(image, sealed(bytes));
        try (DiskImage disk = Runs.open(image, true)) {
            byte[] before = Runs.byLacuna(disk);
            Deallocation plan = disk.plan(Runs.request(kib(0, 64), ReclaimMode.COMPACT));
            disk.apply(plan, Progress.NONE);
            assertTrue(plan.changesTables());
            Runs.assertLive(before, Runs.byLacuna(disk), kib(0, 64), plan.reclaimable());
        }
        byte[] after = Files.readAllBytes(image);
        assertTrue(after.length < bytes.length);
        assertArrayEquals(Arrays.copyOfRange(bytes, gap, gap + 40 * 512), Arrays.copyOfRange(after, gap, gap + 40 * 512));
        Runs.open(image, false).close();
    }

    @Test
    void xensMapOfBlocksIsKeptAndItsBlocksArePunchedOnly() throws IOException {
        maker.firstGap = 140;
        byte[] bytes = maker.bytes();
        int map = maker.firstBlock();
        ByteBuffer.wrap(bytes).put(map, "tdbatmap".getBytes(StandardCharsets.ISO_8859_1)).putLong(map + 8, map + 512)
                .putInt(map + 16, 1).put(map + 512, (byte) 0xFC);
        Files.write(image, bytes);
        Runs.run(image, ReclaimMode.DEALLOCATE, kib(128, 192));
        assertArrayEquals(Arrays.copyOf(bytes, map + 1024), Arrays.copyOf(Files.readAllBytes(image), map + 1024));
        Runs.run(image, ReclaimMode.COMPACT, kib(128, 192));
        byte[] after = Files.readAllBytes(image);
        assertTrue(after.length < bytes.length, "one block fits between the map and the first one");
        assertArrayEquals(Arrays.copyOfRange(bytes, map, map + 1024), Arrays.copyOfRange(after, map, map + 1024));
    }

    @ParameterizedTest
    @ValueSource(ints = {511, 512})
    void theFooterOfAFixedDiskIsNotPunched(int length) throws IOException {
        byte[] content = VhdMaker.pattern(100 * 512, 1);
        byte[] footer = VhdMaker.footer(2, "win ", content.length, new byte[16]).array();
        byte[] bytes = Arrays.copyOf(content, content.length + length);
        System.arraycopy(footer, 0, bytes, content.length, length);
        Files.write(image, bytes);
        try (DiskImage disk = Runs.open(image, true)) {
            disk.apply(disk.plan(Runs.request(ExtentSet.ofRange(0, 1 << 20), ReclaimMode.COMPACT)), Progress.NONE);
        }
        byte[] after = Files.readAllBytes(image);
        assertEquals(bytes.length, after.length);
        assertArrayEquals(Arrays.copyOf(footer, length), Arrays.copyOfRange(after, content.length, after.length));
        assertEquals(0, after[0]);
    }

    /** QEMU writes only a part of a new block, and puts it right behind the last one. */
    @Test
    void nothingStaleIsLeftBehindTheLastBlock() throws IOException {
        byte[] bytes = maker.bytes();
        Files.write(image, bytes);
        Runs.run(image, ReclaimMode.DEALLOCATE, kib(256, 384));
        byte[] after = Files.readAllBytes(image);
        assertEquals(place(4) + 512, after.length);
        assertArrayEquals(Arrays.copyOf(bytes, 512), Arrays.copyOfRange(after, place(4), after.length));
    }

    @Test
    void hugeTablesInSmallFilesAreRefused() throws IOException {
        for (int entries : new int[] {0x4000_0001, -1, 1 << 22, (1 << 22) + 1, 100_000}) {
            byte[] bytes = maker.bytes();
            ByteBuffer.wrap(bytes).putInt(512 + 28, entries);
            refuses(DiskFormatException.class, sealed(bytes), kib(0, 64));
        }
        for (int size : new int[] {0, 1, 256, 511, 513, -1, 0x8000_0000, 0x6000_0000}) {
            byte[] bytes = maker.bytes();
            ByteBuffer.wrap(bytes).putInt(512 + 32, size);
            refuses(DiskFormatException.class, sealed(bytes), kib(0, 64));
        }
    }

    @Test
    void versionsAndKindsThatNobodyKnowsAreRefused() throws IOException {
        for (int[] change : new int[][] {{12, 2}, {60, 0}, {60, 1}, {60, 5}, {512 + 24, 2}}) {
            byte[] bytes = maker.bytes();
            ByteBuffer.wrap(bytes).putInt(change[0], change[0] == 60 ? change[1] : change[1] << 16);
            if (change[0] < 512) {
                ByteBuffer.wrap(bytes).putInt(bytes.length - 512 + change[0], change[0] == 60 ? change[1] : change[1] << 16);
            }
            refuses(DiskFormatException.class, sealed(bytes), kib(0, 64));
        }
    }
}
