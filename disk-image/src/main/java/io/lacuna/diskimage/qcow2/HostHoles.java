package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.PunchSupport;
import java.io.IOException;

/**
 * Where holes can be in one file of the host.
 *
 * @param file the file
 * @param map what the host stores of it
 * @param stored what of that a hole would release
 * @param granularity bytes; a hole is a whole number of these
 * @param alignment where any of these starts, modulo the granularity
 */
record HostHoles(HostFile file, HostMap map, ExtentSet stored, long granularity, long alignment) {

    static HostHoles of(HostFile file, HostMap map, DeallocationRequest request) throws IOException {
        PunchSupport support = file.punchSupport();
        long least = support.granularity();
        long granularity = request.granularity() <= least ? least
                : Math.multiplyExact((request.granularity() - 1) / least + 1, least);
        return new HostHoles(file, map, map.allocated().minus(map.shared()), granularity, support.alignment());
    }

    /** @return the holes that fit into these bytes; the end of the file counts as the end of a host block */
    ExtentSet inward(ExtentSet unneeded) {
        long size = file.size();
        if (!file.isBlockDevice() && !unneeded.isEmpty() && unneeded.end(unneeded.count() - 1) >= size) {
            return unneeded.union(ExtentSet.ofRange(size, up(size) - size)).inwardTo(granularity, alignment);
        }
        return unneeded.inwardTo(granularity, alignment);
    }

    /**
     * The calls that release what is stored in the holes.
     *
     * @param limit byte; nothing is needed behind it
     */
    ExtentSet punches(ExtentSet holes, ExtentSet released, long limit) {
        ExtentSet.Builder punches = ExtentSet.builder();
        long end = Math.min(file.size(), up(limit));
        for (Extent hole : holes) {
            if (hole.offset() >= end) {
                break;
            }
            ExtentSet inside = released.intersect(hole);
            if (!inside.isEmpty()) {
                long from = Math.max(up(hole.offset()), down(inside.start(0)));
                long to = Math.min(Math.min(hole.end(), end), up(inside.end(inside.count() - 1)));
                punches.add(from, Math.max(0, to - from));
            }
        }
        return punches.build();
    }

    private long down(long position) {
        return position - Math.floorMod(position - alignment, granularity);
    }

    private long up(long position) {
        return position + Math.floorMod(alignment - position, granularity);
    }
}
