package io.lacuna.diskimage.block;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.util.List;

/**
 * Makes sure that no two blocks share a place that is to be freed: what is free in one would be live in the other. Counts how
 * often the places are used in the whole image, which needs no memory in proportion to it.
 */
final class SingleUse {

    private SingleUse() {
    }

    /**
     * @param table null for an image without one
     * @param freed bytes of each file
     */
    static void require(BlockMap map, BlockTable table, List<ExtentSet> freed) throws IOException {
        long[] missing = freed.stream().mapToLong(ExtentSet::totalBytes).toArray();
        if (table != null && map.mappedSize() > 0) {
            table.forEachBlock(new Extent(0, map.mappedSize()), (guest, guestLength, file, host, length) ->
                    missing[file] -= common(freed.get(file), host, length));
        }
        // Files without blocks, such as flat extents beside sparse ones, have only the map to be asked.
        boolean[] flat = new boolean[missing.length];
        boolean anyFlat = false;
        for (int i = 0; i < missing.length; i++) {
            flat[i] = missing[i] > 0;
            anyFlat |= flat[i];
            missing[i] = flat[i] ? freed.get(i).totalBytes() : missing[i];
        }
        if (anyFlat) {
            map.forEachStored(new Extent(0, map.virtualSize()), (guest, file, host, length) ->
                    missing[file] -= flat[file] ? common(freed.get(file), host, length) : 0);
        }
        for (int i = 0; i < missing.length; i++) {
            if (missing[i] != 0) {
                throw (CorruptException) new CorruptException("table of blocks", -1, "every place of the file used once",
                        Math.abs(missing[i]) + " bytes of free blocks that are used more than once")
                        .in(map.files().get(i).path());
            }
        }
    }

    private static long common(ExtentSet set, long offset, long length) {
        if (set.contains(offset, length)) {
            return length;
        }
        return set.intersects(offset, length) ? set.intersect(new Extent(offset, length)).totalBytes() : 0;
    }
}
