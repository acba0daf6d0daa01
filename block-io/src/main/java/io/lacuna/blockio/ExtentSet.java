package io.lacuna.blockio;

import java.util.Arrays;
import java.util.Iterator;
import java.util.NoSuchElementException;

/**
 * An immutable set of bytes, held as sorted, disjoint, non-adjacent ranges of at least one byte. Sixteen bytes of memory
 * a range, so that the free space of a large volume costs its fragmentation and not its size.
 */
public final class ExtentSet implements Iterable<Extent> {

    public static final ExtentSet EMPTY = new ExtentSet(new long[0], 0);

    /** start 0, end 0, start 1, end 1 … */
    private final long[] bounds;
    private final int count;

    private ExtentSet(long[] bounds, int count) {
        this.bounds = bounds;
        this.count = count;
    }

    /** @return the set of exactly these bytes; the ranges may overlap and stand in any order */
    public static ExtentSet of(Extent... extents) {
        Builder builder = new Builder();
        for (Extent extent : extents) {
            builder.add(extent.offset(), extent.length());
        }
        return builder.build();
    }

    /** @return the bytes {@code [offset, offset + length)}; empty for length 0 */
    public static ExtentSet ofRange(long offset, long length) {
        return new Builder().add(offset, length).build();
    }

    public static Builder builder() {
        return new Builder();
    }

    /** @return the number of ranges */
    public int count() {
        return count;
    }

    public boolean isEmpty() {
        return count == 0;
    }

    /** @return first byte of the range with this index, counted from 0 */
    public long start(int index) {
        return bounds[2 * checked(index)];
    }

    /** @return first byte behind the range with this index, counted from 0 */
    public long end(int index) {
        return bounds[2 * checked(index) + 1];
    }

    public Extent get(int index) {
        return new Extent(start(index), end(index) - start(index));
    }

    private int checked(int index) {
        if (index < 0 || index >= count) {
            throw new IndexOutOfBoundsException(index);
        }
        return index;
    }

    public long totalBytes() {
        long total = 0;
        for (int i = 0; i < count; i++) {
            total += bounds[2 * i + 1] - bounds[2 * i];
        }
        return total;
    }

    /** @return the index of the first range that ends behind this position; {@link #count()} if there is none */
    public int indexOfFirstEndingAfter(long position) {
        int low = 0;
        int high = count;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (bounds[2 * middle + 1] > position) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }

    /** @return whether every byte of {@code [offset, offset + length)} is in the set; true for length 0 */
    public boolean contains(long offset, long length) {
        if (length == 0) {
            return true;
        }
        int index = indexOfFirstEndingAfter(offset);
        return index < count && bounds[2 * index] <= offset && bounds[2 * index + 1] - offset >= length;
    }

    /** @return whether at least one byte of {@code [offset, offset + length)} is in the set */
    public boolean intersects(long offset, long length) {
        int index = indexOfFirstEndingAfter(offset);
        return length > 0 && index < count && bounds[2 * index] - offset < length;
    }

    public ExtentSet union(ExtentSet other) {
        if (isEmpty()) {
            return other;
        }
        if (other.isEmpty()) {
            return this;
        }
        Builder merged = new Builder();
        int i = 0;
        int j = 0;
        while (i < count || j < other.count) {
            if (j == other.count || (i < count && bounds[2 * i] <= other.bounds[2 * j])) {
                merged.append(bounds[2 * i], bounds[2 * i + 1]);
                i++;
            } else {
                merged.append(other.bounds[2 * j], other.bounds[2 * j + 1]);
                j++;
            }
        }
        return merged.buildOr(this, other);
    }

    public ExtentSet intersect(ExtentSet other) {
        Builder common = new Builder();
        int i = 0;
        int j = 0;
        while (i < count && j < other.count) {
            long start = Math.max(bounds[2 * i], other.bounds[2 * j]);
            long end = Math.min(bounds[2 * i + 1], other.bounds[2 * j + 1]);
            if (start < end) {
                common.append(start, end);
            }
            if (bounds[2 * i + 1] < other.bounds[2 * j + 1]) {
                i++;
            } else {
                j++;
            }
        }
        return common.buildOr(this, other);
    }

    public ExtentSet intersect(Extent range) {
        int index = indexOfFirstEndingAfter(range.offset());
        Builder common = new Builder();
        for (; index < count && bounds[2 * index] < range.end(); index++) {
            common.append(Math.max(bounds[2 * index], range.offset()), Math.min(bounds[2 * index + 1], range.end()));
        }
        return common.buildOr(this);
    }

    /** @return the bytes of this set that are not in the other */
    public ExtentSet minus(ExtentSet other) {
        Builder rest = new Builder();
        int j = 0;
        for (int i = 0; i < count; i++) {
            long position = bounds[2 * i];
            long end = bounds[2 * i + 1];
            while (j < other.count && other.bounds[2 * j + 1] <= position) {
                j++;
            }
            for (int k = j; k < other.count && other.bounds[2 * k] < end; k++) {
                if (other.bounds[2 * k] > position) {
                    rest.append(position, other.bounds[2 * k]);
                }
                position = Math.max(position, other.bounds[2 * k + 1]);
            }
            if (position < end) {
                rest.append(position, end);
            }
        }
        return rest.buildOr(this);
    }

