package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;

/** Layouts without overlap come back as they were written; with one, exactly the partitions that take part are refused. */
class LayoutProperties {

    private static final int SIZE = 4 << 20;
    private static final int ODD_SIZE = SIZE + 512;

    /** Pairs of a gap before a partition and its length, in sectors. */
    @Provide
    Arbitrary<List<int[]>> layouts() {
        Arbitrary<Integer> gap = Arbitraries.integers().between(0, 300);
        Arbitrary<Integer> length = Arbitraries.integers().between(1, 700);
        return gap.flatMap(g -> length.map(l -> new int[] {g, l})).list().ofMinSize(1).ofMaxSize(20);
    }

    private static List<Extent> place(List<int[]> layout, long first, long last, int sectorSize, int extra, int most) {
        List<Extent> placed = new ArrayList<>();
        long next = first;
        for (int[] part : layout) {
            long start = next + part[0] + extra;
            if (start + part[1] - 1 > last || placed.size() == most) {
                break;
            }
            placed.add(new Extent(start * sectorSize, (long) part[1] * sectorSize));
            next = start + part[1];
        }
        return placed;
    }

    private static void assertRead(String scheme, List<Extent> expected, TestDisk disk) throws IOException {
        PartitionTable table = PartitionTable.read(disk.source());
        assertEquals(scheme, table.scheme());
        List<Extent> read = new ArrayList<>();
        for (Partition partition : table.partitions()) {
            assertTrue(partition.refusal().isEmpty(), partition.toString());
            read.add(new Extent(partition.offset(), partition.length()));
        }
        assertEquals(expected, read);
        ExtentSet gaps = table.gaps();
        for (Extent partition : expected) {
            assertTrue(!gaps.intersects(partition.offset(), partition.length()));
            assertTrue(gaps.isEmpty() || gaps.start(0) >= expected.get(0).offset());
        }
    }

    @Property(tries = 80)
    void gptComesBack(@ForAll("layouts") List<int[]> layout, @ForAll boolean large) throws IOException {
        int sectorSize = large ? 4096 : 512;
        TestDisk disk = new TestDisk(SIZE, sectorSize).gpt();
        long first = disk.bytes.getLong(sectorSize + 40);
        List<Extent> placed = place(layout, first, disk.bytes.getLong(sectorSize + 48), sectorSize, 0, 128);
        for (int i = 0; i < placed.size(); i++) {
            disk.gptEntry(i + 1, TestDisk.LINUX, placed.get(i).offset() / sectorSize,
                    placed.get(i).end() / sectorSize - 1);
        }
        assertRead("gpt", placed, disk);
    }

    @Property(tries = 80)
    void primaryPartitionsComeBack(@ForAll("layouts") List<int[]> layout) throws IOException {
        TestDisk disk = TestDisk.ofSize(ODD_SIZE);
        List<Extent> placed = place(layout, 1, disk.sectors() - 1, 512, 0, 4);
        for (int i = 0; i < placed.size(); i++) {
            disk.mbr(i, 0x83, placed.get(i).offset() / 512, placed.get(i).length() / 512);
        }
        assertRead("mbr", placed, disk);
    }

    @Property(tries = 80)
    void logicalPartitionsComeBack(@ForAll("layouts") List<int[]> layout) throws IOException {
        TestDisk disk = TestDisk.ofSize(ODD_SIZE);
        int container = 50;
        disk.mbr(2, 0x0F, container, disk.sectors() - container);
        List<Extent> placed = place(layout, container, disk.sectors() - 1, 512, 1, 100);
        int ebr = container;
        for (int i = 0; i < placed.size(); i++) {
            int start = (int) (placed.get(i).offset() / 512);
            disk.mbrEntry(ebr, 0, 0, 0x83, start - ebr, placed.get(i).length() / 512);
            if (i + 1 < placed.size()) {
                int next = (int) (placed.get(i).end() / 512);
                disk.mbrEntry(ebr, 1, 0, 0x05, next - container, 1);
                ebr = next;
            }
        }
        assertRead("mbr", placed, disk);
    }

    @Property(tries = 100)
    void exactlyTheOverlappingArePartsOfARefusal(@ForAll("layouts") List<int[]> layout) throws IOException {
        TestDisk disk = new TestDisk(SIZE, 512).gpt();
        List<Extent> all = new ArrayList<>();
        for (int[] part : layout) {
            // Anywhere: what was a gap is a position here.
            Extent extent = new Extent((34L + part[0] * 23L) * 512, part[1] * 512L);
            all.add(extent);
            disk.gptEntry(all.size(), TestDisk.LINUX, extent.offset() / 512, extent.end() / 512 - 1);
        }
        List<Partition> read = PartitionTable.read(disk.source()).partitions();
        for (int i = 0; i < all.size(); i++) {
            Extent mine = all.get(i);
            int at = i;
            boolean overlaps = all.stream().anyMatch(other -> other != all.get(at) && other.intersects(mine));
            boolean usable = mine.end() / 512 - 1 <= disk.bytes.getLong(512 + 48);
            assertEquals(overlaps || !usable, read.get(i).refusal().isPresent(), read.get(i).toString());
        }
    }
}
