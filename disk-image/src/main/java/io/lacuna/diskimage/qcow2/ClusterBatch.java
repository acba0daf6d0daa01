package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.ExtentSet;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** Clusters that move together: all of them are copied before the first is mapped anew. */
final class ClusterBatch {

    private final long clusterSize;
    private long[] from = new long[64];
    private long[] to = new long[64];
    private long[] owner = new long[64];
    private int size;

    ClusterBatch(long clusterSize) {
        this.clusterSize = clusterSize;
    }

    /**
     * @param source byte of the file where the cluster lies
     * @param target byte of the file where it will
     * @param ownedBy index of what refers to it: a guest cluster, an L1 entry, a refcount table entry
     */
    void add(long source, long target, long ownedBy) {
        if (size == from.length) {
            from = Arrays.copyOf(from, 2 * size);
            to = Arrays.copyOf(to, 2 * size);
            owner = Arrays.copyOf(owner, 2 * size);
        }
        from[size] = source;
        to[size] = target;
        owner[size] = ownedBy;
        size++;
    }

    int size() {
        return size;
    }

    long from(int i) {
        return from[i];
    }

    long to(int i) {
        return to[i];
    }

    long owner(int i) {
        return owner[i];
    }

    void clear() {
        size = 0;
    }

    /** @return indices in the order of the owners */
    int[] byOwner() {
        return IntStream.range(0, size).boxed().sorted(Comparator.comparingLong(i -> owner[i])).mapToInt(Integer::intValue)
                .toArray();
    }

    /** @return how many clusters from this one on lie and go side by side */
    int runFrom(int first) {
        int end = first + 1;
        while (end < size && from[end] == from[end - 1] + clusterSize && to[end] == to[end - 1] + clusterSize) {
            end++;
        }
        return end - first;
    }

    ExtentSet sources() {
        return set(from);
    }

    ExtentSet targets() {
        return set(to);
    }

    private ExtentSet set(long[] offsets) {
        ExtentSet.Builder set = ExtentSet.builder();
        for (int i = 0; i < size; i++) {
            set.add(offsets[i], clusterSize);
        }
        return set.build();
    }
}
