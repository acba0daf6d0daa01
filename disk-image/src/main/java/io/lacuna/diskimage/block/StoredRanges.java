package io.lacuna.diskimage.block;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Which bytes of the guest's disk an image stores. Reads tables and the host's map; in doubt a byte is stored. */
public final class StoredRanges {

    private StoredRanges() {
    }

    /** @return what the image itself stores, be it in a hole of the host */
    public static ExtentSet of(BlockMap map) throws IOException {
        ExtentSet.Builder stored = ExtentSet.builder();
        if (map.virtualSize() > 0) {
            map.forEachStored(new Extent(0, map.virtualSize()), (guest, file, host, length) -> stored.add(guest, length));
        }
        return stored.build();
    }

    /** @return what of that is no hole of the host */
    public static ExtentSet outsideOfHoles(BlockMap map) throws IOException {
        List<ExtentSet> holes = new ArrayList<>();
        for (HostFile file : map.files()) {
            // Behind the end of a file that is too short there is no hole but an error, which reading must meet.
            holes.add(ExtentSet.ofRange(0, file.size()).minus(file.map().allocated()));
        }
        ExtentSet.Builder stored = ExtentSet.builder();
        if (map.virtualSize() > 0) {
            map.forEachStored(new Extent(0, map.virtualSize()), (guest, file, host, length) -> {
                if (!holes.get(file).intersects(host, length)) {
                    stored.add(guest, length);
                } else if (!holes.get(file).contains(host, length)) {
                    stored.addAll(ExtentSet.ofRange(host, length).minus(holes.get(file).intersect(new Extent(host, length)))
                            .shift(guest - host));
                }
            });
        }
        return stored.build();
    }

    /**
     * @param stored what the image stores
     * @param own what it decides itself
     * @param parent null if there is none
     * @param size bytes of the disk
     * @return what may hold data, of the image and of all its parents
     */
    public static ExtentSet through(ExtentSet stored, ExtentSet own, DiskImage parent, long size) throws IOException {
        return parent == null ? stored
                : stored.union(parent.mayHoldData().minus(own).intersect(ExtentSet.ofRange(0, size)));
    }
}
