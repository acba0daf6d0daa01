package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.block.HostSide;
import java.util.Arrays;

/**
 * Finds the holes that the unneeded bytes of the files come to, and unmaps the clusters that lie in them as a whole. With
 * clusters smaller than a host block one hangs on the other: an L2 table goes only if all its clusters do, and they may
 * only if the table beside them does. So the search hopes for every table that could go, and gives up those that cannot.
 */
final class HoleSearch {

    /** Ours: then only tables that are empty already are hoped for. */
    private static final int MAX_ROUNDS = 8;

    private final Qcow2Header header;
    private final ReferenceScan scan;
    private final TableChanges changes;
    private final CandidateSorter sorter;
    private final HostSide image;
    private final HostSide data;
    private final ExtentSet unused;
    private final ExtentSet cuttable;
    private final ExtentSet pieces;
    private final ExtentSet wholePieces;
    private final boolean takingAll;
    private ExtentSet imageRanges;
    private ExtentSet dataRanges;
    private ExtentSet tail = ExtentSet.EMPTY;

    /**
     * @param data where clusters lie; the same as {@code image} unless there is a data file
     * @param unused bytes of the image file that nothing refers to, to be punched
     * @param cuttable the same, to be cut off at the end of the file; null if the file must keep its size
     * @param takingAll whether clusters are unmapped that no hole can release: others will be moved there, or no hole can be made
     */
    HoleSearch(Qcow2Header header, ReferenceScan scan, TableChanges changes, CandidateSorter sorter, HostSide image,
            HostSide data, ExtentSet unused, ExtentSet cuttable, boolean takingAll) {
        this.header = header;
        this.scan = scan;
        this.changes = changes;
        this.sorter = sorter;
        this.image = image;
        this.data = data;
        this.unused = unused;
        this.cuttable = cuttable;
        this.takingAll = takingAll;
        ExtentSet.Builder any = ExtentSet.builder();
        ExtentSet.Builder whole = ExtentSet.builder();
        for (int i = 0; i < sorter.pieces.size(); i++) {
            any.add(sorter.pieces.host(i), sorter.pieces.length(i));
            if (sorter.pieces.isWhole(i)) {
                whole.add(sorter.pieces.host(i), sorter.pieces.length(i));
            }
        }
        this.pieces = any.build();
        this.wholePieces = whole.build();
    }

    private boolean hasDataFile() {
        return data != image;
    }

    /** @param unmapping whether tables may change */
    void run(long[] l1, boolean unmapping) throws CorruptException, UnsupportedException {
        boolean[] hopeful = unmapping ? hopefulTables() : new boolean[scan.activeTables.length];
        boolean stable = false;
        for (int round = 1; !stable; round++) { // Ends: every round but the last gives up a table, and there are few.
            findHoles(tables(hopeful, l1));
            int[] going = going();
            stable = true;
            for (int i = 0; i < hopeful.length; i++) {
                if (hopeful[i] && changes.left(i) != (round < MAX_ROUNDS ? going[i] : 0)) {
                    hopeful[i] = false;
                    stable = false;
                }
            }
        }
        forEachGoing(changes::unmap);
        for (int i = 0; i < hopeful.length; i++) {
            if (hopeful[i]) {
                changes.drop(i, l1[scan.activeTables[i]] & L2Entry.OFFSET);
            }
        }
    }

    /** Tables that are this mapping's own and would be empty if all that could be unmapped were. */
    private boolean[] hopefulTables() {
        // Tables behind the disk's end hold saved memory.
        long guestTables = header.virtualSize() + header.l2Span() - 1 >>> header.clusterBits() + header.l2EntryBits();
        int[] most = new int[scan.activeTables.length];
        for (int i = 0; i < sorter.pieces.size(); i++) {
            if (sorter.pieces.isWhole(i) && sorter.pieces.guest(i) >>> header.clusterBits() >= changes.zeroClustersEnd) {
                most[table(sorter.pieces.guest(i))] += (int) (sorter.pieces.length(i) >>> header.clusterBits());
            }
        }
        boolean[] hopeful = new boolean[most.length];
        for (int i = 0; i < hopeful.length; i++) {
            hopeful[i] = changes.left(i) == most[i] && sorter.tableReason(i) == null && scan.activeTables[i] < guestTables;
        }
        return hopeful;
    }

