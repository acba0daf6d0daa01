package io.lacuna.diskimage.block;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;

/**
 * What happens to one file.
 *
 * @param side the host's part of it
 * @param punches ranges to punch where they are, when all else is done
 * @param plannedBytes host storage that goes; below 0 where what moves will lie across more host blocks than now
 * @param packing how it becomes shorter; null if it keeps its length and its blocks their places
 * @param isPacked whether it does become shorter
 */
record FilePlan(HostSide side, ExtentSet punches, long plannedBytes, Packing packing, boolean isPacked) {

    FilePlan(HostSide side, ExtentSet punches, long plannedBytes, Packing packing) {
        this(side, punches, plannedBytes, packing, packing != null
                && (!packing.moves().isEmpty() || packing.end() < side.file().size() - packing.area().tail()));
    }

    HostFile file() {
        return side.file();
    }

    Deallocation.HostRanges hostRanges() {
        if (!isPacked) {
            return new Deallocation.HostRanges(file(), punches, ExtentSet.EMPTY);
        }
        long end = Math.min(file().size(), packing.end());
        return new Deallocation.HostRanges(file(), punches.union(ExtentSet.ofRange(end, file().size() - end)), packing.targets());
    }
}
