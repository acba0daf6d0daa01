package io.lacuna.fs.ext;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;

/** Collects byte ranges, best in ascending order, and bounds how many. */
final class Ranges {

    /** Ours: 128 MiB of memory. A volume in more pieces would gain next to nothing anyway. */
    static final int LIMIT = 1 << 23;

    private final ExtentSet.Builder builder = ExtentSet.builder();
    private final String what;
    private final int limit;
    private long end = -1;
    private int count;
    private long bytes;

    /** @param what what the ranges are, for the error */
    Ranges(String what) {
        this(what, LIMIT);
    }

    Ranges(String what, int limit) {
        this.what = what;
        this.limit = limit;
    }

    /**
     * @param offset bytes from the start of the volume
     * @param length bytes, above 0; the caller knows that the range is inside of the volume
     */
    void add(long offset, long length) throws UnsupportedException {
        if (offset != end && ++count > limit) {
            throw new UnsupportedException("the file system has " + what + " in more than " + limit
                    + " pieces, more than can be held: defragment it in the guest (e4defrag)");
        }
        builder.add(offset, length);
        end = offset + length;
        bytes += length;
    }

    /** @return the sum of all lengths: more than that of the set if ranges overlap */
    long bytes() {
        return bytes;
    }

    ExtentSet build() {
        return builder.build();
    }
}
