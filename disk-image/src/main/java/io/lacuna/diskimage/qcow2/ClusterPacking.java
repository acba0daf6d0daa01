package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.HostSide;
import java.io.IOException;
import java.util.List;

/** What it comes to that the image file becomes as short as it can be: what moves, which holes are left, what the host gets. */
final class ClusterPacking {

    private final Qcow2Header header;
    private final HostFile file;
    private final ReferenceScan scan;
    private final HostSide image;
    private final Compaction compaction;
    private final ExtentSet holes;
    private final ExtentSet leftGaps;
    private final ExtentSet released;
    private final ExtentSet doubtful;

    /**
     * @param unused clusters that nothing needs, once the tables have changed as they are to
     * @param doubtful clusters whose counts are above the references found
     */
    ClusterPacking(Qcow2Header header, HostFile file, long[] l1, ReferenceScan scan, TableChanges changes,
            CandidateSorter sorter, ExtentSet unused, ExtentSet doubtful, HostSide image) throws IOException {
        this.header = header;
        this.file = file;
        this.scan = scan;
        this.image = image;
        this.doubtful = doubtful;
        long clusters = header.hostClusters(file.size());
        MovableClusters movable = new MovableClusters(header, file, l1, scan, changes, sorter, doubtful, image.map().shared());
        // Whatever moves, the file has at least this many clusters afterwards.
        long least = clusters - (unused.totalBytes() >>> header.clusterBits()) - scan.refcounts.blocks().length;
        if (!unused.isEmpty()) {
            movable.find(Math.max(0, least) << header.clusterBits());
        }
        Relocation relocation = new CompactionPlanner(header, scan.refcounts, movable, clusters, unused)
                .plan(image.map().shared());
        ExtentSet parts = sorter.pieces.parts();
        compaction = Compaction.of(relocation, scan, image, header.clusterSize(), movable.unread(), parts);
        ExtentSet leaving = relocation.sources().union(relocation.vacatedTables());
        leftGaps = unused.union(relocation.vacatedTables()).minus(relocation.allTargets())
                .intersect(ExtentSet.ofRange(0, relocation.end()));
        // On a file whose map says nothing, what was unused before would be given back again and again.
        ExtentSet punchable = image.map().exact() ? leftGaps : leftGaps.intersect(changes.freed());
        holes = image.inward(punchable.union(parts.minus(leaving)));
        released = image.stored().intersect(changes.freed().minus(leftGaps).union(holes).union(compaction.releasedOnTheWay()));
    }

    /** @return null if nothing moves and the file keeps its length */
    Compaction compaction() {
        return compaction.isNothing() ? null : compaction;
    }

    long newSize() {
        return compaction.isShorter() ? compaction.relocation().end() : -1;
    }

    /** @return what is punched when the moves are done */
    ExtentSet punches() {
        return image.punches(holes, image.stored().intersect(holes), compaction.relocation().end());
    }

    /** @return bytes of the file, as they lie now, that the host will not store any more */
    ExtentSet released() {
        return released;
    }

    /** @return how many of these bytes the host stores and will not, or stores for something else */
    long leaving(ExtentSet unneeded) {
        return image.stored().intersect(unneeded).minus(leftGaps.minus(holes)).totalBytes();
    }

    long plannedBytes() {
        return Math.max(0, image.stored().totalBytes() - compaction.storedAfterwards(holes).totalBytes());
    }

    void addRemarks(List<String> remarks) {
        if (!compaction.isNothing()) {
            long moved = compaction.relocation().movedBytes();
            remarks.add((moved >>> header.clusterBits()) + " clusters (" + moved + " bytes) move into gaps, and the file becomes "
                    + Math.min(file.size(), compaction.relocation().end()) + " bytes long instead of " + file.size() + ".");
        }
        if (!leftGaps.isEmpty()) {
            remarks.add(leftGaps.totalBytes() + " bytes of gaps stay in the file, for " + obstacle() + ".");
        }
    }

    /** @return what keeps the last cluster where it is, or what could fill the gaps if it could be moved */
    private String obstacle() {
        long cluster = (compaction.relocation().end() >>> header.clusterBits()) - 1;
        long offset = cluster << header.clusterBits();
        String what = "the cluster at 0x" + Long.toHexString(offset) + " cannot be moved: ";
        if (scan.kinds.get(cluster) == ClusterUse.COMPRESSED) {
            return what + "it holds compressed data ('lacuna copy --compress' writes a copy without gaps)";
        } else if (doubtful.contains(offset, 1) || scan.counts.get(cluster) == 0) {
            return what + "its reference count is higher than the references found ('qemu-img check -r leaks' corrects that)";
        } else if (image.map().shared().intersects(offset, header.clusterSize())) {
            return what + "another file of the host shares its storage";
        } else if (scan.kinds.get(cluster) == ClusterUse.TABLE) {
            return what + "it is part of a table that needs more room in one piece, of a snapshot's or of a bitmap";
        }
        if (!scan.snapshots.isEmpty()) {
            return what + "a snapshot uses it";
        }
        return what + (scan.counts.get(cluster) > 1 ? "it is used in more than one place"
                : "its COPIED flag contradicts its reference count ('qemu-img check -r all' repairs that)");
    }
}
