package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * An extended partition: a chain of sectors (EBR) that look like an MBR, each with one logical partition and a link to the next.
 * The logical partition's start counts from its own EBR, the link's from the start of the extended partition.
 *
 * @param logicals in the order of the chain, numbered from the first index that was asked for
 * @param tables the sectors of the EBRs, in bytes
 * @param kept the room behind each EBR up to its logical partition, where boot loaders may live; in bytes
 * @param damage what is wrong with the chain, in a sentence; nothing in it can be trusted then
 */
record ExtendedPartition(List<Partition> logicals, ExtentSet tables, ExtentSet kept, Optional<String> damage) {

    /** Ours; Linux stops at 256 partitions of a disk in all. */
    private static final int MAX_LINKS = 256;
    /** Where an EBR has no logical partition, this much behind it is taken as its own: the usual alignment. Ours. */
    private static final long ALIGNMENT = 1 << 20;

    /**
     * @param start first sector of the extended partition, which lies on the disk
     * @param count its sectors
     * @param firstIndex number of its first logical partition
     */
    static ExtendedPartition read(BlockSource disk, DiskGeometry geometry, long start, long count, int firstIndex)
            throws IOException {
        Walk walk = new Walk(disk, geometry, start, count, firstIndex);
        String damage = walk.run();
        List<Partition> logicals = damage == null ? walk.logicals
                : walk.logicals.stream().map(logical -> logical.refused(damage)).toList();
        return new ExtendedPartition(List.copyOf(logicals), walk.tables.build(), walk.kept.build(),
                Optional.ofNullable(damage));
    }

    private static final class Walk {
        private final BlockSource disk;
        private final DiskGeometry geometry;
        private final long start;
        private final long count;
        private int nextIndex;
        private final List<Partition> logicals = new ArrayList<>();
        private final ExtentSet.Builder tables = ExtentSet.builder();
        private final ExtentSet.Builder kept = ExtentSet.builder();

        Walk(BlockSource disk, DiskGeometry geometry, long start, long count, int firstIndex) {
            this.disk = disk;
            this.geometry = geometry;
            this.start = start;
            this.count = count;
            this.nextIndex = firstIndex;
        }

        /** @return what is wrong with the chain; null if nothing. Ends because no EBR is visited twice, and after MAX_LINKS. */
        String run() throws IOException {
            Set<Long> visited = new HashSet<>();
            long ebr = start;
            for (int links = 0; links < MAX_LINKS; links++) {
                if (!visited.add(ebr)) {
                    return damaged("it runs in a circle");
                }
                if (!geometry.contains(ebr, 1)) {
                    return damaged("it leads behind the end of the disk");
                }
                Bytes sector = Bytes.read(disk, "EBR", geometry.bytes(ebr), Mbr.SIZE, ByteOrder.LITTLE_ENDIAN);
                Optional<Mbr> table = Mbr.parse(sector);
                if (table.isEmpty() || !table.get().hasSaneStatuses()) {
                    return damaged("there is no table at sector " + ebr);
                }
                List<Mbr.Entry> next = table.get().used().stream().filter(Mbr.Entry::isExtended).toList();
                List<Mbr.Entry> data = table.get().used().stream().filter(entry -> !entry.isExtended()).toList();
                if (next.size() > 1 || data.size() > 1) {
                    return damaged("the table at sector " + ebr + " has more than one partition and one link");
                }
                add(ebr, data);
                if (next.isEmpty()) {
                    return null;
                }
                long link = next.get(0).start();
                if (link >= count) {
                    return damaged("it leads out of the extended partition");
                }
                ebr = start + link;
            }
            return damaged("it has more than " + MAX_LINKS + " links");
        }

        private void add(long ebr, List<Mbr.Entry> data) {
            long ebrOffset = geometry.bytes(ebr);
            tables.add(ebrOffset, geometry.sectorSize());
            if (data.isEmpty()) {
                kept.add(ebrOffset, ALIGNMENT);
                return;
            }
            Mbr.Entry entry = data.get(0);
            long first = ebr + entry.start();
            if (entry.start() != 0) {
                kept.add(ebrOffset, geometry.bytes(entry.start()));
            }
            Partition partition = new Partition(nextIndex++, geometry.bytes(first), geometry.bytes(entry.count()),
                    PartitionTypes.mbrType(entry.type()), PartitionTypes.mbrName(entry.type()),
                    PartitionTypes.mbrRefusal(entry.type()));
            if (entry.start() == 0) {
                partition = partition.refused("it covers its own entry in the partition table");
            } else if (first + entry.count() > start + count) {
                partition = partition.refused("it reaches out of its extended partition: the partition table is wrong");
            }
            logicals.add(partition);
        }

        private static String damaged(String how) {
            return "the chain of logical partitions is damaged: " + how + "; repair the partition table in the guest";
        }
    }
}
