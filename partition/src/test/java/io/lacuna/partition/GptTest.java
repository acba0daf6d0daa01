package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class GptTest {

    private static final int MIB = 1 << 20;

    private static TestDisk disk() {
        return new TestDisk(8 * MIB, 512).gpt().gptEntry(1, TestDisk.LINUX, 2048, 4095)
                .gptEntry(2, TestDisk.BASIC_DATA, 8192, 10239);
    }

    private static PartitionTable read(TestDisk disk) throws IOException {
        return PartitionTable.read(disk.source());
    }

    private static List<String> summary(PartitionTable table) {
        return table.partitions().stream().map(p -> p.index() + ":" + p.offset() / 512 + "+" + p.length() / 512
                + (p.refusal().isPresent() ? "!" : "")).toList();
    }

    private static void assertSound(PartitionTable table) {
        assertEquals("gpt", table.scheme());
        assertEquals(List.of("1:2048+2048", "2:8192+2048"), summary(table));
    }

    private static void assertAllRefused(PartitionTable table, String reason) {
        assertEquals(2, table.partitions().size());
        assertTrue(table.partitions().stream().allMatch(p -> p.refusal().orElse("").contains(reason)),
                table.partitions().toString());
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void readsEntries() throws IOException {
        PartitionTable table = read(disk());
        assertSound(table);
        assertEquals("Linux filesystem", table.partitions().get(0).typeName());
        assertEquals(TestDisk.BASIC_DATA, table.partitions().get(1).type());
        assertEquals(List.of(), table.remarks());
        assertEquals(ExtentSet.of(new Extent(2 * MIB, 2 * MIB), new Extent(5 * MIB, 2 * MIB)), table.gaps());
    }

    @ParameterizedTest
    @CsvSource({"512, 128, 128", "512, 4, 256", "512, 128, 1024", "512, 1, 136", "4096, 128, 128", "4096, 30, 256"})
    void readsOtherSectorAndEntrySizes(int sectorSize, int count, int entrySize) throws IOException {
        TestDisk disk = new TestDisk(4 * MIB, sectorSize).gpt(count, entrySize);
        long first = disk.bytes.getLong(sectorSize + 40);
        long last = disk.bytes.getLong(sectorSize + 48);
        disk.gptEntry(count, TestDisk.LINUX, first, last);
        Partition partition = read(disk).partitions().get(0);
        assertEquals(new Partition(count, first * sectorSize, (last - first + 1) * sectorSize, TestDisk.LINUX,
                "Linux filesystem", partition.refusal()), partition);
        assertTrue(partition.refusal().isEmpty());
    }

    // One negative test per check. Each breaks both copies, one after the other, so that the other copy must be used or missed.

    /** @param said by the check that is to notice it */
    private static Arguments damage(String name, String said, Consumer<Damage> damage) {
        return Arguments.of(name, said, damage);
    }

    /** @param at byte of the header in this sector */
    private record Damage(TestDisk disk, int sector, int at) {

        void u32(int offset, long value) {
            disk.u32(at + offset, value).sealHeader(sector);
        }

        void u64(int offset, long value) {
            disk.u64(at + offset, value).sealHeader(sector);
        }
    }

    static Stream<Arguments> damages() {
        return Stream.of(
                damage("signature", "signature", d -> d.disk.u8(d.at, 'e').sealHeader(d.sector)),
                damage("header CRC", "GPT header: CRC", d -> d.disk.u8(d.at + 60, 0x13)),
                damage("header size too small", "GPT header: size", d -> d.disk.u32(d.at + 12, 91).sealHeader(d.sector)),
                damage("header size too large", "GPT header: size", d -> d.disk.u32(d.at + 12, 513)),
                damage("header size negative", "GPT header: size", d -> d.disk.u32(d.at + 12, 0xFFFF_FFFFL)),
                damage("own sector", "its own sector", d -> d.u64(24, 5)),
                damage("own sector unsigned", "64-bit field", d -> d.u64(24, -1)),
                damage("alternate is itself", "sector of the other copy", d -> d.u64(32, d.sector)),
                damage("first usable is in the header", "first usable sector", d -> d.u64(40, 1)),
                damage("first usable behind the last", "first usable sector", d -> d.u64(40, 9_000_000)),
                damage("last usable behind the disk", "last usable sector", d -> d.u64(48, 16384)),
                damage("last usable unsigned", "64-bit field", d -> d.u64(48, Long.MIN_VALUE)),
                damage("array over the MBR", "place of the entries", d -> d.u64(72, 0)),
                damage("array in the usable part", "place of the entries", d -> d.u64(72, 5000)),
                damage("array behind the disk", "place of the entries", d -> d.u64(72, Long.MAX_VALUE)),
                damage("array unsigned", "64-bit field", d -> d.u64(72, Long.MIN_VALUE)),
                damage("no entries", "number of entries", d -> d.u32(80, 0)),
                damage("entry size below 128", "size of an entry", d -> d.u32(84, 64)),
                damage("entry size no multiple of 8", "size of an entry", d -> d.u32(84, 132)),
                damage("array larger than its place", "place of the entries", d -> d.u32(84, 256)),
                damage("array CRC", "GPT entries: CRC", d -> d.u32(88, 1)),
                damage("entry", "GPT entries: CRC", d -> d.disk.u8(d.disk.entryAt(d.sector, 2) + 60, 'x')));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("damages")
    void damagedPrimaryGivesTheBackup(String name, String said, Consumer<Damage> damage) throws IOException {
        TestDisk disk = disk();
        damage.accept(new Damage(disk, 1, 512));
        PartitionTable table = read(disk);
        assertSound(table);
        assertEquals(List.of("The primary GPT is damaged; the backup copy was used."), table.remarks());
        assertTrue(table.gaps().isEmpty());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("damages")
    void damagedBackupGivesThePrimary(String name, String said, Consumer<Damage> damage) throws IOException {
        TestDisk disk = disk();
        damage.accept(new Damage(disk, disk.backupSector(), disk.backupSector() * 512));
        PartitionTable table = read(disk);
        assertSound(table);
        assertEquals(List.of("The backup GPT is missing or damaged; the primary copy was used."), table.remarks());
        assertTrue(table.gaps().isEmpty());
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("damages")
    void bothDamagedIsCorrupt(String name, String said, Consumer<Damage> damage) {
        TestDisk disk = disk();
        damage.accept(new Damage(disk, 1, 512));
        damage.accept(new Damage(disk, disk.backupSector(), disk.backupSector() * 512));
        CorruptException e = assertThrows(CorruptException.class, () -> read(disk));
        assertTrue(e.reason().startsWith("both copies of the GPT are damaged"), e.reason());
        assertTrue(e.reason().matches("(?s).*first copy: [^;]*" + said + ".*second copy: .*" + said + ".*"), e.reason());
    }

    @Test
    void backupThatBelongsToAnotherPrimaryDoesNotCount() throws IOException {
        TestDisk disk = disk();
        int at = disk.backupSector() * 512;
        disk.u64(at + 32, 7).sealHeader(disk.backupSector());
        PartitionTable table = read(disk);
        assertSound(table);
        assertEquals(List.of("The backup GPT is missing or damaged; the primary copy was used."), table.remarks());
        disk.u8(512, 'e');
        CorruptException e = assertThrows(CorruptException.class, () -> read(disk));
        assertTrue(e.reason().contains("sector of the other copy"), e.reason());
    }

    @Test
    void protectiveMbrWithoutAnyGptIsCorrupt() {
        assertThrows(CorruptException.class, () -> read(new TestDisk(MIB, 512).protectiveMbr()));
        assertThrows(CorruptException.class, () -> read(new TestDisk(1024, 512).protectiveMbr()));
    }

    @Test
    void tooManyEntriesAreUnsupportedBeforeTheyAreRead() {
        TestDisk disk = disk();
        disk.u32(512 + 80, 0xFFFF_FFFFL).sealHeader(1);
        assertThrows(UnsupportedException.class, () -> read(disk));
        disk.u32(512 + 80, GptHeader.MAX_ARRAY_SIZE / 128 + 1).sealHeader(1);
        DiskFormatException e = assertThrows(UnsupportedException.class, () -> read(disk));
        assertTrue(e.reason().contains("entries"), e.reason());
    }

    @Test
    void unknownRevisionIsUnsupported() {
        TestDisk disk = disk();
        disk.u32(512 + 8, 0x00020000).sealHeader(1);
        assertThrows(UnsupportedException.class, () -> read(disk));
    }

    // Trap: both copies good, and different.

    @Test
    void copiesThatDifferRefuseEverything() throws IOException {
        TestDisk entry = disk();
        entry.gptEntry(entry.backupSector(), 2, TestDisk.BASIC_DATA, 8192, 10238).seal();
        assertAllRefused(read(entry), "say different things");
        TestDisk guid = disk();
        guid.u8(512 + 56, 0x12).seal();
        assertAllRefused(read(guid), "say different things");
        TestDisk usable = disk();
        usable.u64(512 + 40, 40).seal();
        assertAllRefused(read(usable), "say different things");
    }

    // Trap: overlap, ranges.

    @Test
    void overlappingEntriesAreRefused() throws IOException {
        PartitionTable table = read(disk().gptEntry(5, TestDisk.LINUX, 4095, 5000));
        assertEquals(List.of("1:2048+2048!", "2:8192+2048", "5:4095+906!"), summary(table));
    }

    @Test
    void entriesOutOfTheUsableRangeAreRefused() throws IOException {
        PartitionTable table = read(disk().gptEntry(3, TestDisk.LINUX, 33, 100).gptEntry(4, TestDisk.LINUX, 16000, 16351)
                .gptEntry(6, TestDisk.LINUX, 16000, 1L << 60).gptEntry(7, TestDisk.LINUX, -5, -1)
                .gptEntry(8, TestDisk.LINUX, 300, 299).gptEntry(9, TestDisk.LINUX, 0, Long.MAX_VALUE));
        assertEquals(8, table.partitions().size());
        assertTrue(table.partitions().stream().allMatch(p -> p.refusal().isPresent()));
        assertTrue(table.gaps().isEmpty());
        for (Partition partition : table.partitions()) {
            assertTrue(partition.offset() >= 0 && partition.length() >= 0 && partition.end() >= 0, partition.toString());
        }
    }

    @ParameterizedTest
    @CsvSource({"33, 100", "16000, 16351"})
    void anEntryOutOfTheUsableRangeIsRefusedForThat(long first, long last) throws IOException {
        PartitionTable table = read(disk().gptEntry(3, TestDisk.LINUX, first, last));
        String refusal = table.partitions().get(2).refusal().orElse("");
        assertTrue(refusal.contains("usable part of the disk"), refusal);
        assertTrue(table.partitions().get(0).refusal().isEmpty());
    }

    @ParameterizedTest
    @CsvSource({"5808c8aa-7e8f-42e0-85d2-e1e90434cfb3, dynamic disk", "af9b60a0-1431-4f62-bc68-3311714a69ad, dynamic disk",
        "e75caf8f-f680-4cee-afa3-b001e56efc2d, Storage Spaces"})
    void poolsOfWindowsAreRefusedByType(String type, String reason) throws IOException {
        PartitionTable table = read(disk().gptEntry(3, type, 12000, 13000).ntfs(12000 * 512, 512));
        assertEquals(List.of("1:2048+2048", "2:8192+2048", "3:12000+1001!"), summary(table));
        assertTrue(table.partitions().get(2).refusal().orElse("").contains(reason));
        assertTrue(table.gaps().isEmpty());
    }

    // The disk became larger or smaller.

    private static TestDisk resized(TestDisk disk, int size) {
        TestDisk resized = new TestDisk(size, disk.sectorSize);
        resized.bytes.put(0, Arrays.copyOf(disk.bytes.array(), size));
        return resized;
    }

    @Test
    void grownDiskKeepsItsTableAndSaysSo() throws IOException {
        PartitionTable table = read(resized(disk(), 12 * MIB));
        assertSound(table);
        assertTrue(table.remarks().get(0).contains("made larger"), table.remarks().toString());
        assertEquals(ExtentSet.of(new Extent(2 * MIB, 2 * MIB), new Extent(5 * MIB, (16384 - 33) * 512L - 5 * MIB)),
                table.gaps(), "what was added belongs to nobody yet");
    }

    @Test
    void grownDiskWithAnotherGptAtItsEndIsRefused() throws IOException {
        TestDisk grown = resized(disk(), 12 * MIB);
        TestDisk other = new TestDisk(12 * MIB, 512).gpt().gptEntry(1, TestDisk.LINUX, 4000, 5000);
        grown.bytes.put(12 * MIB - 33 * 512, other.bytes, 12 * MIB - 33 * 512, 33 * 512);
        assertAllRefused(read(grown), "say different things");
    }

    @Test
    void grownDiskWithDamagedPrimaryIsCorrupt() {
        TestDisk grown = resized(disk(), 12 * MIB);
        grown.u8(600, 1);
        assertThrows(CorruptException.class, () -> read(grown));
    }

    @Test
    void diskCutShortIsCorrupt() {
        assertThrows(CorruptException.class, () -> read(resized(disk(), 7 * MIB)));
    }

    // Two tables at once.

    @Test
    void gptWithoutProtectiveMbrIsRefused() {
        TestDisk blank = disk();
        blank.bytes.put(0, new byte[512]);
        assertTrue(assertThrows(UnsupportedException.class, () -> read(blank)).reason().contains("no protective MBR"));
        TestDisk mbr = disk();
        mbr.bytes.put(0, new byte[512]);
        mbr.mbr(0, 0x83, 2048, 4096);
        assertThrows(UnsupportedException.class, () -> read(mbr));
        TestDisk wrongStart = disk().mbr(0, 0xEE, 2, 1000);
        assertThrows(UnsupportedException.class, () -> read(wrongStart));
    }

    @Test
    void backupLeftBehindAnMbrIsIgnored() throws IOException {
        TestDisk disk = disk();
        disk.bytes.put(0, new byte[34 * 512]);
        disk.mbr(0, 0x83, 2048, 10000).ext(2048 * 512);
        PartitionTable table = read(disk);
        assertEquals("mbr", table.scheme());
        assertEquals(List.of("1:2048+10000"), summary(table));
        assertTrue(table.remarks().get(0).contains("old backup GPT"));
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void backupLeftBehindAFileSystemIsIgnored() throws IOException {
        TestDisk disk = disk();
        disk.bytes.put(0, new byte[34 * 512]);
        PartitionTable table = read(disk.ext(0));
        assertEquals("none", table.scheme());
        assertTrue(table.remarks().get(0).contains("old backup GPT"));
    }

    @Test
    void gptAndBootSectorInOneAreRefused() {
        TestDisk disk = MbrTest.fat(disk());
        assertTrue(assertThrows(UnsupportedException.class, () -> read(disk)).reason().contains("vfat"));
    }

    @Test
    void tablesForBothSectorSizesAreRefused() {
        TestDisk large = new TestDisk(8 * MIB, 4096).gpt().gptEntry(1, TestDisk.LINUX, 256, 511);
        TestDisk small = new TestDisk(8 * MIB, 512).gpt(4, 128);
        large.bytes.put(512, small.bytes, 512, 1024);
        assertTrue(assertThrows(UnsupportedException.class, () -> read(large)).reason().contains("two GPTs"));
    }

    // Trap: hybrid MBR.

    @Test
    void hybridMbrThatAgreesIsRemarked() throws IOException {
        PartitionTable table = read(disk().mbr(1, 0x83, 2048, 2048));
        assertSound(table);
        assertEquals(List.of("Hybrid MBR: the GPT counts."), table.remarks());
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void hybridMbrThatDisagreesRefusesWhatItCovers() throws IOException {
        PartitionTable table = read(disk().mbr(1, 0x83, 2048, 2049).mbr(2, 0x07, 8192, 2048));
        assertEquals(List.of("1:2048+2048!", "2:8192+2048"), summary(table));
        assertTrue(table.partitions().get(0).refusal().orElse("").contains("hybrid MBR"));
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void readsFewBytes() throws IOException {
        byte[] bytes = disk().bytes.array();
        long[] read = {0};
        PartitionTable.read(new io.lacuna.blockio.BlockSource() {
            @Override
            public long size() {
                return bytes.length;
            }

            @Override
            public void read(long offset, java.nio.ByteBuffer target) throws IOException {
                read[0] += target.remaining();
                new ByteArraySource(bytes).read(offset, target);
            }
        });
        assertTrue(read[0] < 64 << 10, read[0] + " bytes");
    }
}
