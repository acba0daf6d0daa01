package io.lacuna.fs.ext;

import io.lacuna.blockio.UnsupportedException;

/** Turns a block bitmap, 64 bits at a time, into ranges of free bytes. Bit 0 is the lowest; set means in use. */
final class BitmapWords {

    private final long clusterSize;
    private final long end;
    private final Ranges free;

    /**
     * @param clusterSize bytes that a bit stands for
     * @param end bytes: nothing from here on is free, for the last cluster may reach over the end of the file system
     * @param free where the ranges go
     */
    BitmapWords(long clusterSize, long end, Ranges free) {
        this.clusterSize = clusterSize;
        this.end = end;
        this.free = free;
    }

    /**
     * @param words at least as many as the bits need
     * @param bits how many of them count; the rest is padding, neither free nor used
     * @param start byte of the volume that the first bit stands for
     * @return the number of clear bits
     */
    int addFree(long[] words, int bits, long start) throws UnsupportedException {
        int wordCount = (bits + 63) >>> 6;
        int run = -1;
        int clear = 0;
        for (int i = 0; i < wordCount; i++) {
            long used = words[i];
            if (i == wordCount - 1 && (bits & 63) != 0) {
                used |= -1L << bits;
            }
            if (used == 0 && run >= 0) {
                continue;
            }
            if (used == -1 && run < 0) {
                continue;
            }
            int bit = i << 6;
            int at = 0;
            while (at < 64) {
                long rest = used >>> at;
                if (run < 0) {
                    at += Long.numberOfTrailingZeros(~rest);
                    if (at < 64) {
                        run = bit + at;
                    }
                } else if (rest == 0) {
                    break;
                } else {
                    at += Long.numberOfTrailingZeros(rest);
                    clear += add(run, bit + at, start);
                    run = -1;
                }
            }
        }
        return run < 0 ? clear : clear + add(run, bits, start);
    }

    private int add(int from, int to, long start) throws UnsupportedException {
        long offset = start + from * clusterSize;
        free.add(offset, Math.min(end, start + to * clusterSize) - offset);
        return to - from;
    }
}
