package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.block.CompactionJournal;
import io.lacuna.diskimage.block.HostSide;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Computes what a request comes to. Used once. */
final class Qcow2Planner {

    private final Qcow2Image image;
    private final Qcow2Header header;
    private final Qcow2Extensions extensions;
    private final HostFile file;
    private final HostFile dataFile;
    private final DeallocationRequest request;
    /** Without the zeros that are in use. */
    private final ExtentSet freeBytes;
    private final boolean unmapping;
    private final RetainedBytes retained = new RetainedBytes();
    private final List<String> remarks = new ArrayList<>();
    private final L2Entry entries;
    private ReferenceScan scan;
    private RefcountTable.Comparison comparison;
    private TableChanges changes;
    private HostSide imageHoles;
    private HostSide dataHoles;
    private CompactionJournal journal;
    private boolean compacting;

    Qcow2Planner(Qcow2Image image, Qcow2Header header, Qcow2Extensions extensions, HostFile file, HostFile dataFile,
            DeallocationRequest asked) throws IOException {
        this.image = image;
        this.header = header;
        this.extensions = extensions;
        this.file = file;
        this.dataFile = dataFile;
        this.request = zerosInClusters(asked).on(dataFile == null ? List.of(file) : List.of(file, dataFile), remarks);
        this.freeBytes = asked.free();
        this.unmapping = request.mode() != ReclaimMode.PUNCH && !header.rawDataFile();
        this.entries = new L2Entry(header);
    }

    /** What a data file stores where nothing is mapped may be another program's; that the guest reads zeros there is no proof. */
    private DeallocationRequest zerosInClusters(DeallocationRequest asked) throws IOException {
        if (dataFile == null || asked.zeros().isEmpty()) {
            return asked;
        }
        return new DeallocationRequest(asked.free(), asked.zeros().intersect(image.storedRanges()), asked.mode(),
                asked.granularity(), asked.minExtent(), asked.repair());
    }

    /**
     * @param l1 the active L1 table
     * @param backingSize bytes of the parent's disk; 0 without one
     */
    Qcow2Plan plan(long[] l1, long backingSize) throws IOException {
        if (request.mode() == ReclaimMode.PUNCH && (header.autoclear() & ~Qcow2Header.AUTOCLEAR_KNOWN) != 0) {
            throw new UnsafeException("the image uses features that must be switched off in its header before anything is"
                    + " written (auto-clear bits 0x" + Long.toHexString(header.autoclear() & ~Qcow2Header.AUTOCLEAR_KNOWN)
                    + "), and punching alone changes no header: use the mode 'deallocate'");
        }
        // To unmap clusters of a data file without punching them would serve nobody: no other data can go there.
        imageHoles = HostSide.of(file, request, !unmapping && dataFile == null, remarks);
        dataHoles = dataFile == null ? imageHoles : HostSide.of(dataFile, request, true, remarks);
        compacting = request.mode() == ReclaimMode.COMPACT && canCompact();
        journal = request.mode() == ReclaimMode.PUNCH || file.isBlockDevice() ? null
                : CompactionJournal.of(file, Qcow2Format.NAME, header.virtualSize());
        ExtentSet free = wanted();
        scan = new ReferenceScan(header, extensions, file, l1, imageHoles.map().allocated(), free);
        scan.run();
        comparison = scan.refcounts.compare(scan.counts);
        long zeroClusters = Math.min(backingSize, header.virtualSize()) + header.clusterSize() - 1 >>> header.clusterBits();
        changes = new TableChanges(header, scan, zeroClusters);
        ExtentSet doubtful = repair();
        CandidateSorter sorter = new CandidateSorter(header, scan, changes, retained, dataHoles, free, doubtful,
                compacting ? ReclaimMode.COMPACT : unmapping ? ReclaimMode.DEALLOCATE : ReclaimMode.PUNCH);
        sorter.checkTables(l1);
        if (!header.rawDataFile()) {
            sorter.sort();
        }
        takeUnmapped(sorter, free.minus(sorter.seen()));
        return holes(sorter, l1, doubtful);
    }

