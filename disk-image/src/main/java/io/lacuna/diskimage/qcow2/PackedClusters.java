package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;

/**
 * A small number for every cluster of a file: two bits each where they suffice, more where they do not, nothing for
 * stretches of zeros. Sixteen million clusters (1 TiB in clusters of 64 KiB) cost 4 MiB.
 */
final class PackedClusters {

    private static final int CHUNK_BITS = 12;
    private static final int CHUNK = 1 << CHUNK_BITS;
    /** Widths of a number, as powers of two, by what a chunk of it measures in longs. */
    private static final int NARROW_LOG = 1;
    private static final int MIDDLE_LOG = 3;
    private static final int WIDE_LOG = 5;
    /** Ours: no image may use more than this part of the memory for one such table, so that a hostile one ends in words. */
    private static final int MEMORY_SHARE = 8;
    private static final long LEAST_BYTES = 4 << 20;

    private final long[][] chunks;
    private long bytesLeft = Math.max(LEAST_BYTES, Runtime.getRuntime().maxMemory() / MEMORY_SHARE);

    /** @param clusters how many there are, each 0 at first */
    PackedClusters(long clusters) throws UnsupportedException {
        long needed = (clusters + CHUNK - 1) >>> CHUNK_BITS;
        if (needed > Integer.MAX_VALUE / 16) {
            throw tooMany();
        }
        spend(needed * Long.BYTES);
        chunks = new long[(int) needed][];
    }

    /** @param cluster index, less than the number of clusters */
    int get(long cluster) {
        long[] words = chunks[(int) (cluster >>> CHUNK_BITS)];
        if (words == null) {
            return 0;
        }
        int log = widthLog(words);
        int bit = (int) (cluster & CHUNK - 1) << log;
        return (int) (words[bit >>> 6] >>> bit & mask(log));
    }

    /** @return how many clusters from this one on are sure to have 0, as far as that can be told at once; 0 if unknown */
    int zerosFrom(long cluster) {
        return chunks[(int) (cluster >>> CHUNK_BITS)] != null ? 0 : CHUNK - (int) (cluster & CHUNK - 1);
    }

    /** @param value 0 or more */
    void set(long cluster, int value) throws UnsupportedException {
        int index = (int) (cluster >>> CHUNK_BITS);
        long[] words = chunks[index];
        if (words == null) {
            words = allocate(NARROW_LOG);
            chunks[index] = words;
        }
        int log = widthLog(words);
        while (value > mask(log)) {
            words = widen(words, log);
            chunks[index] = words;
            log = widthLog(words);
        }
        int bit = (int) (cluster & CHUNK - 1) << log;
        words[bit >>> 6] = words[bit >>> 6] & ~(mask(log) << bit) | (long) value << bit;
    }

    /** Adds a number, which may be negative, to that of a cluster. @return the sum */
    int add(long cluster, int amount) throws CorruptException, UnsupportedException {
        long sum = (long) get(cluster) + amount;
        if (sum > Integer.MAX_VALUE || sum < 0) {
            throw new CorruptException("references to cluster " + cluster, -1, "less than 2^31", sum);
        }
        set(cluster, (int) sum);
        return (int) sum;
    }

    private long[] widen(long[] words, int log) throws UnsupportedException {
        int wider = log == NARROW_LOG ? MIDDLE_LOG : WIDE_LOG;
        long[] wide = allocate(wider);
        for (int i = 0; i < CHUNK; i++) {
            long value = words[i << log >>> 6] >>> (i << log) & mask(log);
            wide[i << wider >>> 6] |= value << (i << wider);
        }
        return wide;
    }

    private long[] allocate(int log) throws UnsupportedException {
        int longs = CHUNK << log >>> 6;
        spend((long) longs * Long.BYTES);
        return new long[longs];
    }

    private void spend(long bytes) throws UnsupportedException {
        bytesLeft -= bytes;
        if (bytesLeft < 0) {
            throw tooMany();
        }
    }

    private static UnsupportedException tooMany() {
        return new UnsupportedException("the reference counts of the image's clusters do not fit into the memory that Java"
                + " may use here: give it more (java -Xmx)");
    }

    private static int widthLog(long[] words) {
        return words.length == CHUNK >>> 5 ? NARROW_LOG : words.length == CHUNK >>> 3 ? MIDDLE_LOG : WIDE_LOG;
    }

    private static long mask(int log) {
        return log == WIDE_LOG ? 0xFFFF_FFFFL : (1L << (1 << log)) - 1;
    }
}
