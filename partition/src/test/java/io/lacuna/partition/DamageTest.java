package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;

/** Every prefix and every changed byte of a table gives a table or a {@link DiskFormatException}, and quickly. */
class DamageTest {

    private static final int SIZE = 128 << 10;
    private static final Duration LIMIT = Duration.ofSeconds(60);

    private static TestDisk gpt(int sectorSize) {
        int first = sectorSize == 512 ? 64 : 16;
        return new TestDisk(SIZE, sectorSize).gpt(8, 128).gptEntry(1, TestDisk.LINUX, first, first + 3)
                .gptEntry(3, TestDisk.BASIC_DATA, first + 4, first + 7);
    }

    private static TestDisk mbr() {
        return TestDisk.ofSize(SIZE).mbr(0, 0x83, 8, 56).mbr(1, 0x05, 64, 190).mbrEntry(64, 0, 0, 0x83, 8, 40)
                .mbrEntry(64, 1, 0, 0x05, 100, 90).mbrEntry(164, 0, 0, 0x07, 8, 40);
    }

    /** @return what came of it; null for a table that is refused as a whole */
    private static PartitionTable read(byte[] disk) throws IOException {
        try {
            PartitionTable table = PartitionTable.read(new ByteArraySource(disk));
            for (Partition partition : table.partitions()) {
                assertTrue(partition.refusal().isPresent() || partition.offset() >= 0 && partition.length() >= 0
                        && partition.offset() + partition.length() <= disk.length, partition.toString());
            }
            table.gaps().forEach(gap -> assertTrue(gap.end() <= disk.length));
            return table;
        } catch (DiskFormatException expected) {
            return null;
        }
    }

    @Test
    void cutAnywhere() {
        assertTimeoutPreemptively(LIMIT, () -> {
            for (TestDisk disk : List.of(gpt(512), gpt(4096), mbr())) {
                for (int length = 0; length < SIZE; length += length < 2100 ? 5 : 2039) {
                    read(Arrays.copyOf(disk.bytes.array(), length));
                }
            }
        });
    }

    private static void flipAll(TestDisk disk, int[] sectors, boolean checksummed) {
        assertTimeoutPreemptively(LIMIT, () -> {
            Set<String> sound = new HashSet<>();
            for (Partition partition : read(disk.bytes.array()).partitions()) {
                assertTrue(partition.refusal().isEmpty(), partition.toString());
                sound.add(partition.offset() + "+" + partition.length());
            }
            for (int sector : sectors) {
                for (int i = 0; i < disk.sectorSize; i++) {
                    for (int flip : new int[] {0xFF, 0x01}) {
                        byte[] bytes = disk.bytes.array();
                        int at = sector * disk.sectorSize + i;
                        bytes[at] ^= (byte) flip;
                        PartitionTable table = read(bytes);
                        bytes[at] ^= (byte) flip;
                        if (checksummed && table != null) {
                            assertEquals(sound.size(), table.partitions().stream().filter(p -> p.refusal().isEmpty()
                                    && sound.contains(p.offset() + "+" + p.length())).count(), "byte " + i + " of " + sector);
                        }
                    }
                }
            }
        });
    }

    @Test
    void flippedByteInOneCopyOfAGptChangesNothing() {
        TestDisk small = gpt(512);
        flipAll(small, new int[] {1, 2, 3, small.sectors() - 1, small.sectors() - 2, small.sectors() - 3}, true);
        TestDisk large = gpt(4096);
        flipAll(large, new int[] {1, large.sectors() - 1}, true);
    }

    @Test
    void flippedByteInAnMbrOrEbr() {
        flipAll(mbr(), new int[] {0, 64, 164}, false);
        flipAll(gpt(512), new int[] {0}, false);
    }

    @Test
    void signaturesOfAnyLengthAndContent() {
        assertTimeoutPreemptively(LIMIT, () -> {
            byte[] ones = new byte[200 << 10];
            Arrays.fill(ones, (byte) 0xFF);
            for (byte[] content : List.of(new byte[200 << 10], ones)) {
                for (int length = 0; length <= content.length; length += length < 1100 ? 7 : 4093) {
                    assertEquals(List.of(), VolumeSignatures.scan(new ByteArraySource(Arrays.copyOf(content, length))));
                }
            }
        });
    }
}
