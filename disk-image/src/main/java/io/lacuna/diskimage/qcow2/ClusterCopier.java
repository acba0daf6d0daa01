package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Copies clusters to other places of the same file, and no more of them than somebody reads. */
final class ClusterCopier {

    private static final int BUFFER_SIZE = 1 << 20;
    private static final long FETCHED_AHEAD = 8 << 20;
    private static final byte[] ZEROS = new byte[BUFFER_SIZE];

    private final HostFile file;
    private final Compaction compaction;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_SIZE);

    ClusterCopier(HostFile file, Compaction compaction) {
        this.file = file;
        this.compaction = compaction;
    }

    /** @param length bytes of whole clusters, side by side at both places */
    void copy(long from, long to, long length) throws IOException {
        file.prefetch(from, Math.min(length + FETCHED_AHEAD, file.size() - from));
        MovedClusters moved = MovedClusters.of(from, to, length, compaction);
        for (Extent range : moved.empty()) {
            if (compaction.image().map().allocated().intersects(range.offset(), range.length())) {
                file.punch(range.offset(), range.length());
            }
        }
        for (Extent range : moved.written()) {
            for (long start = range.offset(); start < range.end(); start += BUFFER_SIZE) {
                Extent piece = new Extent(start, Math.min(BUFFER_SIZE, range.end() - start));
                buffer.clear().limit((int) piece.length());
                HostBytes.readPadded(file, start + moved.distance(), buffer);
                blank(ExtentSet.of(piece).minus(moved.live().intersect(piece)), start);
                file.write(start, buffer.flip());
            }
        }
    }

    /** Free bytes that share a host block with live ones go as zeros. */
    private void blank(ExtentSet dead, long start) {
        for (Extent range : dead) {
            buffer.put((int) (range.offset() - start), ZEROS, 0, (int) range.length());
        }
    }
}
