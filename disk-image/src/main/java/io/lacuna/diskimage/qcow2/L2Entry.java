package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.CorruptException;

/**
 * The bits of L1 and L2 entries. An L2 entry is one 64-bit number, with extended L2 entries followed by a second one: a
 * bit per subcluster that is stored (0 to 31) and a bit per subcluster that reads as zeros (32 to 63). Source: QEMU
 * {@code docs/interop/qcow2}, "Cluster mapping" and "Extended L2 Entries".
 */
final class L2Entry {

    /** The cluster's reference count is exactly one: it may be written in place. */
    static final long COPIED = 1L << 63;
    static final long COMPRESSED = 1L << 62;
    /** Reads as zeros, whatever the offset is; version 3 without extended L2 entries only. */
    static final long ZERO = 1;
    static final long OFFSET = 0x00FF_FFFF_FFFF_FE00L;
    /** The second number of an extended entry whose subclusters all read as zeros. */
    static final long ALL_ZERO = 0xFFFF_FFFF_0000_0000L;
    static final int SUBCLUSTERS = 32;

    private static final long ALLOCATED_BITS = 0xFFFF_FFFFL;
    private static final long L1_RESERVED = 0x7F00_0000_0000_01FFL;
    private static final long L2_RESERVED = 0x3F00_0000_0000_01FEL;

    /** What an L2 entry says of its cluster. */
    enum Kind { UNALLOCATED, ZERO, STORED, COMPRESSED }

    private final Qcow2Header header;

    L2Entry(Qcow2Header header) {
        this.header = header;
    }

    /**
     * @param index of the entry in its L1 table
     * @return byte of the L2 table; 0 if there is none
     */
    long l2Offset(long l1Entry, long index, long tableOffset) throws CorruptException {
        long offset = l1Entry & OFFSET;
        if ((l1Entry & L1_RESERVED) != 0 || (offset & header.clusterSize() - 1) != 0) {
            throw new CorruptException("L1 entry " + index, tableOffset + index * Long.BYTES,
                    "an offset of whole clusters, no reserved bits", "0x" + Long.toHexString(l1Entry));
        }
        return offset;
    }

    /**
     * Kind of a cluster. With extended entries STORED means only that a host cluster is assigned, and UNALLOCATED that none is.
     *
     * @param entry the first number
     * @param guest first guest byte of the cluster, for messages and the data file's rule; negative for none
     */
    Kind kind(long entry, long guest) throws CorruptException {
        if ((entry & COMPRESSED) != 0) {
            if ((entry & COPIED) != 0 || header.hasDataFile()) {
                throw wrong(entry, guest, "a compressed cluster without COPIED flag and without data file");
            }
            return Kind.COMPRESSED;
        }
        long offset = entry & OFFSET;
        boolean zero = (entry & ZERO) != 0;
        if ((entry & L2_RESERVED) != 0 || (offset & header.clusterSize() - 1) != 0
                || zero && (header.version() < 3 || header.extendedL2())) {
            throw wrong(entry, guest, "an offset of whole clusters, no reserved bits");
        }
        boolean assigned = offset != 0 || header.hasDataFile() && (entry & COPIED) != 0;
        if (assigned && header.hasDataFile() && guest >= 0 && offset != guest) {
            throw wrong(entry, guest, "an offset in the data file that is the guest offset");
        }
        return zero ? Kind.ZERO : assigned ? Kind.STORED : Kind.UNALLOCATED;
    }

    /** Whether a standard entry (not compressed) assigns a host cluster, be it for zeros. */
    boolean hasHostCluster(long entry) {
        return (entry & OFFSET) != 0 || header.hasDataFile() && (entry & COPIED) != 0;
    }

    /** Checks the second number of an extended entry. */
    void checkSubclusters(long bits, long entry, long guest) throws CorruptException {
        if ((bits >>> SUBCLUSTERS & bits & ALLOCATED_BITS) != 0
                || (bits & ALLOCATED_BITS) != 0 && !hasHostCluster(entry)) {
            throw wrong(bits, guest, "subclusters that are stored or zero, not both, and have a host cluster if stored");
        }
    }

    /** @param subcluster index within the cluster */
    static Kind subclusterKind(long bits, int subcluster) {
        return (bits >>> subcluster & 1) != 0 ? Kind.STORED
                : (bits >>> SUBCLUSTERS + subcluster & 1) != 0 ? Kind.ZERO : Kind.UNALLOCATED;
    }

    /** @return byte of the file where the data of a compressed cluster start */
    long compressedOffset(long entry) {
        return entry & (1L << compressedShift()) - 1;
    }

    /**
     * @return bytes from {@link #compressedOffset} to the end of the last sector that the data touch; the field counts the
     *     sectors behind the first
     */
    long compressedLength(long entry) {
        long more = entry >>> compressedShift() & (1L << (header.clusterBits() - 8)) - 1;
        return (more + 1) * 512 - (compressedOffset(entry) & 511);
    }

    private int compressedShift() {
        return 62 - (header.clusterBits() - 8);
    }

    private static CorruptException wrong(long entry, long guest, String expected) {
        String what = guest < 0 ? "L2 entry of a snapshot" : "L2 entry of guest byte 0x" + Long.toHexString(guest);
        return new CorruptException(what, -1, expected, "0x" + Long.toHexString(entry));
    }
}
