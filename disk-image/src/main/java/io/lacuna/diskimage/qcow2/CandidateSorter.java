package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.HostSide;
import java.io.IOException;
import java.util.Arrays;

/**
 * Decides for every cluster that a free range touches: its own storage can go (a piece), only the current state's reference
 * can, or it stays, and why.
 */
final class CandidateSorter {

    private final Qcow2Header header;
    private final ReferenceScan scan;
    private final TableChanges changes;
    private final RetainedBytes retained;
    private final HostSide target;
    private final ExtentSet free;
    private final ExtentSet doubtful;
    private final boolean unmapping;
    private final boolean compacting;
    private final L2Entry entries;
    private final String[] tableReasons;
    private final ExtentSet.Builder seen = ExtentSet.builder();

    final Pieces pieces = new Pieces();
    /** Compressed clusters that go: they are reclaimed only if their host clusters go, too. */
    final ClusterRuns compressed;

    /**
     * @param target where the clusters lie
     * @param free guest bytes
     * @param doubtful clusters whose counts are above the references found, as byte ranges
     */
    CandidateSorter(Qcow2Header header, ReferenceScan scan, TableChanges changes, RetainedBytes retained,
            HostSide target, ExtentSet free, ExtentSet doubtful, ReclaimMode mode) {
        this.header = header;
        this.scan = scan;
        this.changes = changes;
        this.retained = retained;
        this.target = target;
        this.free = free;
        this.doubtful = doubtful;
        this.unmapping = mode != ReclaimMode.PUNCH;
        this.compacting = mode == ReclaimMode.COMPACT;
        this.entries = new L2Entry(header);
        this.tableReasons = new String[scan.activeTables.length];
        this.compressed = new ClusterRuns(header.clusterSize());
    }

    /** @return why an active L2 table must not change; null if it is this mapping's own */
    String tableReason(int table) {
        return tableReasons[table];
    }

    void checkTables(long[] l1) throws CorruptException {
        for (int i = 0; i < tableReasons.length; i++) {
            long entry = l1[scan.activeTables[i]];
            tableReasons[i] = reason(entry, "L2 table");
        }
    }

    /** @return why a cluster that an entry of this mapping names is not its own; null if it is */
    private String reason(long entry, String what) throws CorruptException {
        long offset = entry & L2Entry.OFFSET;
        int references = scan.counts.get(offset >>> header.clusterBits());
        boolean copied = (entry & L2Entry.COPIED) != 0;
        boolean excess = !doubtful.isEmpty() && doubtful.contains(offset, 1);
        if (copied && (references > 1 || excess)) {
            throw new CorruptException("COPIED flag of a " + what + " (repair the image with 'qemu-img check -r all')",
                    offset, "a reference count of 1", excess ? "more than " + references : references);
        }
        return excess ? RetainedBytes.EXCESS : references > 1 ? shared(offset >>> header.clusterBits())
                : copied ? null : RetainedBytes.FLAG;
    }

    /** Which snapshots have the other references; if none has, the disk itself refers to the cluster twice. */
    private String shared(long cluster) {
        String why = scan.pins == null ? null : scan.pins.reason(cluster);
        return why == null ? RetainedBytes.TWICE : why;
    }

    private boolean isShared(String why) {
        return scan.pins != null && scan.pins.isReason(why);
    }

    void sort() throws IOException {
        ClusterRuns runs = scan.candidates;
        for (int run = 0; run < runs.size(); run++) {
            int table = Arrays.binarySearch(scan.activeTables, (int) (runs.guest(run) >>> header.l2EntryBits()));
            if ((runs.entry(run) & L2Entry.COMPRESSED) != 0) {
                sortCompressed(table, runs.guest(run), runs.entry(run));
            } else {
                sortRun(table, runs.guest(run), runs.entry(run), runs.count(run));
            }
        }
    }

    /** @return free guest bytes whose clusters were looked at */
    ExtentSet seen() {
        return seen.build();
    }

    private void sortRun(int table, long guest, long entry, int count) throws IOException {
        for (int i = 0; i < count;) {
            String why = clusterReason(table, entry + i * header.clusterSize());
            boolean zeroes = guest + i < changes.zeroClustersEnd;
            int end = i + 1;
            while (end < count && why == clusterReason(table, entry + end * header.clusterSize())
                    && zeroes == guest + end < changes.zeroClustersEnd) {
                end++;
            }
            take(table, guest + i, entry + i * header.clusterSize(), end - i, why);
            i = end;
        }
    }

