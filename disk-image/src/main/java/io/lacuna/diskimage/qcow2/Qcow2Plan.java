package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.CompactionJournal;
import java.util.List;

/**
 * What a request comes to on one qcow2 image.
 *
 * @param tables what changes in the image's tables; null if nothing
 * @param imagePunches bytes of the image file to punch
 * @param dataPunches bytes of the data file to punch
 * @param newSize bytes that the image file shall have; -1 if it keeps its size
 * @param compaction which clusters move before that; null if none does
 * @param rewritten free bytes of the disk that may be in a cluster that moves, and then need not come along
 * @param mode what was asked for
 * @param journal of a run that moves clusters, and what an earlier one may have left; null if no such run is taken up
 */
record Qcow2Plan(Qcow2Image image, ExtentSet reclaimable, List<Retained> retained, long plannedBytes,
        long unreferencedBytes, List<String> remarks, TableChanges tables, ExtentSet imagePunches, ExtentSet dataPunches,
        long newSize, Compaction compaction, ExtentSet rewritten, ReclaimMode mode,
        CompactionJournal journal) implements Deallocation {

    /** @return whether the image itself stays as it is */
    boolean leavesImageAlone() {
        return tables == null && imagePunches.isEmpty() && dataPunches.isEmpty() && newSize < 0 && compaction == null;
    }

    @Override
    public ExtentSet discarded() {
        ExtentSet unmapped = tables == null ? ExtentSet.EMPTY
                : tables.unmappedGuest().intersect(ExtentSet.ofRange(0, image.virtualSize()));
        return reclaimable.union(unmapped).union(rewritten);
    }

    @Override
    public boolean isEmpty() {
        return leavesImageAlone() && (journal == null || !journal.stands());
    }

    @Override
    public boolean changesTables() {
        return tables != null || compaction != null;
    }

    @Override
    public List<HostRanges> hostRanges() {
        return image.hostRanges(imagePunches, compaction == null ? ExtentSet.EMPTY : compaction.relocation().allTargets(),
                dataPunches, newSize);
    }
}
