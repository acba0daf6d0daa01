package io.lacuna.engine;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Finds what of a disk is all zeros by reading it: what its image may store, and nothing of what it does not or what is free
 * anyway. Memory is bounded: of a disk with more runs of zeros than {@value #MOST_RUNS} the shorter ones stay unnoticed.
 */
final class ZeroScan {

    /** Runs begin and end at these. */
    private static final int SECTOR = 512;
    /** Bytes; a shorter run is not worth a hole, but beside free space or more zeros it may complete one. */
    private static final int SHORTEST = 4096;
    private static final int MOST_RUNS = 1 << 18;
    private static final int CHUNK = 1 << 20;
    private static final long FETCHED_AHEAD = 16L * CHUNK;
    private static final long FETCHED_AT_ONCE = 4L * CHUNK;
    private static final ByteBuffer ZEROS = ByteBuffer.allocateDirect(SHORTEST).asReadOnlyBuffer();

    private final BlockSource disk;
    private final ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK).order(ByteOrder.nativeOrder());
    private final ByteBuffer page = chunk.duplicate();
    private final int mostRuns;
    private long[] starts = new long[64];
    private long[] ends = new long[64];
    private int count;
    private long shortest = SHORTEST;
    /** Where the run begins that is being followed; -1 if none is. */
    private long runStart = -1;

    /** Of the ranges that are looked at: how much of them the host was asked for, and what comes next. */
    private long announced;
    private int nextRange;
    private long nextByte;

    ZeroScan(BlockSource disk, int mostRuns) {
        this.disk = disk;
        this.mostRuns = mostRuns;
    }

    /**
     * @param free bytes of the disk that need not be looked at
     * @return other bytes that the image itself (not its parents) makes zeros, stored or not
     */
    static ExtentSet of(DiskImage image, ExtentSet free) throws IOException {
        ExtentSet own = image.ownRanges().minus(free);
        ExtentSet stored = own.intersect(image.mayHoldData());
        return own.minus(stored).union(new ZeroScan(image.guest(), MOST_RUNS).scan(stored));
    }

    /** @return runs of zeros in these ranges */
    ExtentSet scan(ExtentSet ranges) throws IOException {
        long done = 0;
        for (Extent range : ranges) {
            for (long at = range.offset(); at < range.end();) {
                announce(ranges, done + FETCHED_AHEAD);
                int length = (int) Math.min(CHUNK - at % CHUNK, range.end() - at);
                disk.read(at, chunk.clear().limit(length));
                look(at, length, range);
                at += length;
                done += length;
            }
            close(range.end(), range);
        }
        ExtentSet.Builder found = ExtentSet.builder();
        for (int i = 0; i < count; i++) {
            found.add(starts[i], ends[i] - starts[i]);
        }
        return found.build();
    }

    /** Has the host fetch what is read next, up to so many bytes of all. */
    private void announce(ExtentSet ranges, long most) {
        while (announced < most && nextRange < ranges.count()) {
            long start = Math.max(nextByte, ranges.start(nextRange));
            long length = Math.min(FETCHED_AT_ONCE, ranges.end(nextRange) - start);
            disk.prefetch(start, length);
            announced += length;
            nextByte = start + length;
            if (nextByte == ranges.end(nextRange)) {
                nextRange++;
            }
        }
    }

    private void look(long start, int length, Extent range) {
        for (int at = 0; at < length;) {
            int end = Math.min(length, at + (int) (SHORTEST - (start + at) % SHORTEST));
            int first = firstNonZero(at, end);
            if (first < 0) {
                open(start + at);
            } else {
                long lead = start + first - (start + first) % SECTOR;
                if (lead > start + at) {
                    open(start + at);
                }
                close(Math.max(lead, start + at), range);
                long behind = start + lastNonZero(at, end);
                long trail = behind + Math.floorMod(-behind, SECTOR);
                if (trail < start + end) {
                    open(trail);
                }
            }
            at = end;
        }
    }

    /** @return index of the first byte of the chunk that is not 0; -1 if all are */
    private int firstNonZero(int from, int to) {
        // Most pages tell at once.
        if (chunk.get(from) != 0) {
            return from;
        }
        page.limit(to).position(from);
        int length = to - from;
        int mismatch = page.mismatch(length == SHORTEST ? ZEROS : ZEROS.slice(0, length));
        return mismatch < 0 ? -1 : from + mismatch;
    }

    /** @return index behind the last byte of the chunk that is not 0, of a range with such a byte */
    private int lastNonZero(int from, int to) {
        int at = to;
        while (at - Long.BYTES >= from && chunk.getLong(at - Long.BYTES) == 0) {
            at -= Long.BYTES;
        }
        return at;
    }

    private void open(long at) {
        if (runStart < 0) {
            runStart = at;
        }
    }

    /** @param range a run that reaches its edge counts however short it is */
    private void close(long end, Extent range) {
        long start = runStart;
        runStart = -1;
        if (start < 0 || end - start < shortest && start != range.offset() && end != range.end()) {
            return;
        }
        if (count == starts.length) {
            if (count >= mostRuns) {
                dropShortest();
            } else {
                int larger = Math.min(mostRuns, count * 2);
                starts = Arrays.copyOf(starts, larger);
                ends = Arrays.copyOf(ends, larger);
            }
        }
        starts[count] = start;
        ends[count++] = end;
    }

    private void dropShortest() {
        while (count > mostRuns / 2) { // Ends: no run is longer than the disk.
            shortest *= 2;
            int kept = 0;
            for (int i = 0; i < count; i++) {
                if (ends[i] - starts[i] >= shortest) {
                    starts[kept] = starts[i];
                    ends[kept++] = ends[i];
                }
            }
            count = kept;
        }
    }
}
