package io.lacuna.fs.ntfs;

import io.lacuna.blockio.UnsupportedException;
import java.util.Arrays;

/**
 * Where a stream's clusters lie: runs in the order of their VCNs, without a gap, from VCN 0 on. 24 bytes of memory a run.
 */
final class RunList {

    /** The LCN of a run that no cluster stands behind. */
    static final long SPARSE = -1;
    /** Ours: far above what a file of one file system can sensibly be cut into. */
    static final int MAX_RUNS = 1 << 20;

    private final long[] starts;
    private final long[] lcns;
    private final int count;
    private final long clusterCount;
    private final long sparseCount;

    private RunList(long[] starts, long[] lcns, int count, long clusterCount, long sparseCount) {
        this.sparseCount = sparseCount;
        this.starts = starts;
        this.lcns = lcns;
        this.count = count;
        this.clusterCount = clusterCount;
    }

    /** @return number of runs */
    int count() {
        return count;
    }

    /** @return clusters of the stream, sparse ones with them */
    long clusterCount() {
        return clusterCount;
    }

    /** @return clusters of the stream that have a place on the volume */
    long placedCount() {
        return clusterCount - sparseCount;
    }

    /** @return first VCN of the run with this index */
    long vcn(int index) {
        return starts[index];
    }

    /** @return first LCN of the run with this index, or {@link #SPARSE} */
    long lcn(int index) {
        return lcns[index];
    }

    /** @return clusters of the run with this index */
    long length(int index) {
        return (index + 1 < count ? starts[index + 1] : clusterCount) - starts[index];
    }

    /** @return index of the run that holds this VCN, which is at least 0 and below {@link #clusterCount()} */
    int indexOf(long vcn) {
        int found = Arrays.binarySearch(starts, 0, count, vcn);
        return found >= 0 ? found : -found - 2;
    }

    /** Collects runs in the order of their VCNs. */
    static final class Builder {
        private long[] starts = new long[4];
        private long[] lcns = new long[4];
        private int count;
        private long clusterCount;
        private long sparseCount;

        /** @return the VCN that the next run starts at */
        long nextVcn() {
            return clusterCount;
        }

        /**
         * @param lcn first cluster, or {@link #SPARSE}
         * @param length clusters, above 0; the caller has bounded the sum of all
         */
        Builder add(long lcn, long length) throws UnsupportedException {
            if (lcn == SPARSE) {
                sparseCount += length;
            }
            if (count > 0) {
                long lastLcn = lcns[count - 1];
                long lastLength = clusterCount - starts[count - 1];
                if (lcn == SPARSE ? lastLcn == SPARSE : lastLcn != SPARSE && lastLcn + lastLength == lcn) {
                    clusterCount += length;
                    return this;
                }
            }
            if (count == MAX_RUNS) {
                throw new UnsupportedException("a system file of this NTFS is in more than " + MAX_RUNS + " pieces");
            }
            if (count == starts.length) {
                starts = Arrays.copyOf(starts, 2 * count);
                lcns = Arrays.copyOf(lcns, 2 * count);
            }
            starts[count] = clusterCount;
            lcns[count] = lcn;
            count++;
            clusterCount += length;
            return this;
        }

        /** @return the runs added so far; the builder can go on */
        RunList build() {
            return new RunList(Arrays.copyOf(starts, count), Arrays.copyOf(lcns, count), count, clusterCount, sparseCount);
        }
    }
}