    /** Where it can only be deallocated, the report says why. */
    private boolean canCompact() {
        String obstacle = dataFile != null ? "its clusters lie in a data file of its own, each where the guest sees it"
                : file.isBlockDevice() ? "a block device cannot become shorter"
                : hasUnknownOwners() ? "clusters may belong to something that Lacuna does not know" : null;
        if (obstacle != null) {
            remarks.add("No clusters of this image are moved, for " + obstacle + ".");
        }
        return obstacle == null;
    }

    /** @return the free bytes that are to be looked at */
    private ExtentSet wanted() {
        ExtentSet disk = ExtentSet.ofRange(0, header.virtualSize());
        ExtentSet inside = request.free().intersect(disk);
        retained.addAll(RetainedBytes.OUTSIDE, request.free().minus(disk));
        ExtentSet wanted = inside.atLeast(request.minExtent());
        retained.addAll(RetainedBytes.SHORT, inside.minus(wanted));
        return wanted;
    }

    private boolean hasUnknownOwners() {
        return !extensions.unknown().isEmpty() || extensions.staleBitmaps();
    }

    private boolean repairing() {
        return (request.repair() || journal != null && journal.stands()) && unmapping && !hasUnknownOwners();
    }

    /**
     * Takes back what a cut run left: counts that nothing refers to any more.
     *
     * @return clusters whose counts stay above the references found
     */
    private ExtentSet repair() throws IOException {
        ExtentSet excess = comparison.excess();
        if (!repairing()) {
            return excess;
        }
        changes.correct(comparison.leaked(), true);
        ExtentSet.Builder corrected = ExtentSet.builder();
        for (Extent clusters : excess) {
            for (long offset = clusters.offset(); offset < clusters.end(); offset += header.clusterSize()) {
                long cluster = offset >>> header.clusterBits();
                int kind = scan.kinds.get(cluster);
                // Where the current state refers to it, its COPIED flag would have to change as well.
                if (kind == ClusterUse.COMPRESSED || kind == 0 && scan.active != scan.counts
                        && scan.active.get(cluster) == 0) {
                    corrected.add(offset, header.clusterSize());
                }
            }
        }
        changes.correct(corrected.build(), false);
        return excess.minus(corrected.build());
    }

    /** Free bytes without a cluster cost nothing, but a data file may hold some all the same: a cut run's, or a raw disk's. */
    private void takeUnmapped(CandidateSorter sorter, ExtentSet unmapped) {
        if (dataFile == null) {
            retained.addAll(RetainedBytes.UNALLOCATED, unmapped);
            return;
        }
        for (Extent extent : unmapped) {
            if (dataHoles.stored().intersects(extent.offset(), extent.length())) {
                sorter.part(extent.offset(), extent.offset(), extent.length());
            } else {
                retained.add(RetainedBytes.UNALLOCATED, extent.offset(), extent.length());
            }
        }
    }

    private Qcow2Plan holes(CandidateSorter sorter, long[] l1, ExtentSet doubtful) throws IOException {
        // On a file whose map says nothing, what was unused before would be given back again and again.
        ExtentSet unused = imageHoles.map().exact() && !hasUnknownOwners() ? comparison.unused() : ExtentSet.EMPTY;
        HoleSearch search = new HoleSearch(header, scan, changes, sorter, imageHoles, dataHoles, unused,
                unmapping && !file.isBlockDevice() && !hasUnknownOwners() ? comparison.unused() : null,
                compacting || !dataHoles.punchable());
        search.run(l1, unmapping);
        ExtentSet ownerless = unused.union(comparison.leaked()).union(changes.freedTables());
        if (compacting) {
            return compacted(new ClusterPacking(header, file, l1, scan, changes, sorter,
                    comparison.unused().union(changes.freed()), doubtful.union(unrepaired()), imageHoles), sorter, ownerless);
        }
        ExtentSet reclaimable = reclaimable(sorter, search.releasedData());
        long planned = search.releasedImage().totalBytes();
        ExtentSet unowned = search.releasedImage();
        if (dataFile != null) {
            planned += search.releasedData().totalBytes();
        } else {
            unowned = unowned.intersect(ownerless);
        }
        addRemarks();
        return new Qcow2Plan(image, reclaimable, retained.list(), planned, unowned.totalBytes(), List.copyOf(remarks),
                changes.isNothing() ? null : changes, search.imagePunches(), search.dataPunches(), search.newSize(), null,
                ExtentSet.EMPTY, request.mode(), journal);
    }

