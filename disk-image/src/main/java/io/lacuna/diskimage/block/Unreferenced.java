package io.lacuna.diskimage.block;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Finds what lies between the blocks of an image's files and belongs to nothing. */
final class Unreferenced {

    private final BlockMap map;
    private final BlockTable table;

    Unreferenced(BlockMap map, BlockTable table) {
        this.map = map;
        this.table = table;
    }

    /** @return for each file; nothing where the format cannot tell, or the host tells no holes, for then it would never end */
    List<ExtentSet> find() throws IOException {
        int files = map.files().size();
        List<ExtentSet> found = new ArrayList<>();
        ExtentSet.Builder[] used = new ExtentSet.Builder[files];
        for (int i = 0; i < files; i++) {
            used[i] = ExtentSet.builder();
        }
        if (map.mappedSize() > 0) {
            table.forEachBlock(new Extent(0, map.mappedSize()), (guest, guestLength, file, host, length) ->
                    used[file].add(host, length));
        }
        for (int i = 0; i < files; i++) {
            Optional<BlockArea> area = table.area(i);
            HostFile file = map.files().get(i);
            found.add(area.isPresent() && file.map().exact() ? of(area.get(), file.size(), used[i].build()) : ExtentSet.EMPTY);
        }
        return found;
    }

    /** @param used what blocks take */
    static ExtentSet of(BlockArea area, long fileSize, ExtentSet used) {
        long end = fileSize - area.tail();
        return end <= area.start() ? ExtentSet.EMPTY
                : ExtentSet.ofRange(area.start(), end - area.start()).minus(area.fixed()).minus(used);
    }
}
