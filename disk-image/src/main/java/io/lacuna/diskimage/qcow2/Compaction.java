package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.diskimage.block.HostSide;

/**
 * How the image file becomes shorter, and what is stored of it afterwards.
 *
 * @param relocation which clusters go where
 * @param refcounts the image's reference counts
 * @param image the file as it was before anything was written
 * @param clusterSize bytes
 * @param read bytes of the file that must be the same at their new places
 * @param skipped whole clusters that the tables call zeros or the parent's, of which nothing is written
 */
record Compaction(Relocation relocation, RefcountTable refcounts, HostSide image, long clusterSize, ExtentSet read,
        ExtentSet skipped) {

    /**
     * @param unread bytes of the file that the tables call zeros or the parent's
     * @param free bytes of the file that nothing needs, inside clusters that stay mapped
     */
    static Compaction of(Relocation relocation, ReferenceScan scan, HostSide image, long clusterSize, ExtentSet unread,
            ExtentSet free) {
        // Tables are copied as they are: a part that is a hole now may have been written to by then.
        ExtentSet.Builder tables = ExtentSet.builder();
        relocation.forEachRun((from, to, length) -> {
            for (long offset = from; offset < from + length; offset += clusterSize) {
                if (scan.kinds.get(offset / clusterSize) != 0) {
                    tables.add(offset, clusterSize);
                }
            }
        });
        ExtentSet read = image.map().allocated().union(tables.build()).minus(unread).minus(free);
        return new Compaction(relocation, scan.refcounts, image, clusterSize, read, unread.inwardTo(clusterSize));
    }

    boolean isShorter() {
        return relocation.end() < image.file().size();
    }

    boolean isNothing() {
        return !isShorter() && relocation.movedBytes() == 0;
    }

    /**
     * @param holes what is punched besides
     * @return what the host will store, as far as it is this file's alone
     */
    ExtentSet storedAfterwards(ExtentSet holes) {
        ExtentSet.Builder written = ExtentSet.builder();
        ExtentSet.Builder empty = ExtentSet.builder();
        relocation.forEachRun((from, to, length) -> {
            MovedClusters moved = MovedClusters.of(from, to, length, this);
            written.addAll(moved.written());
            empty.addAll(moved.empty());
        });
        ExtentSet stored = image.stored().minus(empty.build()).union(image.hostBlocksOf(written.build())).minus(holes);
        if (!isShorter()) {
            return stored;
        }
        ExtentSet kept = image.hostBlocksOf(ExtentSet.ofRange(0, relocation.end()));
        return stored.intersect(new Extent(0, kept.end(kept.count() - 1)));
    }

    /** @return those bytes of clusters that move whose storage is not taken again at the new place */
    ExtentSet releasedOnTheWay() {
        ExtentSet.Builder released = ExtentSet.builder();
        relocation.forEachRun((from, to, length) ->
                released.addAll(MovedClusters.of(from, to, length, this).empty().shift(from - to)));
        return released.build();
    }
}
