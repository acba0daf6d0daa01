package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class MbrTest {

    private static final int MIB = 1 << 20;

    /** 16 MiB and a bit: no whole number of 4096-byte sectors, so nothing has to be guessed. */
    private static TestDisk disk() {
        return TestDisk.ofSize(16 * MIB + 512);
    }

    private static PartitionTable read(TestDisk disk) throws IOException {
        return PartitionTable.read(disk.source());
    }

    private static List<String> summary(PartitionTable table) {
        return table.partitions().stream().map(p -> p.index() + ":" + p.offset() / 512 + "+" + p.length() / 512
                + (p.refusal().isPresent() ? "!" : "")).toList();
    }

    private static String refusal(PartitionTable table, int position) {
        return table.partitions().get(position).refusal().orElse("");
    }

    @Test
    void readsPrimaryPartitionsInTheOrderOfTheTable() throws IOException {
        PartitionTable table = read(disk().mbrEntry(0, 0, 0x80, 0x07, 8192, 2048).mbr(2, 0x83, 2048, 4096));
        assertEquals("mbr", table.scheme());
        assertEquals(List.of("1:8192+2048", "3:2048+4096"), summary(table));
        assertEquals("NTFS, exFAT or HPFS", table.partitions().get(0).typeName());
        assertEquals("0x83", table.partitions().get(1).type());
        assertEquals(List.of(), table.remarks());
    }

    @Test
    void diskWithoutTableIsOnePartition() throws IOException {
        PartitionTable table = read(disk());
        assertEquals("none", table.scheme());
        assertEquals(1, table.partitions().size());
        Partition whole = table.partitions().get(0);
        assertEquals(0, whole.index());
        assertEquals(0, whole.offset());
        assertEquals(16 * MIB + 512, whole.length());
        assertTrue(whole.refusal().isEmpty() && table.gaps().isEmpty());
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 100, 511, 512, 513, 1024, 1536})
    void tinyDisksHaveNoTable(int size) throws IOException {
        assertEquals("none", read(TestDisk.ofSize(size)).scheme());
    }

    @Test
    void emptyTableListsNothingAndSaysSo() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0, 0, 0));
        assertEquals("mbr", table.scheme());
        assertEquals(List.of(), table.partitions());
        assertTrue(table.remarks().get(0).startsWith("The MBR lists no partitions"));
    }

    @Test
    void entryWithoutLengthIsUnused() throws IOException {
        assertEquals(List.of("2:2048+100"), summary(read(disk().mbr(0, 0x83, 2048, 0).mbr(1, 0x83, 2048, 100))));
    }

    @Test
    void entryMarkedUnusedWithALengthIsRefused() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0, 2048, 100).mbr(1, 0x83, 4096, 100));
        assertEquals(List.of("1:2048+100!", "2:4096+100"), summary(table));
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void insaneStatusBesideAPlausibleEntryIsCorrupt() {
        TestDisk disk = disk().mbr(0, 0x83, 2048, 100).mbrEntry(0, 3, 0x13, 0x83, 4096, 100);
        CorruptException e = assertThrows(CorruptException.class, () -> read(disk));
        assertTrue(e.reason().contains("status") && e.reason().contains("0x13"), e.reason());
    }

    @Test
    void bootCodeWithTheMarkIsNoTable() throws IOException {
        TestDisk disk = disk();
        for (int i = 0; i < 510; i++) {
            disk.u8(i, 'x');
        }
        assertEquals("none", read(disk.u8(510, 0x55).u8(511, 0xAA)).scheme());
    }

    @Test
    void partitionPastTheEndIsRefused() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0x83, 2048, 100).mbr(1, 0x83, 32000, 1000));
        assertEquals(List.of("1:2048+100", "2:32000+1000!"), summary(table));
        assertTrue(refusal(table, 1).contains("past the end of the disk"));
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void partitionThatEndsWithTheDiskIsNotRefused() throws IOException {
        assertEquals(List.of("1:2048+30721"), summary(read(disk().mbr(0, 0x83, 2048, 30721))));
    }

    @Test
    void overlappingPartitionsAreBothRefused() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0x83, 2048, 4096).mbr(1, 0x83, 6143, 100).mbr(2, 0x83, 10000, 100));
        assertEquals(List.of("1:2048+4096!", "2:6143+100!", "3:10000+100"), summary(table));
        assertTrue(refusal(table, 0).contains("overlaps partition 2") && refusal(table, 1).contains("overlaps partition 1"));
    }

    @Test
    void overlapsInTheShadowOfALongPartitionAreFound() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0x83, 2048, 20000).mbr(1, 0x83, 3000, 10).mbr(2, 0x83, 4000, 10)
                .mbr(3, 0x83, 22047, 5));
        assertEquals(List.of("1:2048+20000!", "2:3000+10!", "3:4000+10!", "4:22047+5!"), summary(table));
    }

    @Test
    void partitionOverTheTableIsRefused() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0xA5, 0, 5000));
        assertEquals(List.of("1:0+5000!"), summary(table));
        assertTrue(refusal(table, 0).contains("covers a part of the partition table"));
    }

    @Test
    void dynamicDiskIsRefusedByType() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0x42, 63, 20000).ntfs(63 * 512, 512));
        assertTrue(refusal(table, 0).contains("dynamic disk"));
    }

    // Logical partitions.

    /** Extended partition at 4096, 20000 sectors; logical ones at 4196+1000 and 6144+2000. */
    private static TestDisk withLogicals(int extendedType) {
        return disk().mbr(0, 0x83, 2048, 2048).mbr(1, extendedType, 4096, 20000)
                .mbrEntry(4096, 0, 0, 0x83, 100, 1000).mbrEntry(4096, 1, 0, 0x05, 2000, 4000)
                .mbrEntry(6096, 0, 0, 0x07, 48, 2000);
    }

    @ParameterizedTest
    @ValueSource(ints = {0x05, 0x0F, 0x85})
    void followsTheChainWithBothBases(int extendedType) throws IOException {
        assertEquals(List.of("1:2048+2048", "5:4196+1000", "6:6144+2000"), summary(read(withLogicals(extendedType))));
    }

    @Test
    void ebrWithoutPartitionTakesNoNumber() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0x05, 4096, 20000).mbrEntry(4096, 1, 0, 0x05, 2000, 4000)
                .mbrEntry(6096, 0, 0, 0x83, 48, 2000));
        assertEquals(List.of("5:6144+2000"), summary(table));
    }

    private static void assertChainRefused(TestDisk disk, String reason) throws IOException {
        PartitionTable table = read(disk);
        assertEquals(List.of("1:2048+2048"), summary(table).subList(0, 1), "the primary partition stays");
        assertTrue(table.partitions().stream().skip(1).allMatch(p -> p.refusal().orElse("").contains(reason)),
                table.partitions().toString());
        assertTrue(table.remarks().get(0).contains(reason), table.remarks().toString());
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void chainInACircleEndsAndIsRefused() throws IOException {
        assertChainRefused(withLogicals(5).mbrEntry(6096, 1, 0, 0x05, 0, 4000), "circle");
        assertChainRefused(withLogicals(5).mbrEntry(6096, 1, 0, 0x05, 2000, 4000), "circle");
    }

    @Test
    void endlessChainIsBounded() throws IOException {
        TestDisk disk = disk().mbr(0, 0x83, 2048, 2048).mbr(1, 0x05, 4096, 20000);
        for (int i = 0; i < 300; i++) {
            disk.mbrEntry(4096 + 2 * i, 0, 0, 0x83, 1, 1).mbrEntry(4096 + 2 * i, 1, 0, 0x05, 2 * (i + 1), 2);
        }
        assertChainRefused(disk, "more than 256 links");
    }

    @Test
    void chainIntoAnEmptySectorIsRefused() throws IOException {
        assertChainRefused(withLogicals(5).mbrEntry(6096, 1, 0, 0x05, 9000, 4000), "no table at sector 13096");
    }

    @Test
    void chainWithoutFirstEbrIsRefused() throws IOException {
        assertChainRefused(withLogicals(5).u16(4096 * 512 + 510, 0), "no table at sector 4096");
    }

    @Test
    void ebrWithInsaneStatusIsRefused() throws IOException {
        assertChainRefused(withLogicals(5).mbrEntry(6096, 2, 0x33, 0, 0, 0), "no table at sector 6096");
    }

    @Test
    void chainOutOfTheExtendedPartitionIsRefused() throws IOException {
        assertChainRefused(withLogicals(5).mbrEntry(6096, 1, 0, 0x05, 20000, 4000), "out of the extended partition");
    }

    @Test
    void ebrWithTwoPartitionsIsRefused() throws IOException {
        assertChainRefused(withLogicals(5).mbrEntry(6096, 2, 0, 0x83, 4000, 10), "more than one partition");
    }

    @Test
    void ebrWithTwoLinksIsRefused() throws IOException {
        assertChainRefused(withLogicals(5).mbrEntry(4096, 2, 0, 0x05, 3000, 10), "and one link");
    }

    @Test
    void logicalPartitionOutOfItsContainerIsRefused() throws IOException {
        PartitionTable table = read(withLogicals(5).mbrEntry(6096, 0, 0, 0x83, 48, 20000));
        assertEquals(List.of("1:2048+2048", "5:4196+1000", "6:6144+20000!"), summary(table));
        assertTrue(refusal(table, 2).contains("out of its extended partition"));
    }

    @Test
    void logicalPartitionOverItsOwnEbrIsRefused() throws IOException {
        assertTrue(refusal(read(withLogicals(5).mbrEntry(6096, 0, 0, 0x83, 0, 100)), 2).contains("its own entry"));
    }

    @Test
    void logicalPartitionOverAnotherEbrIsRefused() throws IOException {
        PartitionTable table = read(withLogicals(5).mbrEntry(4096, 0, 0, 0x83, 100, 1901));
        assertEquals(List.of("1:2048+2048", "5:4196+1901!", "6:6144+2000"), summary(table));
    }

    @Test
    void primaryPartitionOverTheExtendedOneIsRefused() throws IOException {
        PartitionTable table = read(withLogicals(5).mbr(0, 0x83, 2048, 2049));
        assertTrue(refusal(table, 0).contains("overlaps the extended partition"));
    }

    @Test
    void extendedPartitionPastTheEndIsNotFollowed() throws IOException {
        PartitionTable table = read(withLogicals(5).mbr(1, 0x05, 4096, 40000));
        assertEquals(List.of("1:2048+2048"), summary(table));
        assertTrue(table.remarks().get(0).contains("past the end"));
    }

    // Boot sectors against tables.

    @Test
    void ntfsBootSectorIsNoTable() throws IOException {
        assertEquals("none", read(disk().ntfs(0, 512)).scheme());
    }

    @Test
    void fatBootSectorWithADummyEntryFromSectorZeroIsNoTable() throws IOException {
        assertEquals("none", read(fat(disk()).mbrEntry(0, 0, 0x80, 0x0C, 0, 32768)).scheme());
    }

    @Test
    void bootSectorWithARealTableIsRefused() {
        UnsupportedException e = assertThrows(UnsupportedException.class,
                () -> read(fat(disk()).mbr(0, 0x83, 2048, 4096)));
        assertTrue(e.reason().contains("vfat") && e.reason().contains("MBR"), e.reason());
        assertThrows(UnsupportedException.class, () -> read(disk().ntfs(0, 512).mbr(0, 0x83, 2048, 4096)));
    }

    static TestDisk fat(TestDisk disk) {
        return disk.text(0, "\u00eb<\u0090MSDOS5.0").u16(11, 512).u8(13, 4).u16(14, 1).u8(16, 2).u16(17, 512).u16(19, 30000)
                .u8(21, 0xF8).u16(22, 32).text(54, "FAT16   ").u8(510, 0x55).u8(511, 0xAA);
    }

    // Gaps.

    @Test
    void gapsLieBehindTheFirstPartitionAndBeforeTheLastMebibyte() throws IOException {
        PartitionTable table = read(disk().mbr(0, 0x83, 8192, 2048).mbr(1, 0x83, 2048, 4096));
        long end = 15L * MIB + 512;
        assertEquals(ExtentSet.of(new Extent(6144 * 512, 2048 * 512), new Extent(10240 * 512, end - 10240 * 512)),
                table.gaps());
    }

    @Test
    void gapsLeaveOutEbrsAndTheRoomBehindThem() throws IOException {
        PartitionTable table = read(withLogicals(5));
        ExtentSet gaps = table.gaps();
        assertEquals(ExtentSet.of(new Extent(5196 * 512, 900 * 512), new Extent(8144 * 512, 15L * MIB + 512 - 8144 * 512)),
                gaps);
    }

    @Test
    void partitionInTheLastMebibyteLeavesNoGap() throws IOException {
        assertTrue(read(disk().mbr(0, 0x83, 31000, 100)).gaps().isEmpty());
    }
}
