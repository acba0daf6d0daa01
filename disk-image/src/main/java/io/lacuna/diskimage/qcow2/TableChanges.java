package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;

/** Collects what is to change in L1, L2 and the reference counts; changes nothing itself. */
final class TableChanges {

    private final Qcow2Header header;
    private final ReferenceScan scan;
    private final L2Entry entries;
    private final ExtentSet.Builder recounted = ExtentSet.builder();
    private final ExtentSet.Builder freed = ExtentSet.builder();
    private final ExtentSet.Builder freedTables = ExtentSet.builder();
    private final boolean[] emptied;
    private boolean any;
    private int lastTable = -1;

    /** Clusters before this one show the backing file where nothing is mapped: they become zero clusters. */
    final long zeroClustersEnd;
    /** L2 entries that go. */
    final ClusterRuns unmapped;
    /** L2 entries left in each of {@link ReferenceScan#activeTables}. */
    private final int[] left;

    TableChanges(Qcow2Header header, ReferenceScan scan, long zeroClustersEnd) {
        this.header = header;
        this.scan = scan;
        this.entries = new L2Entry(header);
        this.zeroClustersEnd = zeroClustersEnd;
        this.unmapped = new ClusterRuns(header.clusterSize());
        this.left = scan.usedEntries.clone();
        this.emptied = new boolean[left.length];
    }

    /** A count in the image is above the references: an earlier run was cut. */
    void correct(ExtentSet clusters, boolean unused) {
        recounted.addAll(clusters);
        if (unused) {
            freed.addAll(clusters);
        }
        any |= !clusters.isEmpty();
    }

    /**
     * Takes the current state's reference to standard clusters away.
     *
     * @param table index into {@link ReferenceScan#activeTables}
     * @param guestCluster the first
     * @param entry its L2 entry
     */
    void unmap(int table, long guestCluster, long entry, int count) throws CorruptException, UnsupportedException {
        enter(table);
        for (int i = 0; i < count; i++) {
            unmapped.add(guestCluster + i, entry + (long) i * header.clusterSize());
        }
        if (!header.hasDataFile()) {
            release((entry & L2Entry.OFFSET) >>> header.clusterBits(), count);
        }
        took(table, guestCluster, count);
    }

    /** Takes the current state's references to a compressed cluster away. */
    void unmapCompressed(int table, long guestCluster, long entry) throws CorruptException, UnsupportedException {
        enter(table);
        unmapped.add(guestCluster, entry);
        long last = ClusterUse.lastCompressedCluster(header, entries, entry);
        long first = entries.compressedOffset(entry) >>> header.clusterBits();
        release(first, (int) (last - first) + 1);
        took(table, guestCluster, 1);
    }

    /** A run must not go on from one table into the next. */
    private void enter(int table) {
        if (table != lastTable) {
            unmapped.seal();
            lastTable = table;
        }
    }

    private void took(int table, long guestCluster, int count) {
        any = true;
        if (guestCluster >= zeroClustersEnd) {
            left[table] -= count;
        }
    }

    private void release(long firstCluster, int count) throws CorruptException, UnsupportedException {
        recounted.add(firstCluster << header.clusterBits(), (long) count << header.clusterBits());
        int used = 0; // the next cluster behind the last that stays in use
        for (int i = 0; i <= count; i++) {
            if (i == count || scan.counts.add(firstCluster + i, -1) != 0) {
                freed.add(firstCluster + used << header.clusterBits(), (long) (i - used) << header.clusterBits());
                used = i + 1;
            }
        }
    }

    /** @return entries of an L2 table that are left, zero clusters included */
    int left(int table) {
        return left[table];
    }

    /** Takes an L2 table away that has nothing left. */
    void drop(int table, long offset) throws CorruptException, UnsupportedException {
        emptied[table] = true;
        any = true;
        freedTables.add(offset, header.clusterSize());
        release(offset >>> header.clusterBits(), 1);
    }

    /** @return whether this table goes as a whole, so that its entries need no writing */
    boolean isDropped(int table) {
        return emptied[table];
    }

    /** @return indices on the disk of the clusters whose L2 entries go */
    ExtentSet unmappedClusters() {
        ExtentSet.Builder clusters = ExtentSet.builder();
        for (int i = 0; i < unmapped.size(); i++) {
            clusters.add(unmapped.guest(i), unmapped.count(i));
        }
        return clusters.build();
    }

    /** @return byte ranges of the clusters whose counts change; the new ones are in {@link ReferenceScan#counts} */
    ExtentSet recounted() {
        return recounted.build();
    }

    /** @return bytes of the disk in the clusters that are unmapped; the last cluster may reach behind its end */
    ExtentSet unmappedGuest() {
        ExtentSet.Builder guest = ExtentSet.builder();
        for (int i = 0; i < unmapped.size(); i++) {
            guest.add(unmapped.guest(i) * header.clusterSize(), unmapped.count(i) * header.clusterSize());
        }
        return guest.build();
    }

    /** @return byte ranges of the clusters whose counts become 0 */
    ExtentSet freed() {
        return freed.build();
    }

    /** @return byte ranges of the L2 tables that go */
    ExtentSet freedTables() {
        return freedTables.build();
    }

    boolean isNothing() {
        return !any;
    }

    ReferenceScan scan() {
        return scan;
    }
}
