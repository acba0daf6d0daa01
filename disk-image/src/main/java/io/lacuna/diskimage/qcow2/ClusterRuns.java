package io.lacuna.diskimage.qcow2;

import java.util.Arrays;

/** L2 entries by guest cluster; neighbours added one after the other that lie so in the file as well make one run. */
final class ClusterRuns {

    private final long clusterSize;
    private long[] guest = new long[16];
    private long[] entry = new long[16];
    private int[] count = new int[16];
    private int size;
    private boolean sealed = true;

    ClusterRuns(long clusterSize) {
        this.clusterSize = clusterSize;
    }

    /**
     * @param guestCluster index of the cluster on the disk
     * @param l2Entry its L2 entry (the first number of it)
     */
    void add(long guestCluster, long l2Entry) {
        int last = size - 1;
        if (!sealed && guestCluster == guest[last] + count[last] && (l2Entry & L2Entry.COMPRESSED) == 0
                && l2Entry == entry[last] + count[last] * clusterSize) {
            count[last]++;
            return;
        }
        if (size == guest.length) {
            int larger = Math.multiplyExact(size, 2);
            guest = Arrays.copyOf(guest, larger);
            entry = Arrays.copyOf(entry, larger);
            count = Arrays.copyOf(count, larger);
        }
        guest[size] = guestCluster;
        entry[size] = l2Entry;
        count[size] = 1;
        size++;
        sealed = false;
    }

    /** Lets no run go on from here: an L2 table ends. */
    void seal() {
        sealed = true;
    }

    int size() {
        return size;
    }

    /** @return index on the disk of the run's first cluster */
    long guest(int run) {
        return guest[run];
    }

    /** @return L2 entry of the run's first cluster; those of the others differ from it only in the offset */
    long entry(int run) {
        return entry[run];
    }

    /** @return clusters of the run */
    int count(int run) {
        return count[run];
    }
}
