package io.lacuna.partition;

import io.lacuna.blockio.ExtentSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * What a table says, before its partitions are held against each other and the disk.
 *
 * @param tables bytes of the table itself, which no partition may cover
 * @param kept further bytes that are no gap: boot loaders may live there
 * @param end first byte behind what partitions may use
 * @param inDoubt whether something about the table is odd, so that nothing outside of its partitions may be called a gap
 */
record Layout(String scheme, List<Partition> partitions, ExtentSet tables, ExtentSet kept, long end,
        boolean inDoubt, List<String> remarks) {

    /**
     * Left alone at the end of every disk, in bytes: RAID members, LDM and other owners of whole disks keep their own data
     * there, not all of them with a signature. LDM's megabyte is the largest known. Ours.
     */
    static final long DISK_END_MARGIN = 1 << 20;

    /** @return the same with every partition refused for this reason */
    Layout refused(String sentence) {
        return new Layout(scheme, partitions.stream().map(partition -> partition.refused(sentence)).toList(), tables,
                kept, end, true, remarks);
    }

    /** @return the same with each partition refused that is not wholly on the disk, or shares a byte with another or the table */
    Layout checked(long diskSize) {
        Partition[] checked = partitions.toArray(Partition[]::new);
        for (int i = 0; i < checked.length; i++) {
            Partition partition = checked[i];
            if (partition.length() <= 0) {
                checked[i] = partition.refused("it ends before it starts: the partition table is wrong");
            } else if (partition.offset() > diskSize || partition.length() > diskSize - partition.offset()) {
                checked[i] = partition.refused("it reaches past the end of the disk: the image may have been cut short");
            } else if (tables.intersects(partition.offset(), partition.length())) {
                checked[i] = partition.refused("it covers a part of the partition table");
            }
        }
        refuseOverlaps(checked);
        return new Layout(scheme, Arrays.asList(checked), tables, kept, end, inDoubt, remarks);
    }

    /**
     * Sweeps in order of offset and compares with the one that reaches furthest so far. That finds all: two that overlap
     * a third behind it also overlap each other, so the shorter of them was marked before.
     */
    private static void refuseOverlaps(Partition[] partitions) {
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < partitions.length; i++) {
            if (partitions[i].length() > 0) {
                order.add(i);
            }
        }
        order.sort((one, other) -> Long.compare(partitions[one].offset(), partitions[other].offset()));
        int furthest = -1;
        for (int current : order) {
            if (furthest >= 0 && partitions[current].offset() < partitions[furthest].end()) {
                partitions[current] = partitions[current].refused(overlap(partitions[furthest]));
                partitions[furthest] = partitions[furthest].refused(overlap(partitions[current]));
            }
            if (furthest < 0 || partitions[current].end() > partitions[furthest].end()) {
                furthest = current;
            }
        }
    }

    private static String overlap(Partition other) {
        return "it overlaps partition " + other.index() + ": the partition table is wrong";
    }

    /** @return the bytes from the first partition on that no partition and no table owns; nothing if anything is in doubt */
    ExtentSet gaps(long diskSize) {
        Optional<Partition> first = partitions.stream().min((one, other) -> Long.compare(one.offset(), other.offset()));
        boolean refused = partitions.stream().anyMatch(partition -> partition.refusal().isPresent());
        long last = Math.min(end, diskSize - DISK_END_MARGIN);
        if (inDoubt || refused || first.isEmpty() || last <= first.get().offset()) {
            return ExtentSet.EMPTY;
        }
        ExtentSet.Builder owned = ExtentSet.builder().addAll(tables).addAll(kept);
        partitions.forEach(partition -> owned.add(partition.offset(), partition.length()));
        return ExtentSet.ofRange(first.get().offset(), last - first.get().offset()).minus(owned.build());
    }
}
