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
     * @param table null for an image without one, whose map is asked instead
     * @param freed bytes of each file
     */
    static void require(BlockMap map, BlockTable table, List<ExtentSet> freed) throws IOException {
        if (map.mappedSize() == 0) {
            return;
        }
        long[] found = new long[freed.size()];
        if (table == null) {
            map.forEachStored(new Extent(0, map.virtualSize()), (guest, file, host, length) -> found[file] += common(freed.get(file), host, length));
        } else {
            table.forEachBlock(new Extent(0, map.mappedSize()), (guest, guestLength, file, host, length) ->
                    found[file] += common(freed.get(file), host, length));
        }
        for (int i = 0; i < found.length; i++) {
            long excess = found[i] - freed.get(i).totalBytes();
            if (excess != 0) {
                throw (CorruptException) new CorruptException("table of blocks", -1, "every place of the file used once",
                        excess + " bytes of free blocks that are used more than once").in(map.files().get(i).path());
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
