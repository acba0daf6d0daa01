package io.lacuna.diskimage.write;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * A piece of the disk in memory, {@value #SIZE} bytes at a multiple of that, and which of its pages hold something. Used again and
 * again. For one thread at a time.
 */
public final class Chunk {

    /** Bytes; a multiple or a divisor of every format's block. */
    public static final int SIZE = 2 << 20;
    /** Bytes of the smallest run of zeros that is left out of the file. */
    public static final int PAGE = 4096;

    private static final int PAGES = SIZE / PAGE;
    private static final ByteBuffer ZEROS = ByteBuffer.allocateDirect(PAGE).asReadOnlyBuffer();

    private final ByteBuffer bytes = ByteBuffer.allocateDirect(SIZE).order(ByteOrder.nativeOrder());
    /** A view for comparing. */
    private final ByteBuffer page = bytes.duplicate();
    private final boolean[] filled = new boolean[PAGES];
    private final byte[][] packed = new byte[PAGES][];
    private long offset;
    private int length;

    /**
     * Starts over, with nothing but zeros.
     *
     * @param newOffset byte on the disk, a multiple of {@link #SIZE}
     * @param newLength bytes; less than {@link #SIZE} only at the disk's end
     */
    public void reset(long newOffset, int newLength) {
        if (newOffset % SIZE != 0 || newLength <= 0 || newLength > SIZE) {
            throw new IllegalArgumentException(newLength + " bytes at " + newOffset);
        }
        offset = newOffset;
        length = newLength;
        Arrays.fill(filled, false);
        Arrays.fill(packed, null);
    }

    public long offset() {
        return offset;
    }

    public int length() {
        return length;
    }

    /** @return the buffer, to be filled as far as {@link #length()}; its position and limit mean nothing */
    public ByteBuffer bytes() {
        return bytes;
    }

    /** Sets bytes to zero. */
    public void zero(int from, int to) {
        for (int at = from; at < to; at += PAGE) {
            bytes.put(at, ZEROS, 0, Math.min(PAGE, to - at));
        }
    }

    /** Looks which pages hold something, of a range of whole pages whose bytes are all set. */
    public void scan(int from, int to) {
        for (int at = from; at < to; at += PAGE) {
            filled[at / PAGE] = !isZeroPage(at);
        }
    }

    private boolean isZeroPage(int start) {
        // Most pages tell at once.
        if (bytes.getLong(start) != 0) {
            return false;
        }
        page.limit(start + PAGE).position(start);
        return page.mismatch(ZEROS) < 0;
    }

    /** @return the first page from this one on that holds something, or that does not; {@code to} if there is none */
    int next(boolean holding, int from, int to) {
        int at = from;
        while (at < to && filled[at / PAGE] != holding) {
            at += PAGE;
        }
        return Math.min(at, to);
    }

    /** @return whether a range of whole pages holds nothing */
    boolean isZero(int from, int to) {
        return next(true, from, to) >= to;
    }

    /** @return bytes in pages that hold something */
    public long filledBytes() {
        long total = 0;
        for (int at = 0; at < length; at += PAGE) {
            total += filled[at / PAGE] ? Math.min(PAGE, length - at) : 0;
        }
        return total;
    }

    /** @return bytes of the chunk; the part behind the disk's end as zeros */
    byte[] copy(int from, int size) {
        byte[] copy = new byte[size];
        for (int at = from; at < from + size; at += PAGE) {
            if (at < length && filled[at / PAGE]) {
                bytes.get(at, copy, at - from, Math.min(PAGE, length - at));
            }
        }
        return copy;
    }

    /** Keeps what {@link ImageWriter#prepare} made of one block, by the block's number in this chunk. */
    void keepPacked(int block, byte[] data) {
        packed[block] = data;
    }

    /** @return what was kept; null if nothing */
    byte[] packed(int block) {
        return packed[block];
    }
}