    /**
     * @param distance bytes to add to every position, may be negative
     * @throws IllegalArgumentException if a byte would leave {@code [0, 2^63)}
     */
    public ExtentSet shift(long distance) {
        Builder moved = new Builder();
        for (int i = 0; i < count; i++) {
            long length = bounds[2 * i + 1] - bounds[2 * i];
            try {
                moved.add(Math.addExact(bounds[2 * i], distance), length);
            } catch (ArithmeticException e) {
                throw new IllegalArgumentException("shift by " + distance + " overflows", e);
            }
        }
        return moved.build();
    }

    /**
     * Only the whole blocks inside the set: starts round up, ends round down. This rounding is what keeps a live byte
     * beside a free one alive.
     *
     * @param blockSize bytes, above 0
     */
    public ExtentSet inwardTo(long blockSize) {
        return inwardTo(blockSize, 0);
    }

    /**
     * Like {@link #inwardTo(long)}, for blocks that start at {@code phase}, {@code phase + blockSize} … (and before).
     *
     * @param blockSize bytes, above 0
     * @param phase position of any block's first byte
     */
    public ExtentSet inwardTo(long blockSize, long phase) {
        if (blockSize <= 0) {
            throw new IllegalArgumentException("block size " + blockSize);
        }
        if (blockSize == 1) {
            return this;
        }
        Builder whole = new Builder();
        long offset = Math.floorMod(phase, blockSize);
        for (int i = 0; i < count; i++) {
            long end = bounds[2 * i + 1] - Math.floorMod(bounds[2 * i + 1] - offset, blockSize);
            long gap = Math.floorMod(offset - bounds[2 * i], blockSize);
            if (gap < end - bounds[2 * i]) {
                whole.append(bounds[2 * i] + gap, end);
            }
        }
        return whole.buildOr(this);
    }

    /** @return the ranges that are at least this long, whole */
    public ExtentSet atLeast(long minimumLength) {
        Builder large = new Builder();
        for (int i = 0; i < count; i++) {
            if (bounds[2 * i + 1] - bounds[2 * i] >= minimumLength) {
                large.append(bounds[2 * i], bounds[2 * i + 1]);
            }
        }
        return large.buildOr(this);
    }

    @Override
    public Iterator<Extent> iterator() {
        return new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < count;
            }

            @Override
            public Extent next() {
                if (next >= count) {
                    throw new NoSuchElementException();
                }
                return get(next++);
            }
        };
    }

    @Override
    public boolean equals(Object object) {
        return object instanceof ExtentSet other
                && Arrays.equals(bounds, 0, 2 * count, other.bounds, 0, 2 * other.count);
    }

    @Override
    public int hashCode() {
        int hash = 1;
        for (int i = 0; i < 2 * count; i++) {
            hash = 31 * hash + Long.hashCode(bounds[i]);
        }
        return hash;
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder("{");
        int shown = Math.min(count, 20);
        for (int i = 0; i < shown; i++) {
            text.append(i == 0 ? "" : ", ").append(get(i));
        }
        return text.append(shown < count ? ", … " + count + " ranges}" : "}").toString();
    }

    /** Collects ranges. Ascending order, in which every reader of a bitmap works, costs no sorting. */
    public static final class Builder {
        private long[] bounds = new long[16];
        private int count;
        private boolean sorted = true;

        private Builder() {
        }

        /**
         * Adds {@code [offset, offset + length)}; nothing for length 0.
         *
         * @throws IllegalArgumentException if the range is negative or overflows: a bug of the caller, never data
         */
        public Builder add(long offset, long length) {
            if (offset < 0 || length < 0 || offset > Long.MAX_VALUE - length) {
                throw new IllegalArgumentException("no such extent: offset " + offset + ", length " + length);
            }
            if (length > 0) {
                append(offset, offset + length);
            }
            return this;
        }

        public Builder addAll(ExtentSet set) {
            for (int i = 0; i < set.count; i++) {
                append(set.bounds[2 * i], set.bounds[2 * i + 1]);
            }
            return this;
        }

        private void append(long start, long end) {
            if (count > 0) {
                long lastStart = bounds[2 * count - 2];
                long lastEnd = bounds[2 * count - 1];
                if (start >= lastStart && start <= lastEnd) {
                    bounds[2 * count - 1] = Math.max(lastEnd, end);
                    return;
                }
                sorted &= start > lastEnd;
            }
            if (2 * count == bounds.length) {
                bounds = Arrays.copyOf(bounds, Math.multiplyExact(bounds.length, 2));
            }
            bounds[2 * count] = start;
            bounds[2 * count + 1] = end;
            count++;
        }

        /** @return the set of all bytes added so far; the builder can go on */
        public ExtentSet build() {
            if (count == 0) {
                return EMPTY;
            }
            if (!sorted) {
                sortAndMerge();
            }
            return new ExtentSet(Arrays.copyOf(bounds, 2 * count), count);
        }

        /** @return one of these sets if it is the same: it is in memory already, and there may be millions of ranges */
        private ExtentSet buildOr(ExtentSet... known) {
            for (ExtentSet set : known) {
                if (sorted && Arrays.equals(bounds, 0, 2 * count, set.bounds, 0, 2 * set.count)) {
                    return set;
                }
            }
            return build();
        }

        private void sortAndMerge() {
            Extent[] extents = new Extent[count];
            for (int i = 0; i < count; i++) {
                extents[i] = new Extent(bounds[2 * i], bounds[2 * i + 1] - bounds[2 * i]);
            }
            Arrays.sort(extents);
            count = 0;
            sorted = true;
            for (Extent extent : extents) {
                append(extent.offset(), extent.end());
            }
        }
    }
}
