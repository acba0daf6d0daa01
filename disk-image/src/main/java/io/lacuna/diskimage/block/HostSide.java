package io.lacuna.diskimage.block;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.util.List;

/**
 * What the host stores of one file of an image, and where holes can be in it.
 *
 * @param file the file
 * @param map what the host stores of it
 * @param stored what of that is this file's alone, so that a hole releases it
 * @param granularity bytes; a hole is a whole number of these
 * @param hostBlock bytes that the host stores or releases together
 * @param alignment where any of these starts, modulo the granularity
 * @param obstacle why the host cannot punch holes, for the middle of a sentence; null if it can
 */
public record HostSide(HostFile file, HostMap map, ExtentSet stored, long granularity, long hostBlock, long alignment,
        String obstacle) {

    /** What an unpunchable host is taken to allocate by, for the sake of counting. */
    private static final long USUAL_HOST_BLOCK = 4096;

    /**
     * @param mustPunch whether there is no way but to punch
     * @param remarks receives sentences for the report
     * @throws UnsupportedException if the host cannot punch and must
     */
    public static HostSide of(HostFile file, DeallocationRequest request, boolean mustPunch, List<String> remarks)
            throws IOException {
        HostMap map = file.map();
        ExtentSet stored = map.allocated().minus(map.shared());
        if (file.isBlockDevice()) {
            remark(remarks, "A block device cannot tell which of its blocks are in use, so all free space is counted as "
                    + "stored, and released again at each run.");
        } else if (!map.exact()) {
            remark(remarks, "The host's file system cannot tell where the file has holes, so all free space is counted as "
                    + "stored.");
        }
        try {
            PunchSupport support = file.punchSupport();
            if (!support.zeroes()) {
                remark(remarks, "The device releases storage without a promise that it reads as zeros afterwards.");
            }
            long least = support.granularity();
            long asked = request.granularity() <= least ? least
                    : Math.multiplyExact((request.granularity() - 1) / least + 1, least);
            if (asked != request.granularity() && asked != least) {
                remark(remarks, "The granularity was rounded up to " + asked + " bytes, a multiple of the host's " + least + ".");
            }
            return new HostSide(file, map, stored, asked, least, support.alignment(), null);
        } catch (UnsupportedException e) {
            if (mustPunch) {
                throw e;
            }
            remark(remarks, "Nothing is punched: " + e.reason() + ".");
            return new HostSide(file, map, stored, USUAL_HOST_BLOCK, USUAL_HOST_BLOCK, 0, e.reason());
        }
    }

    private static void remark(List<String> remarks, String sentence) {
        if (!remarks.contains(sentence)) {
            remarks.add(sentence);
        }
    }

    public boolean punchable() {
        return obstacle == null;
    }

    /** @return the same file with the smallest holes that the host can make, whatever was asked for */
    public HostSide finest() {
        return new HostSide(file, map, stored, hostBlock, hostBlock, alignment, obstacle);
    }

    /** @return the holes that fit into these bytes; the end of the file counts as the end of a host block */
    public ExtentSet inward(ExtentSet unneeded) {
        if (!punchable() || unneeded.isEmpty()) {
            return ExtentSet.EMPTY;
        }
        long size = file.size();
        if (!file.isBlockDevice() && unneeded.end(unneeded.count() - 1) >= size) {
            return unneeded.union(ExtentSet.ofRange(size, up(size) - size)).inwardTo(granularity, alignment);
        }
        return unneeded.inwardTo(granularity, alignment);
    }

    /**
     * @param holes ranges that nothing needs
     * @param released what the host stores in them
     * @param limit byte; nothing is needed behind it
     * @return the calls that release it: the holes, without the empty blocks at their ends
     */
    public ExtentSet punches(ExtentSet holes, ExtentSet released, long limit) {
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
    public ExtentSet hostBlocksOf(ExtentSet bytes) {
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
