package io.lacuna.partition;

/**
 * How block addresses of a table become bytes. Disk values are untrusted: nothing here overflows, what is too large for the
 * disk stays too large.
 *
 * @param diskSize bytes
 * @param sectorSize bytes, 512 or 4096
 */
record DiskGeometry(long diskSize, int sectorSize) {

    /** Far behind any disk, and still safe to add two of. */
    private static final long BEYOND = Long.MAX_VALUE / 2;

    /** @return number of whole sectors */
    long sectors() {
        return diskSize / sectorSize;
    }

    /** @param count sectors, as an unsigned 64-bit number. @return bytes; a value behind every disk if there are too many */
    long bytes(long count) {
        return count < 0 || count > BEYOND / sectorSize ? BEYOND : count * sectorSize;
    }

    /** @return whether {@code [start, start + count)} in sectors is not empty and lies on the disk */
    boolean contains(long start, long count) {
        return start >= 0 && count > 0 && start <= sectors() && count <= sectors() - start;
    }
}
