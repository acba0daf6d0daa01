package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import org.junit.jupiter.api.Test;

/** An MBR whose partitions fit on the disk with sectors of 512 and of 4096 bytes: only what stands there can tell. */
class MbrSectorSizeTest {

    private static final int MIB = 1 << 20;
    private static final int START = 256;
    private static final int COUNT = 512;

    private static TestDisk disk() {
        return TestDisk.ofSize(8 * MIB).mbr(0, 0x83, START, COUNT);
    }

    private static void assertTold(int sectorSize, TestDisk disk) throws IOException {
        Partition partition = PartitionTable.read(disk.source()).partitions().get(0);
        assertTrue(partition.refusal().isEmpty(), partition.toString());
        assertEquals((long) START * sectorSize, partition.offset());
        assertEquals((long) COUNT * sectorSize, partition.length());
    }

    private static void assertRefused(TestDisk disk) throws IOException {
        PartitionTable table = PartitionTable.read(disk.source());
        assertTrue(table.partitions().stream().allMatch(p -> p.refusal().orElse("").contains("512 or 4096")),
                table.partitions().toString());
        assertTrue(table.gaps().isEmpty());
    }

    @Test
    void fileSystemAtTheStartTells() throws IOException {
        assertTold(512, disk().ext(START * 512));
        assertTold(4096, disk().ext(START * 4096));
        assertTold(512, disk().text(START * 512, "XFSB"));
        assertTold(4096, disk().text(START * 4096, "XFSB"));
    }

    @Test
    void unformattedOrBothIsRefused() throws IOException {
        assertRefused(disk());
        assertRefused(disk().ext(START * 512).ext(START * 4096));
    }

    @Test
    void bootSectorMustHaveTheSameSectorSize() throws IOException {
        assertTold(4096, disk().ntfs(START * 4096, 4096));
        assertTold(512, disk().ntfs(START * 512, 512));
        assertRefused(disk().ntfs(START * 4096, 512));
        assertRefused(disk().ntfs(START * 512, 4096));
    }

    @Test
    void superblockCopyInsideAnExtFileSystemIsNoStart() throws IOException {
        assertRefused(disk().ext(START * 512).u16(START * 512 + 1024 + 90, 1));
    }

    @Test
    void ebrTells() throws IOException {
        TestDisk disk = new TestDisk(8 * MIB, 4096).mbr(0, 0x05, START, COUNT).mbrEntry(START, 0, 0, 0x83, 16, 100);
        Partition logical = PartitionTable.read(disk.source()).partitions().get(0);
        assertEquals(5, logical.index());
        assertEquals((START + 16) * 4096L, logical.offset());
        assertEquals(100 * 4096L, logical.length());
        assertTrue(logical.refusal().isEmpty());
    }

    @Test
    void layoutThatNeedsSmallSectorsIsNotInQuestion() throws IOException {
        TestDisk disk = TestDisk.ofSize(8 * MIB).mbr(0, 0x83, 2048, 8192);
        Partition partition = PartitionTable.read(disk.source()).partitions().get(0);
        assertEquals(2048 * 512L, partition.offset());
        assertTrue(partition.refusal().isEmpty());
    }
}
