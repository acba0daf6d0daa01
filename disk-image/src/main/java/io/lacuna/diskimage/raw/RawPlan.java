package io.lacuna.diskimage.raw;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.FreeParts;
import io.lacuna.diskimage.block.HostSide;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Where to punch a raw image. What is free falls into parts in this order, each byte into one: too short a range, a hole
 * already, not a whole block of the host, shared with another file; the rest is reclaimable.
 *
 * @param image whose plan it is
 * @param file its file
 * @param reclaimable bytes of the disk
 * @param retained bytes of the disk that stay, by reason
 * @param holes ranges to punch: the reclaimable bytes, and the free holes between them, so that the calls are few
 * @param stored host storage in those ranges, which for the end of a file reaches behind the disk's last byte
 * @param granularity bytes; every hole is a whole number of these, but at the end of a file
 * @param remarks sentences for the report
 */
record RawPlan(RawImage image, HostFile file, ExtentSet reclaimable, List<Retained> retained, ExtentSet holes, ExtentSet stored,
        long granularity, List<String> remarks) implements Deallocation {

    static RawPlan of(RawImage image, HostFile file, DeallocationRequest asked) throws IOException {
        List<String> remarks = new ArrayList<>();
        DeallocationRequest request = asked.on(List.of(file), remarks);
        long size = file.size();
        if (!request.free().minus(ExtentSet.ofRange(0, size)).isEmpty()) {
            throw new IllegalArgumentException("free space behind the end of the disk");
        }
        HostSide host = HostSide.of(file, request, true, remarks);
        HostMap map = host.map();
        long granularity = host.granularity();
        if (request.mode() == ReclaimMode.COMPACT) {
            remarks.add("A raw disk's length is the size of the disk, so compacting it is the same as deallocating.");
        }

        String partial = granularity > host.hostBlock() ? FreeParts.COARSE : FreeParts.PARTIAL;
        FreeParts parts = new FreeParts(request.free());
        ExtentSet large = parts.keep(FreeParts.SHORT,
                request.free().atLeast(request.minExtent()));
        ExtentSet allocated = parts.keep(FreeParts.HOLE, large.intersect(map.allocated()));
        ExtentSet whole = file.isBlockDevice() ? large.inwardTo(granularity, host.alignment())
                : wholeBlocks(large, granularity, size);
        ExtentSet inWhole = parts.keep(partial, allocated.intersect(whole));
        ExtentSet unshared = parts.keep(FreeParts.SHARED, inWhole.minus(map.shared()));
        // What is left of a block beside a shared part may be less than a block again.
        ExtentSet holes = map.shared().isEmpty() ? whole : file.isBlockDevice()
                ? whole.minus(map.shared()).inwardTo(granularity, host.alignment())
                : wholeBlocks(whole.minus(map.shared()), granularity, size);
        ExtentSet reclaimable = parts.keep(partial, unshared.intersect(holes));

        ExtentSet punched = trimmed(holes, reclaimable, granularity, host.alignment());
        return new RawPlan(image, file, reclaimable, parts.retained(), punched,
                file.isBlockDevice() ? reclaimable : storedIn(punched, map, granularity, size), granularity,
                List.copyOf(remarks));
    }

    /** @return whole blocks, and the file's last block if all there is of it is in the set */
    private static ExtentSet wholeBlocks(ExtentSet set, long granularity, long size) {
        ExtentSet whole = set.inwardTo(granularity);
        long tail = size - size % granularity;
        return tail < size && set.contains(tail, size - tail) ? whole.union(ExtentSet.ofRange(tail, size - tail)) : whole;
    }

    /**
     * Leaves out the blocks at either end of a range that hold nothing.
     *
     * @param stored what holds something; no byte of it outside of the ranges
     */
    private static ExtentSet trimmed(ExtentSet ranges, ExtentSet stored, long granularity, long alignment) {
        ExtentSet.Builder punched = ExtentSet.builder();
        for (Extent range : ranges) {
            int first = stored.indexOfFirstEndingAfter(range.offset());
            int last = stored.indexOfFirstEndingAfter(range.end()) - 1;
            if (first <= last) {
                long start = stored.start(first) - Math.floorMod(stored.start(first) - alignment, granularity);
                // The range's own end is a boundary, too: the file's last block may be short.
                long end = stored.end(last) + Math.floorMod(alignment - stored.end(last), granularity);
                punched.add(start, Math.min(end, range.end()) - start);
            }
        }
        return punched.build();
    }

    private static ExtentSet storedIn(ExtentSet punched, HostMap map, long granularity, long size) {
        long tail = size - size % granularity;
        boolean reachesEnd = tail < size && punched.contains(tail, size - tail);
        return map.allocated().intersect(reachesEnd
                ? punched.union(ExtentSet.ofRange(tail, granularity)) : punched);
    }

    @Override
    public long plannedBytes() {
        return stored.totalBytes();
    }

    @Override
    public long unreferencedBytes() {
        return 0;
    }

    @Override
    public boolean isEmpty() {
        return holes.isEmpty();
    }

    @Override
    public boolean changesTables() {
        return false;
    }

    @Override
    public List<HostRanges> hostRanges() {
        return List.of(new HostRanges(file, holes, ExtentSet.EMPTY));
    }
}
