package io.lacuna.fs.ntfs;

/**
 * The data runs of one non-resident attribute, or of the piece of it that a file record holds, one after the other and without an
 * object for each: {@link DataRuns} for many records. Source: libfsntfs, "Data runs".
 */
final class AttributeRuns {

    static final int NON_RESIDENT = 0x08;               // u8
    private static final int FIRST_VCN = 0x10;          // u64
    private static final int LAST_VCN = 0x18;           // s64, -1 in an attribute without clusters
    private static final int PAIRS_OFFSET = 0x20;       // u16
    private static final int ALLOCATED_SIZE = 0x28;     // u64, bytes; only where the first VCN is 0
    private static final int MAPPING_HEADER_SIZE = 0x40;
    /** Ours: so many clusters of 2 MiB are 2^63 bytes. */
    private static final long MAX_VCN = (1L << 42) - 1;

    private final long volumeClusters;
    private final int clusterSize;
    private RecordBytes bytes;
    private int attribute;
    private int at;
    private int end;
    private long endVcn;
    /** Where the last VCN may be 0 although there are more clusters: then the allocated size tells how many. */
    private boolean endUnknown;
    private long nextVcn;
    private long vcn;
    private long lastLcn;
    private boolean sparse;
    private long clusters;
    private String fault;
    private int faultAt;
    private String expected;
    private long found;
    private long count;
    private long totalBytes;

    AttributeRuns(NtfsBootSector boot) {
        volumeClusters = boot.clusterCount();
        clusterSize = boot.clusterSize();
    }

    /**
     * Goes to an attribute.
     *
     * @param record with its fix-ups applied
     * @param start where the attribute begins
     * @param length bytes of it, all inside of the record, at least {@link Attribute#MINIMUM_SIZE}
     */
    void start(RecordBytes record, int start, int length) {
        bytes = record;
        attribute = start;
        end = start + length;
        fault = null;
        lastLcn = 0;
        if (length < PAIRS_OFFSET + Short.BYTES) {
            fail("length", 4, "room for a mapping", length);
            return;
        }
        nextVcn = record.s64(start + FIRST_VCN);
        long lastVcn = record.s64(start + LAST_VCN);
        int pairs = record.u16(start + PAIRS_OFFSET);
        at = start + pairs;
        endVcn = lastVcn + 1;
        // Some writers leave the last VCN of an attribute in one piece at 0.
        endUnknown = nextVcn == 0 && lastVcn == 0;
        if (nextVcn < 0 || nextVcn > MAX_VCN || lastVcn < nextVcn - 1 || lastVcn >= MAX_VCN) {
            fail("last cluster it maps", LAST_VCN, "from " + (nextVcn - 1) + " to " + (MAX_VCN - 1), lastVcn);
        } else if (pairs > length || pairs < (nextVcn == 0 ? MAPPING_HEADER_SIZE : PAIRS_OFFSET + Short.BYTES)) {
            fail("place of the data runs", PAIRS_OFFSET, "behind the header, inside of the attribute", pairs);
        }
    }

    /** @return whether there is one more; false at the end, and at a {@link #fault()} */
    boolean next() {
        if (fault != null) {
            return false;
        }
        int header = at < end ? bytes.u8(at) : 0;
        if (header == 0) {
            checkEnd();
            return false;
        }
        int lengthSize = header & 0xF;
        int distanceSize = header >> 4;
        if (lengthSize == 0 || lengthSize > 8 || distanceSize > 8 || lengthSize + distanceSize >= end - at) {
            return fail("header of a data run", at - attribute, "two sizes of at most 8 inside of the attribute", header);
        }
        long length = signed(at + 1, lengthSize);
        long room = (endUnknown ? MAX_VCN : endVcn) - nextVcn;
        if (length <= 0 || length > room) {
            return fail("length of a data run", at + 1 - attribute, "1 to " + room, length);
        }
        sparse = distanceSize == 0;
        if (!sparse) {
            long distance = signed(at + 1 + lengthSize, distanceSize);
            // lastLcn lies in the volume, so neither difference overflows.
            if (distance < -lastLcn || distance > volumeClusters - length - lastLcn) {
                return fail("place of a data run of " + length + " clusters", at + 1 + lengthSize - attribute,
                        "a step from cluster " + lastLcn + " that stays inside the " + volumeClusters + " of the volume", distance);
            }
            lastLcn += distance;
            count++;
            totalBytes += length * clusterSize;
        }
        vcn = nextVcn;
        clusters = length;
        nextVcn += length;
        at += 1 + lengthSize + distanceSize;
        return true;
    }

    private void checkEnd() {
        boolean allThere = nextVcn == endVcn
                || endUnknown && nextVcn == bytes.s64(attribute + ALLOCATED_SIZE) / clusterSize;
        if (!allThere) {
            fail("data runs", at - attribute, "as far as cluster " + endVcn + " of the stream", nextVcn);
        }
    }

    private long signed(int from, int size) {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (long) bytes.u8(from + i) << (8 * i);
        }
        int unused = 64 - 8 * size;
        return value << unused >> unused;
    }

    private boolean fail(String what, int field, String wanted, long value) {
        fault = what;
        faultAt = attribute + field;
        expected = wanted;
        found = value;
        return false;
    }

    /** @return first cluster of the run in the stream */
    long vcn() {
        return vcn;
    }

    /** @return first cluster of the run on the volume, or {@link RunList#SPARSE} */
    long lcn() {
        return sparse ? RunList.SPARSE : lastLcn;
    }

    /** @return where the run lies on the volume, in bytes */
    long offset() {
        return lastLcn * clusterSize;
    }

    /** @return bytes of the run */
    long length() {
        return clusters * clusterSize;
    }

    /** @return which field contradicts the format; null as long as none does */
    String fault() {
        return fault;
    }

    /** @return where that field stands in the record */
    int faultAt() {
        return faultAt;
    }

    String expected() {
        return expected;
    }

    long found() {
        return found;
    }

    /** @return number of runs with clusters of all attributes so far */
    long count() {
        return count;
    }

    /** @return bytes of the clusters of all attributes so far */
    long bytes() {
        return totalBytes;
    }
}