    private ExtentSet unrepaired() {
        return repairing() ? ExtentSet.EMPTY : comparison.leaked();
    }

    private Qcow2Plan compacted(ClusterPacking packing, CandidateSorter sorter, ExtentSet ownerless) {
        ExtentSet reclaimable = reclaimable(sorter, packing.released());
        packing.addRemarks(remarks);
        addRemarks();
        return new Qcow2Plan(image, reclaimable, retained.list(), packing.plannedBytes(),
                packing.leaving(ownerless.minus(unrepaired())), List.copyOf(remarks),
                changes.isNothing() ? null : changes, packing.punches(), ExtentSet.EMPTY, packing.newSize(),
                packing.compaction(), packing.compaction() == null ? ExtentSet.EMPTY
                : freeBytes.intersect(ExtentSet.ofRange(0, header.virtualSize())), request.mode(), journal);
    }

    private void addRemarks() {
        Remarks.add(remarks, header, extensions, scan);
        Remarks.addLeaks(remarks, comparison, header, repairing());
    }

    private ExtentSet reclaimable(CandidateSorter sorter, ExtentSet released) {
        Pieces pieces = sorter.pieces;
        ExtentSet.Builder reclaimable = ExtentSet.builder();
        for (int i = 0; i < pieces.size(); i++) {
            long guest = pieces.guest(i);
            long length = Math.min(pieces.length(i), header.virtualSize() - guest);
            if (released.contains(pieces.host(i), length)) {
                reclaimable.add(guest, length);
                continue;
            }
            Extent here = new Extent(pieces.host(i), length);
            long distance = guest - here.offset();
            ExtentSet all = ExtentSet.of(here);
            ExtentSet goes = released.intersect(here);
            ExtentSet stays = all.minus(goes);
            ExtentSet hostShared = dataHoles.map().shared().intersect(here).intersect(stays);
            ExtentSet notStored = stays.minus(dataHoles.map().allocated());
            reclaimable.addAll(goes.shift(distance));
            retained.addAll(RetainedBytes.HOST_SHARED, hostShared.shift(distance));
            retained.addAll(RetainedBytes.HOLE, notStored.shift(distance));
            String rest = !dataHoles.punchable() ? RetainedBytes.UNPUNCHABLE
                    : dataHoles.granularity() > dataHoles.hostBlock() ? RetainedBytes.COARSE : RetainedBytes.SMALL;
            retained.addAll(rest, stays.minus(hostShared).minus(notStored).shift(distance));
        }
        ClusterRuns compressed = sorter.compressed;
        for (int i = 0; i < compressed.size(); i++) {
            long guest = compressed.guest(i) << header.clusterBits();
            long length = Math.min(header.clusterSize(), header.virtualSize() - guest);
            if (goesWholly(compressed.entry(i), released)) {
                reclaimable.add(guest, length);
            } else {
                retained.add(whyNotWholly(compressed.entry(i)), guest, length);
            }
        }
        return reclaimable.build();
    }

    private String whyNotWholly(long entry) {
        long last = ClusterUse.lastCompressedCluster(header, entries, entry);
        for (long cluster = entries.compressedOffset(entry) >>> header.clusterBits(); cluster <= last; cluster++) {
            if (scan.pins != null && scan.pins.reason(cluster) != null) {
                return "compressed, and " + scan.pins.reason(cluster);
            }
        }
        return RetainedBytes.COMPRESSED_TOGETHER;
    }

    private boolean goesWholly(long entry, ExtentSet released) {
        long last = ClusterUse.lastCompressedCluster(header, entries, entry);
        for (long cluster = entries.compressedOffset(entry) >>> header.clusterBits(); cluster <= last; cluster++) {
            if (scan.counts.get(cluster) != 0
                    || !released.intersects(cluster << header.clusterBits(), header.clusterSize())) {
                return false;
            }
        }
        return true;
    }
}
