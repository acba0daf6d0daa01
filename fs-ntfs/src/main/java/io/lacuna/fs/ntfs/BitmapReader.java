package io.lacuna.fs.ntfs;

import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Reads $Bitmap, once: one bit a cluster, from the lowest bit of the first byte on; 1 is in use. Whatever the bitmap does not
 * say counts as in use: bits in a sparse run, behind the valid size, behind the data size.
 */
final class BitmapReader {

    private static final int CHUNK = 1 << 20;
    /** Ours: bounds the memory that a bitmap of alternating bits costs, 16 bytes a range and three times over at the most. */
    static final int MAX_RANGES = 1 << 22;

    private final NtfsStream bitmap;
    private final long clusterCount;
    private final int clusterSize;
    private final int maxRanges;
    private ExtentSet.Builder free = ExtentSet.builder();
    private int ranges;
    private long minimumLength = 1;
    /** First cluster of the free range that is being read; below 0 while in a used one. */
    private long freeSince = -1;

    /**
     * @param clusterCount clusters of the volume: the bits behind these are padding
     * @param maxRanges how many free ranges to keep; with more of them the shortest are left out
     */
    BitmapReader(NtfsStream bitmap, long clusterCount, int maxRanges) {
        this.bitmap = bitmap;
        this.clusterCount = clusterCount;
        this.clusterSize = bitmap.clusterSize();
        this.maxRanges = maxRanges;
    }

    /** @return bytes of the bitmap that count; the highest bits of the last one may be padding */
    long believedSize() {
        return Math.min(Math.min(bitmap.validSize(), bitmap.dataSize()), (clusterCount + 7) / 8);
    }

    /** @return bytes; free ranges that are shorter were left out because there were too many */
    long minimumLength() {
        return minimumLength * clusterSize;
    }

    /** @return the free clusters, in bytes of the volume */
    ExtentSet read() throws IOException {
        long believed = believedSize();
        int chunkSize = (int) Math.min(CHUNK, (believed + Long.BYTES - 1) / Long.BYTES * Long.BYTES);
        ByteBuffer chunk = ByteBuffer.allocateDirect(chunkSize).order(ByteOrder.LITTLE_ENDIAN);
        RunList runs = bitmap.runs();
        for (int run = 0; run < runs.count() && runs.vcn(run) * clusterSize < believed; run++) {
            long start = runs.vcn(run) * clusterSize;
            long end = Math.min(start + runs.length(run) * clusterSize, believed);
            if (runs.lcn(run) == RunList.SPARSE) {
                used(start * 8);
                continue;
            }
            for (long at = start; at < end; at += chunkSize) {
                int length = (int) Math.min(chunkSize, end - at);
                bitmap.volume().read(runs.lcn(run) * clusterSize + at - start, chunk.clear().limit(length));
                scan(chunk, pad(chunk, length, clusterCount - at * 8), at * 8);
            }
        }
        used(Math.min(believed * 8, clusterCount));
        return free.build();
    }

    /**
     * Sets the bits of the last word that are no clusters: in use.
     *
     * @param length bytes read
     * @param clusters that are left from the chunk's first bit on
     * @return number of words
     */
    private static int pad(ByteBuffer chunk, int length, long clusters) {
        chunk.clear();
        int words = (length + Long.BYTES - 1) / Long.BYTES;
        for (int i = length; i < words * Long.BYTES; i++) {
            chunk.put(i, (byte) 0xFF);
        }
        if (clusters < words * 64L) {
            int last = (int) (clusters / 64) * Long.BYTES;
            chunk.putLong(last, chunk.getLong(last) | -1L << clusters % 64);
        }
        return words;
    }

    /** @param first the cluster of the lowest bit of the first word */
    private void scan(ByteBuffer chunk, int words, long first) {
        for (int i = 0; i < words; i++) {
            long word = chunk.getLong(i * Long.BYTES);
            // Most words are all free or all used.
            if (word == 0) {
                if (freeSince < 0) {
                    freeSince = first + i * 64L;
                }
            } else if (word == -1) {
                if (freeSince >= 0) {
                    used(first + i * 64L);
                }
            } else {
                scan(word, first + i * 64L);
            }
        }
    }

    private void scan(long word, long first) {
        int bit = 0;
        while (bit < 64) {
            long rest = word >>> bit;
            if (freeSince < 0) {
                bit += Long.numberOfTrailingZeros(~rest);   // at most 64 - bit: the shift has filled up with zeros
                if (bit < 64) {
                    freeSince = first + bit;
                }
            } else if (rest == 0) {
                return;
            } else {
                bit += Long.numberOfTrailingZeros(rest);
                used(first + bit);
            }
        }
    }

    /** Ends the free range that is being read, if there is one. @param cluster the first one behind it */
    private void used(long cluster) {
        if (freeSince < 0) {
            return;
        }
        if (ranges == maxRanges && cluster - freeSince >= minimumLength) {
            dropShortest();
        }
        if (cluster - freeSince >= minimumLength) {
            free.add(freeSince * clusterSize, (cluster - freeSince) * clusterSize);
            ranges++;
        }
        freeSince = -1;
    }

    /** Doubles the shortest length that counts until half of the ranges are gone: at the latest none is as long as that. */
    private void dropShortest() {
        ExtentSet kept = free.build();
        while (kept.count() > maxRanges / 2) {
            minimumLength *= 2;
            kept = kept.atLeast(minimumLength * clusterSize);
        }
        free = ExtentSet.builder().addAll(kept);
        ranges = kept.count();
    }
}
