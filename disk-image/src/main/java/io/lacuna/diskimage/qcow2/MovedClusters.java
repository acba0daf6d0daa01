package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.diskimage.block.HostSide;

/**
 * What has to be written of neighbouring clusters that go to neighbouring places. All ranges are bytes of the new places.
 *
 * @param distance bytes from the new places to the old ones
 * @param live what is copied
 * @param written what is written: the live bytes, and what shares a host block with them, as zeros
 * @param empty whole host blocks that are released, if the host stores any of them
 */
record MovedClusters(long distance, ExtentSet live, ExtentSet written, ExtentSet empty) {

    /**
     * @param from byte of the old place
     * @param to byte of the new one
     * @param length bytes of whole clusters
     */
    static MovedClusters of(long from, long to, long length, Compaction compaction) {
        HostSide image = compaction.image();
        Extent old = new Extent(from, length);
        ExtentSet places = ExtentSet.ofRange(to, length);
        ExtentSet live = compaction.read().intersect(old).shift(to - from);
        // Where nothing is read nothing is written; whoever writes there some day writes all of the cluster.
        ExtentSet skipped = compaction.skipped().intersect(old).shift(to - from);
        if (!image.punchable()) {
            // What reads as zeros must go on doing so, and what is free must not show other free bytes.
            ExtentSet zeros = places.minus(live).minus(skipped).intersect(image.map().allocated().intersect(new Extent(to,
                    length)));
            return new MovedClusters(from - to, live, live.union(zeros), ExtentSet.EMPTY);
        }
        // A host block that other clusters share is theirs as well.
        ExtentSet empty = compaction.clusterSize() % image.hostBlock() == 0 && image.alignment() == 0
                ? places.minus(live).inwardTo(image.hostBlock()) : ExtentSet.EMPTY;
        return new MovedClusters(from - to, live, places.minus(empty).minus(skipped), empty);
    }
}
