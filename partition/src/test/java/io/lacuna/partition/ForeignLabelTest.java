package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;

/** Labels of other worlds are named, and nothing that only resembles one is. */
class ForeignLabelTest {

    private static TestDisk disk() {
        return TestDisk.ofSize((1 << 20) + 512);
    }

    private static TestDisk bigEndian() {
        TestDisk disk = disk();
        disk.bytes.order(ByteOrder.BIG_ENDIAN);
        return disk;
    }

    private static void assertNamed(String name, TestDisk disk) {
        UnsupportedException e = assertThrows(UnsupportedException.class, () -> PartitionTable.read(disk.source()));
        assertTrue(e.reason().contains(name), e.reason());
    }

    private static void assertScheme(String scheme, TestDisk disk) throws IOException {
        assertEquals(scheme, PartitionTable.read(disk.source()).scheme());
    }

    @Test
    void sunNeedsItsChecksum() throws IOException {
        assertNamed("Sun", bigEndian().u16(508, 0xDABE).u16(510, 0xDABE));
        assertScheme("none", bigEndian().u16(508, 0xDABE).u16(510, 0xDABF));
    }

    @Test
    void sgiNeedsItsChecksum() throws IOException {
        assertNamed("SGI", bigEndian().u32(0, 0x0BE5A941L).u32(504, -0x0BE5A941L));
        assertScheme("none", bigEndian().u32(0, 0x0BE5A941L).u32(504, -0x0BE5A940L));
    }

    @Test
    void aix() {
        assertNamed("AIX", bigEndian().u32(0, 0xC9C2D4C1L));
    }

    private static TestDisk bsd(int at) {
        return disk().u32(at, 0x82564557L).u32(at + 132, 0x82564557L).u16(at + 138, 8);
    }

    @Test
    void bsdNeedsBothMagicsAndItsChecksum() throws IOException {
        for (int at : new int[] {64, 128, 512}) {
            assertNamed("BSD", bsd(at).u16(at + 136, 8));
            assertScheme("none", bsd(at).u16(at + 136, 9));
            assertScheme("none", bsd(at).u16(at + 136, 8).u32(at + 132, 0));
        }
        assertScheme("none", bsd(512).u16(512 + 138, 0xFFFF));
    }

    @Test
    void applePartitionMap() throws IOException {
        assertNamed("Apple", bigEndian().u16(0, 0x4552).u16(2, 512).u16(512, 0x504D));
        assertNamed("Apple", bigEndian().u16(0, 0x4552).u16(2, 2048).u16(2048, 0x504D));
        assertNamed("Apple", bigEndian().u16(512, 0x504D).text(512 + 48, "Apple_partition_map"));
        assertScheme("none", bigEndian().u16(512, 0x504D));
        assertScheme("none", bigEndian().u16(0, 0x4552).u16(2, 1).u16(512, 0x504D));
    }

    @Test
    void amigaNeedsItsChecksum() throws IOException {
        for (int block : new int[] {0, 1, 15}) {
            int at = block * 512;
            long words = 64;
            TestDisk disk = bigEndian().text(at, "RDSK").u32(at + 4, words).u32(at + 8, -(0x5244534BL + words));
            assertNamed("Amiga", disk);
            assertScheme("none", disk.u32(at + 12, 1));
            assertScheme("none", disk.u32(at + 4, 0xFFFF_FFFFL));
        }
    }

    @Test
    void dasdInAllBlockSizes() throws IOException {
        for (int blockSize = 512; blockSize <= 4096; blockSize *= 2) {
            assertNamed("DASD", bigEndian().u32(2 * blockSize, 0xE5D6D3F1L).u32(2 * blockSize + 4, 0xE5D6D3F1L));
            assertScheme("none", bigEndian().u32(2 * blockSize, 0xE5D6D3F1L));
            TestDisk linux = bigEndian().u32(2 * blockSize, 0xD3D5E7F1L);
            assertScheme("none", linux);
            assertNamed("DASD", linux.u32(2 * blockSize + 4, 0xF0F1F2F3L).u16(2 * blockSize + 8, 0x4040));
        }
    }

    @Test
    void ultrix() throws IOException {
        assertNamed("Ultrix", disk().u32(16312, 0x032957).u32(16316, 1));
        assertScheme("none", disk().u32(16312, 0x032957).u32(16316, 0));
    }

    private static TestDisk atari() {
        return bigEndian().u32(0x1C2, 2000).u8(0x1C6, 1).text(0x1C7, "GEM").u32(0x1CA, 2).u32(0x1CE, 100);
    }

    @Test
    void atariNeedsSaneEntries() throws IOException {
        assertNamed("Atari", atari());
        assertScheme("none", atari().u32(0x1C2, 0));
        assertScheme("none", atari().u32(0x1C2, 999999));
        assertScheme("none", atari().u8(0x1C7, 0));
        assertScheme("none", atari().u32(0x1CE, 99999));
        assertScheme("none", atari().u8(0x1C6, 0));
        assertScheme("none", atari().u8(0x1D2, 1));
    }

    @Test
    void mbrThatResemblesAtariIsAnMbr() throws IOException {
        assertScheme("mbr", atari().u16(510, 0x55AA));
    }

    @Test
    void ordinaryTablesAreNotForeign() throws IOException {
        assertScheme("mbr", disk().mbr(0, 0x83, 63, 1000));
        assertScheme("gpt", new TestDisk(1 << 20, 512).gpt());
        assertScheme("gpt", new TestDisk(1 << 20, 4096).gpt());
    }
}
