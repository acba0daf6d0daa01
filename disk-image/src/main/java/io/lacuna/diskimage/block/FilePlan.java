package io.lacuna.diskimage.block;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;

/**
 * What happens to one file.
 *
 * @param side the host's part of it
 * @param punches ranges to punch where they are, when all else is done
 * @param plannedBytes host storage that goes
 * @param packing how it becomes shorter; null if it keeps its length and its blocks their places
 */
record FilePlan(HostSide side, ExtentSet punches, long plannedBytes, Packing packing) {

    HostFile file() {
        return side.file();
    }

    /** @return whether blocks move or the file becomes shorter */
    boolean isPacked() {
        return packing != null && (!packing.moves().isEmpty() || packing.end() < file().size() - packing.area().tail());
    }
}
