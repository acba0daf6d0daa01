package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The content of a non-resident attribute.
 *
 * @param what name for errors
 * @param volume the bytes of the volume
 * @param clusterSize bytes
 * @param runs all clusters of the stream
 * @param dataSize bytes of the content
 * @param validSize bytes that have ever been written
 * @param flags of the attribute
 */
record NtfsStream(String what, BlockSource volume, int clusterSize, RunList runs, long dataSize, long validSize, int flags) {

    /** Ours: a stream in more pieces is fetched as it is read. */
    private static final int MAX_PREFETCHES = 4096;

    /**
     * Fills the buffer with clusters of the stream, whatever the stream's sizes say.
     *
     * @param offset byte in the stream
     * @throws CorruptException if a byte lies behind the last cluster or in a sparse run
     */
    void readClusters(long offset, ByteBuffer target) throws IOException {
        int limit = target.limit();
        long position = offset;
        while (target.position() < limit) {
            long vcn = position / clusterSize;
            if (vcn >= runs.clusterCount()) {
                throw new CorruptException(what + ": clusters", -1, "more than " + vcn, runs.clusterCount());
            }
            int run = runs.indexOf(vcn);
            if (runs.lcn(run) == RunList.SPARSE) {
                throw new CorruptException(what + ": cluster " + vcn, -1, "a place on the volume", "none (sparse)");
            }
            long inRun = position - runs.vcn(run) * clusterSize;
            long length = Math.min(limit - target.position(), runs.length(run) * clusterSize - inRun);
            target.limit(target.position() + (int) length);
            volume.read(runs.lcn(run) * clusterSize + inRun, target);
            target.limit(limit);
            position += length;
        }
    }

    /** Like {@link #readClusters}; a byte that was never written is an error as well. */
    void read(long offset, ByteBuffer target) throws IOException {
        if (offset < 0 || offset > validSize - target.remaining()) {
            throw new CorruptException(what + ": written bytes", -1, "more than " + offset, validSize);
        }
        readClusters(offset, target);
    }

    /** @return a new buffer with these bytes of the content; the caller has bounded the length */
    ByteBuffer read(long offset, int length) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(length);
        read(offset, buffer);
        return buffer.flip();
    }

    /** @return where a byte of the stream lies on the volume; -1 in a sparse run or behind the last cluster */
    long position(long offset) {
        long vcn = offset / clusterSize;
        if (vcn >= runs.clusterCount()) {
            return -1;
        }
        int run = runs.indexOf(vcn);
        return runs.lcn(run) == RunList.SPARSE ? -1 : runs.lcn(run) * clusterSize + offset - runs.vcn(run) * clusterSize;
    }

    /** Says that the first so many bytes will be read soon. */
    void prefetch(long length) {
        int pieces = Math.min(runs.count(), MAX_PREFETCHES);
        for (int run = 0; run < pieces && runs.vcn(run) * clusterSize < length; run++) {
            if (runs.lcn(run) != RunList.SPARSE) {
                volume.prefetch(runs.lcn(run) * clusterSize,
                        Math.min(runs.length(run) * clusterSize, length - runs.vcn(run) * clusterSize));
            }
        }
    }
}
