package io.lacuna.fs.ntfs;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The bytes of many file records, little-endian, in an array of 32-bit words: those who read millions of fields get each for a
 * fraction of what a buffer's access costs. Fields need not be aligned.
 */
final class RecordBytes {

    private final int[] words;

    /** @param capacity bytes */
    RecordBytes(int capacity) {
        // One more, for a field that is not aligned looks at the next word too.
        words = new int[(capacity + Integer.BYTES - 1) / Integer.BYTES + 1];
    }

    /** Takes all bytes of the buffer, a multiple of 4. */
    void load(ByteBuffer bytes) {
        bytes.duplicate().position(0).order(ByteOrder.LITTLE_ENDIAN).asIntBuffer().get(words, 0, bytes.limit() / Integer.BYTES);
    }

    int u8(int at) {
        return words[at >> 2] >>> ((at & 3) << 3) & 0xFF;
    }

    int u16(int at) {
        return s32(at) & 0xFFFF;
    }

    int s32(int at) {
        int word = at >> 2;
        int shift = (at & 3) << 3;
        return shift == 0 ? words[word] : words[word] >>> shift | words[word + 1] << -shift;
    }

    long s64(int at) {
        return s32(at) & 0xFFFF_FFFFL | (long) s32(at + Integer.BYTES) << Integer.SIZE;
    }

    /** @param at even */
    void putU16(int at, int value) {
        int shift = (at & 2) << 3;
        words[at >> 2] = words[at >> 2] & ~(0xFFFF << shift) | (value & 0xFFFF) << shift;
    }
}
