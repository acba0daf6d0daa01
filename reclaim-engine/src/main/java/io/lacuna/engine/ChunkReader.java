package io.lacuna.engine;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.diskimage.write.Chunk;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Fills chunks with the wanted bytes of a disk; all others are zeros. For several threads at once. */
final class ChunkReader {

    /** To read on over less than this is quicker than to begin another read. */
    private static final int WORTH_SKIPPING = 128 << 10;

    private final BlockSource disk;
    private final ExtentSet wanted;

    ChunkReader(BlockSource disk, ExtentSet wanted) {
        this.disk = disk;
        this.wanted = wanted;
    }

    /** Has the host fetch the wanted bytes of a range that will be read soon. */
    void prefetch(long from, long to) {
        int index = wanted.indexOfFirstEndingAfter(from);
        while (index < wanted.count() && wanted.start(index) < to) {
            long start = Math.max(from, wanted.start(index));
            long end = wanted.end(index++);
            while (index < wanted.count() && wanted.start(index) < to && wanted.start(index) - end < WORTH_SKIPPING) {
                end = wanted.end(index++);
            }
            disk.prefetch(start, Math.min(to, end) - start);
        }
    }

    void fill(Chunk chunk) throws IOException {
        long start = chunk.offset();
        long end = start + chunk.length();
        int index = wanted.indexOfFirstEndingAfter(start);
        while (index < wanted.count() && wanted.start(index) < end) {
            int last = index;
            while (last + 1 < wanted.count() && wanted.start(last + 1) < end
                    && wanted.start(last + 1) - wanted.end(last) < WORTH_SKIPPING) {
                last++;
            }
            read(chunk, index, last);
            index = last + 1;
        }
    }

    private void read(Chunk chunk, int first, int last) throws IOException {
        int from = (int) (Math.max(wanted.start(first), chunk.offset()) - chunk.offset());
        int to = (int) (Math.min(wanted.end(last), chunk.offset() + chunk.length()) - chunk.offset());
        int pageStart = from / Chunk.PAGE * Chunk.PAGE;
        int pageEnd = (to + Chunk.PAGE - 1) / Chunk.PAGE * Chunk.PAGE;
        ByteBuffer target = chunk.bytes().duplicate();
        target.limit(to).position(from);
        disk.read(chunk.offset() + from, target);
        chunk.zero(pageStart, from);
        for (int i = first; i < last; i++) {
            chunk.zero((int) (wanted.end(i) - chunk.offset()), (int) (wanted.start(i + 1) - chunk.offset()));
        }
        chunk.zero(to, pageEnd);
        chunk.scan(pageStart, pageEnd);
    }
}
