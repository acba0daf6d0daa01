package io.lacuna.fs.ext;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.util.Arrays;

/**
 * The groups whose bitmap was never written (BLOCK_UNINIT). Such a group holds no file; what is used in it are the file
 * system's own blocks, of any group, that lie there.
 */
final class UninitialisedGroups {

    private final Superblock superblock;
    private final Ranges ranges = new Ranges("unused groups");
    /** The groups whose descriptors say that some of their clusters are used, ascending, and how many. */
    private int[] partlyUsed = new int[16];
    private int[] usedClusters = new int[16];
    private int count;
    private int next;

    UninitialisedGroups(Superblock superblock) {
        this.superblock = superblock;
    }

    /** @param group above all groups added before */
    void add(int group, long freeClusters) throws IOException {
        long start = superblock.groupStart(group) * superblock.blockSize();
        ranges.add(start, superblock.groupEnd(group) * superblock.blockSize() - start);
        int used = superblock.clustersIn(group) - (int) freeClusters;
        if (used != 0) {
            if (count == partlyUsed.length) {
                partlyUsed = Arrays.copyOf(partlyUsed, 2 * count);
                usedClusters = Arrays.copyOf(usedClusters, 2 * count);
            }
            partlyUsed[count] = group;
            usedClusters[count++] = used;
        }
    }

    /**
     * @param own the file system's own clusters
     * @return the bytes of these groups that are free
     * @throws CorruptException if a descriptor counts another number of free clusters
     */
    ExtentSet free(ExtentSet own) throws IOException {
        ExtentSet groups = ranges.build();
        compareCounts(groups.intersect(own));
        return groups.minus(own);
    }

    /** Like {@link #free}, of a crashed file system, whose counts may be older or newer than the rest. */
    ExtentSet freeUnchecked(ExtentSet own) {
        return ranges.build().minus(own);
    }

    private void compareCounts(ExtentSet used) throws CorruptException {
        next = 0;
        int group = -1;
        int clusters = 0;
        long groupBytes = superblock.blocksPerGroup() * superblock.blockSize();
        long firstByte = superblock.groupStart(0) * superblock.blockSize();
        for (int i = 0; i < used.count(); i++) {
            for (long at = used.start(i); at < used.end(i);) {
                int of = (int) ((at - firstByte) / groupBytes);
                if (of != group) {
                    expect(group, clusters);
                    group = of;
                    clusters = 0;
                }
                long to = Math.min(used.end(i), superblock.groupEnd(of) * superblock.blockSize());
                clusters += (int) ((to - at + superblock.clusterSize() - 1) / superblock.clusterSize());
                at = to;
            }
        }
        expect(group, clusters);
        if (next < count) {
            throw mismatch(partlyUsed[next], 0, usedClusters[next]);
        }
    }

    private void expect(int group, int clusters) throws CorruptException {
        if (clusters == 0) {
            return;
        }
        if (next == count || partlyUsed[next] > group) {
            throw mismatch(group, clusters, 0);
        }
        if (partlyUsed[next] < group) {
            throw mismatch(partlyUsed[next], 0, usedClusters[next]);
        }
        if (usedClusters[next] != clusters) {
            throw mismatch(group, clusters, usedClusters[next]);
        }
        next++;
    }

    private CorruptException mismatch(int group, int computed, int counted) {
        int all = superblock.clustersIn(group);
        return new CorruptException("ext block group " + group + ": free count of a group without bitmap (run e2fsck -f in the "
                + "guest)", -1, "" + (all - computed), all - counted);
    }
}
