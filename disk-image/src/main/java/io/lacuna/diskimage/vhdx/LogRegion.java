package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Extent;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The log: a ring of 4096-byte sectors. Source: [MS-VHDX] 2.3.
 *
 * @param file the image's bytes as they are
 * @param place bytes of the file, whole MiB, inside it
 */
record LogRegion(BlockSource file, Extent place) {

    /** Bytes of a sector, the log's unit. */
    static final int SECTOR = 4096;

    long length() {
        return place.length();
    }

    /** @return the place in the ring that lies this many bytes behind another */
    long after(long position, long bytes) {
        return (position + bytes) % place.length();
    }

    /**
     * Fills the buffer from its position to its limit, around the ring's end where it must.
     *
     * @param position byte of the log, below its length
     */
    void read(long position, ByteBuffer target) throws IOException {
        int limit = target.limit();
        long untilEnd = place.length() - position;
        if (target.remaining() > untilEnd) {
            target.limit(target.position() + (int) untilEnd);
            file.read(place.offset() + position, target);
            target.limit(limit);
            file.read(place.offset(), target);
        } else {
            file.read(place.offset() + position, target);
        }
    }
}