    private ExtentSet tables(boolean[] hopeful, long[] l1) {
        ExtentSet.Builder tables = ExtentSet.builder();
        for (int i = 0; i < hopeful.length; i++) {
            if (hopeful[i]) {
                tables.add(l1[scan.activeTables[i]] & L2Entry.OFFSET, header.clusterSize());
            }
        }
        return tables.build();
    }

    private void findHoles(ExtentSet tables) {
        ExtentSet unneeded = unused.union(changes.freed()).union(tables);
        if (cuttable != null) {
            ExtentSet clusters = cuttable.union(changes.freed()).union(tables);
            tail = tail(hasDataFile() ? clusters : clusters.union(wholePieces));
        }
        imageRanges = image.inward(hasDataFile() ? unneeded : unneeded.union(pieces)).union(tail);
        dataRanges = hasDataFile() ? data.inward(pieces) : imageRanges;
    }

    /** @return the last clusters of the file if nothing needs them, and what the host stores behind */
    private ExtentSet tail(ExtentSet clusters) {
        long end = header.hostClusters(image.file().size()) << header.clusterBits();
        int last = clusters.count() - 1;
        if (last < 0 || clusters.end(last) < end) {
            return ExtentSet.EMPTY;
        }
        ExtentSet allocated = image.map().allocated();
        long stored = allocated.isEmpty() ? 0 : allocated.end(allocated.count() - 1);
        return ExtentSet.ofRange(clusters.start(last), Math.max(end, stored) - clusters.start(last));
    }

    /** Takes clusters that go. */
    private interface GoingSink {
        void take(int table, long guestCluster, long entry, int count) throws CorruptException, UnsupportedException;
    }

    private int[] going() throws CorruptException, UnsupportedException {
        int[] going = new int[scan.activeTables.length];
        forEachGoing((table, guest, entry, count) -> going[table] += guest >= changes.zeroClustersEnd ? count : 0);
        return going;
    }

    /** Clusters that lie in holes as a whole; what only a part of a cluster could free keeps its mapping. */
    private void forEachGoing(GoingSink sink) throws CorruptException, UnsupportedException {
        Pieces all = sorter.pieces;
        for (int i = 0; i < all.size(); i++) {
            if (!all.isWhole(i)) {
                continue;
            }
            int table = table(all.guest(i));
            long guest = all.guest(i) >>> header.clusterBits();
            int count = (int) (all.length(i) >>> header.clusterBits());
            if (takingAll || dataRanges.contains(all.host(i), all.length(i))) {
                sink.take(table, guest, all.entry(i), count);
                continue;
            }
            for (int k = 0; k < count; k++) {
                long distance = k * header.clusterSize();
                if (dataRanges.contains(all.host(i) + distance, header.clusterSize())) {
                    sink.take(table, guest + k, all.entry(i) + distance, 1);
                }
            }
        }
    }

    private int table(long guest) {
        return Arrays.binarySearch(scan.activeTables, (int) (guest >>> header.clusterBits() + header.l2EntryBits()));
    }

    /** @return bytes of the image file that the host stores and will not */
    ExtentSet releasedImage() {
        return image.stored().intersect(imageRanges);
    }

    /** @return the same of the file where clusters lie */
    ExtentSet releasedData() {
        return hasDataFile() ? data.stored().intersect(dataRanges) : releasedImage();
    }

    /** @return bytes that the image file shall have; -1 if it keeps its size */
    long newSize() {
        return tail.isEmpty() ? -1 : tail.start(0);
    }

    ExtentSet imagePunches() {
        return image.punches(imageRanges, releasedImage(), tail.isEmpty() ? image.file().size() : tail.start(0));
    }

    ExtentSet dataPunches() {
        return hasDataFile() ? data.punches(dataRanges, releasedData(), data.file().size()) : ExtentSet.EMPTY;
    }
}