    private String clusterReason(int table, long entry) throws CorruptException {
        if (header.hasDataFile() || tableReasons[table] != null) {
            return tableReasons[table];
        }
        String why = reason(entry, "cluster");
        boolean twice = isShared(why) && (scan.active == scan.counts
                || scan.active.get((entry & L2Entry.OFFSET) >>> header.clusterBits()) != 1);
        return twice ? RetainedBytes.TWICE : why;
    }

    private boolean canUnmap(int table, long guest) {
        return unmapping && tableReasons[table] == null && (header.version() >= 3 || guest >= changes.zeroClustersEnd);
    }

    /** @param why what keeps the clusters' storage; null if nothing does */
    private void take(int table, long guest, long entry, int count, String why) throws IOException {
        long start = guest << header.clusterBits();
        long end = Math.min(start + ((long) count << header.clusterBits()), header.virtualSize());
        boolean unmap = canUnmap(table, guest);
        for (int i = free.indexOfFirstEndingAfter(start); i < free.count() && free.start(i) < end; i++) {
            long from = Math.max(start, free.start(i));
            long to = Math.min(end, free.end(i));
            seen.add(from, to - from);
            long firstWhole = from + header.clusterSize() - 1 >>> header.clusterBits();
            long endWhole = (to == header.virtualSize() ? to + header.clusterSize() - 1 : to) >>> header.clusterBits();
            long host = (entry & L2Entry.OFFSET) - start;
            if (why != null) {
                retained.add(why, from, to - from);
                if (unmap && isShared(why) && firstWhole < endWhole) {
                    changes.unmap(table, firstWhole, entry + (firstWhole - guest << header.clusterBits()),
                            (int) (endWhole - firstWhole));
                }
            } else if (!unmap || firstWhole >= endWhole) {
                part(from, host + from, to - from);
            } else {
                long wholeFrom = firstWhole << header.clusterBits();
                long wholeTo = endWhole << header.clusterBits();
                part(from, host + from, wholeFrom - from);
                whole(firstWhole, (int) (endWhole - firstWhole), entry + (wholeFrom - start));
                part(wholeTo, host + wholeTo, to - wholeTo);
            }
        }
    }

    /** A free range inside clusters that stay mapped. */
    void part(long guest, long host, long length) {
        if (length <= 0) {
            return;
        }
        if (target.stored().intersects(host, length)) {
            pieces.add(guest, host, length, 0);
        } else {
            retained.add(unstored(host, length), guest, length);
        }
    }

    private void whole(long guest, int count, long entry) {
        long offset = entry & L2Entry.OFFSET;
        // A cluster without storage makes the file longer, too.
        if (compacting || target.stored().contains(offset, (long) count << header.clusterBits())) {
            pieces.add(guest << header.clusterBits(), offset, (long) count << header.clusterBits(), entry);
            return;
        }
        for (int i = 0; i < count; i++) {
            long host = offset + i * header.clusterSize();
            long start = guest + i << header.clusterBits();
            if (target.stored().intersects(host, header.clusterSize())) {
                pieces.add(start, host, header.clusterSize(), entry + i * header.clusterSize());
            } else {
                retained.add(unstored(host, header.clusterSize()), start,
                        Math.min(header.clusterSize(), header.virtualSize() - start));
            }
        }
    }

    private String unstored(long host, long length) {
        return target.map().shared().intersects(host, length) ? RetainedBytes.HOST_SHARED : RetainedBytes.HOLE;
    }

    private void sortCompressed(int table, long guest, long entry) throws IOException {
        long start = guest << header.clusterBits();
        long end = Math.min(start + header.clusterSize(), header.virtualSize());
        for (int i = free.indexOfFirstEndingAfter(start); i < free.count() && free.start(i) < end; i++) {
            long from = Math.max(start, free.start(i));
            long length = Math.min(end, free.end(i)) - from;
            seen.add(from, length);
            String why = tableReasons[table];
            if (why == null) {
                why = from > start || from + length < end ? RetainedBytes.COMPRESSED_PART
                        : !unmapping ? RetainedBytes.COMPRESSED
                        : !canUnmap(table, guest) ? RetainedBytes.NO_ZERO
                        : isDoubtful(entry) ? RetainedBytes.EXCESS : null;
            }
            if (why != null) {
                retained.add(why, from, length);
            } else {
                changes.unmapCompressed(table, guest, entry);
                compressed.add(guest, entry);
            }
        }
    }

    private boolean isDoubtful(long entry) {
        long first = entries.compressedOffset(entry) & -header.clusterSize();
        long last = ClusterUse.lastCompressedCluster(header, entries, entry) << header.clusterBits();
        return doubtful.intersects(first, last + header.clusterSize() - first);
    }
}
