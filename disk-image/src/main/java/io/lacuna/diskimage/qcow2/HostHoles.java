package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;

/**
 * Where holes can be in one file of the host.
 *
 * @param file the file
 * @param map what the host stores of it
 * @param stored what of that a hole would release
 * @param granularity bytes; a hole is a whole number of these
 * @param hostBlock bytes that the host stores or releases together
 * @param alignment where any of these starts, modulo the granularity
 * @param obstacle why the host cannot punch holes, a sentence; null if it can
 */
record HostHoles(HostFile file, HostMap map, ExtentSet stored, long granularity, long hostBlock, long alignment,
        String obstacle) {

    /** What a host that cannot punch is taken to allocate by, for the sake of counting. */
    private static final long USUAL_HOST_BLOCK = 4096;

    /**
     * @param mustPunch whether there is no way but to punch
     * @throws UnsupportedException if the host cannot punch and must
     */
    static HostHoles of(HostFile file, DeallocationRequest request, boolean mustPunch) throws IOException {
        HostMap map = file.map();
        ExtentSet stored = map.allocated().minus(map.shared());
        try {
            PunchSupport support = file.punchSupport();
            long least = support.granularity();
            long granularity = request.granularity() <= least ? least
                    : Math.multiplyExact((request.granularity() - 1) / least + 1, least);
            return new HostHoles(file, map, stored, granularity, least, support.alignment(), null);
        } catch (UnsupportedException e) {
            if (mustPunch) {
                throw e;
            }
            return new HostHoles(file, map, stored, USUAL_HOST_BLOCK, USUAL_HOST_BLOCK, 0, e.reason());
        }
    }

    boolean punchable() {
        return obstacle == null;
    }

    /** @return the same file with the smallest holes that the host can make, whatever was asked for */
    HostHoles finest() {
        return new HostHoles(file, map, stored, hostBlock, hostBlock, alignment, obstacle);
    }

    /** @return the holes that fit into these bytes; the end of the file counts as the end of a host block */
    ExtentSet inward(ExtentSet unneeded) {
        if (!punchable()) {
            return ExtentSet.EMPTY;
        }
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

    /** @return the host blocks that hold any of these bytes */
    ExtentSet hostBlocksOf(ExtentSet bytes) {
        ExtentSet.Builder blocks = ExtentSet.builder();
        for (Extent range : bytes) {
            long from = Math.max(0, range.offset() - Math.floorMod(range.offset() - alignment, hostBlock));
            blocks.add(from, range.end() + Math.floorMod(alignment - range.end(), hostBlock) - from);
        }
        return blocks.build();
    }

    private long down(long position) {
        return position - Math.floorMod(position - alignment, granularity);
    }

    private long up(long position) {
        return position + Math.floorMod(alignment - position, granularity);
    }
}
