package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Set;

/**
 * A bitmap of a shadow copy's store: one bit for 16 KiB of the volume, from the lowest bit of the first byte on. A set bit means
 * <em>not</em> in use. What the bitmap does not say counts as in use. Source: libvshadow, "Store bitmap".
 */
final class ShadowBitmap {

    private static final int WORDS = (ShadowBlocks.SIZE - ShadowBlocks.HEADER_SIZE) / Long.BYTES;
    private static final long BITS_PER_BLOCK = (long) WORDS * Long.SIZE;
    /** Ours: what follows the first block is mostly, but not always, the rest of the bitmap. */
    private static final long MAX_PREFETCH = 8 << 20;
    /** Ours: bounds the memory that a bitmap of alternating bits costs, 16 bytes a piece and three times over at the most. */
    static final int MAX_PIECES = 1 << 21;

    private final String what;
    private final Set<Long> landmarks;
    private final ExtentSet candidates;
    private final int maxPieces;
    private final ExtentSet.Builder found = ExtentSet.builder();
    private int cursor;
    private int pieces;
    /** First block of the run of set bits that is being read; below 0 while they are clear. */
    private long since = -1;

    private ShadowBitmap(String what, Set<Long> landmarks, ExtentSet candidates, int maxPieces) {
        this.what = what;
        this.landmarks = landmarks;
        this.candidates = candidates;
        this.maxPieces = maxPieces;
    }

    /**
     * Reads a bitmap, once and from its start on.
     *
     * @param first place of its first block
     * @param size bytes of the volume that it may speak for
     * @param candidates bytes of the volume
     * @param landmarks first bytes of blocks that must be in use
     * @param maxPieces how many ranges to keep
     * @return those candidates that the bitmap calls not in use
     * @throws CorruptException if it cannot be read, or denies a landmark
     * @throws UnsupportedException if the result is in too many pieces
     */
    static ExtentSet unused(ShadowBlocks blocks, String what, long first, long size, ExtentSet candidates,
            Set<Long> landmarks, int maxPieces) throws IOException {
        ShadowBitmap bitmap = new ShadowBitmap(what, landmarks, candidates, maxPieces);
        long bits = size / ShadowBlocks.SIZE;   // a part of a block at the end has no bit of its own: in use
        blocks.prefetch(first, Math.min(MAX_PREFETCH, (bits + BITS_PER_BLOCK - 1) / BITS_PER_BLOCK * ShadowBlocks.SIZE));
        long bit = 0;
        for (long at = first; at != 0 && bit < bits;) {
            Bytes block = blocks.read(what, ShadowBlocks.TYPE_BITMAP, at);
            ByteBuffer words = block.buffer();
            for (int i = 0; i < WORDS && bit < bits; i++) {
                long word = words.getLong(ShadowBlocks.HEADER_SIZE + i * Long.BYTES);
                bitmap.scan(bits - bit < Long.SIZE ? word & (1L << bits - bit) - 1 : word, bit);
                bit += Long.SIZE;
            }
            at = ShadowBlocks.next(block);
        }
        bitmap.clear(Math.min(bit, bits));
        return bitmap.found.build();
    }

    private void scan(long word, long first) throws IOException {
        // Most words are all set or all clear.
        if (word == -1 && since >= 0 || word == 0 && since < 0) {
            return;
        }
        int bit = 0;
        while (bit < Long.SIZE) {
            long rest = word >>> bit;
            if (since < 0) {
                bit += Long.numberOfTrailingZeros(rest);    // 64 if there is no other set bit
                if (bit < Long.SIZE) {
                    since = first + bit;
                }
            } else {
                bit += Long.numberOfTrailingZeros(~rest);   // the shift has filled up with zeros
                if (bit < Long.SIZE) {
                    clear(first + bit);
                }
            }
        }
    }

    /** Ends the run of set bits that is being read, if there is one. @param block the first one behind it */
    private void clear(long block) throws IOException {
        if (since < 0) {
            return;
        }
        long start = since * ShadowBlocks.SIZE;
        long end = block * ShadowBlocks.SIZE;
        since = -1;
        for (long landmark : landmarks) {
            if (landmark >= start && landmark < end) {
                throw new CorruptException(what + ": block at " + NtfsBootSector.hex(landmark), -1,
                        "in use, for the file system starts there", "not in use");
            }
        }
        while (cursor < candidates.count() && candidates.end(cursor) <= start) {
            cursor++;
        }
        for (int i = cursor; i < candidates.count() && candidates.start(i) < end; i++) {
            long from = Math.max(start, candidates.start(i));
            found.add(from, Math.min(end, candidates.end(i)) - from);
            pieces++;
            if (pieces > maxPieces) {
                throw new UnsupportedException("what is free on this NTFS volume and not needed by its shadow copies is in more "
                        + "than " + maxPieces + " pieces");
            }
        }
    }
}
