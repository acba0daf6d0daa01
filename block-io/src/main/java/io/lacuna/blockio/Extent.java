package io.lacuna.blockio;

/**
 * A byte range {@code [offset, offset + length)}.
 *
 * @param offset first byte, at least 0
 * @param length number of bytes, above 0; {@code offset + length} does not overflow
 */
public record Extent(long offset, long length) implements Comparable<Extent> {

    /** @throws IllegalArgumentException if the range is empty, negative or overflows: a bug of the caller, never data */
    public Extent {
        if (offset < 0 || length <= 0 || offset > Long.MAX_VALUE - length) {
            throw new IllegalArgumentException("no such extent: offset " + offset + ", length " + length);
        }
    }

    /** @return the first byte behind the range */
    public long end() {
        return offset + length;
    }

    public boolean contains(long position) {
        return position >= offset && position < end();
    }

    public boolean contains(Extent other) {
        return other.offset >= offset && other.end() <= end();
    }

    public boolean intersects(Extent other) {
        return offset < other.end() && other.offset < end();
    }

    @Override
    public int compareTo(Extent other) {
        int byOffset = Long.compare(offset, other.offset);
        return byOffset != 0 ? byOffset : Long.compare(length, other.length);
    }

    @Override
    public String toString() {
        return "[" + offset + ", " + end() + ")";
    }
}
