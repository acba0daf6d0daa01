package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.nio.charset.StandardCharsets;

/**
 * An attribute of a file record, or one of the pieces it is in, little-endian. Source: libfsntfs, "MFT attribute".
 *
 * @param type one of the constants below
 * @param name empty for most
 * @param flags of the data: {@link #COMPRESSED}, {@link #ENCRYPTED}, {@link #SPARSE}
 * @param value the bytes of a resident attribute; null if it is not resident
 * @param mapping where a non-resident attribute lies; null if it is resident
 */
record Attribute(int type, String name, int flags, Bytes value, Mapping mapping) {

    static final int ATTRIBUTE_LIST = 0x20;
    static final int VOLUME_NAME = 0x60;
    static final int VOLUME_INFORMATION = 0x70;
    static final int DATA = 0x80;
    static final int INDEX_ROOT = 0x90;
    static final int INDEX_ALLOCATION = 0xA0;
    static final int END = 0xFFFFFFFF;

    static final int COMPRESSED = 0x00FF;
    static final int ENCRYPTED = 0x4000;
    static final int SPARSE = 0x8000;

    static final int MINIMUM_SIZE = 0x18;

    private static final int NON_RESIDENT = 0x08;       // u8
    private static final int NAME_LENGTH = 0x09;        // u8, UTF-16 characters
    private static final int NAME_OFFSET = 0x0A;        // u16
    private static final int FLAGS = 0x0C;              // u16
    private static final int VALUE_LENGTH = 0x10;       // u32, resident
    private static final int VALUE_OFFSET = 0x14;       // u16, resident
    private static final int FIRST_VCN = 0x10;          // u64
    private static final int LAST_VCN = 0x18;           // s64, -1 in an attribute without clusters
    private static final int PAIRS_OFFSET = 0x20;       // u16
    private static final int ALLOCATED_SIZE = 0x28;     // u64, bytes; this and the next two only where the first VCN is 0
    private static final int DATA_SIZE = 0x30;          // u64, bytes
    private static final int VALID_SIZE = 0x38;         // u64, bytes
    private static final int MAPPING_HEADER_SIZE = 0x40;

    /** Ours: so many clusters of 2 MiB are 2^63 bytes. */
    private static final long MAX_VCN = (1L << 42) - 1;

    /**
     * A piece of a non-resident attribute.
     *
     * @param firstVcn its first cluster, counted in the stream
     * @param endVcn the cluster behind its last one
     * @param allocatedSize bytes of the whole stream's clusters; this and the next two only where {@code firstVcn} is 0
     * @param dataSize bytes of the whole stream
     * @param validSize bytes of the whole stream that have ever been written: what lies behind reads as zeros
     * @param pairs encoded runs
     */
    record Mapping(long firstVcn, long endVcn, long allocatedSize, long dataSize, long validSize, Bytes pairs) {
    }

    /** @param bytes exactly the attribute */
    static Attribute parse(Bytes bytes) throws CorruptException {
        int type = bytes.s32(0);
        String name = utf16(bytes, bytes.u16(NAME_OFFSET), bytes.u8(NAME_LENGTH));
        int flags = bytes.u16(FLAGS);
        if (bytes.u8(NON_RESIDENT) == 0) {
            long length = bytes.u32(VALUE_LENGTH);
            int offset = bytes.u16(VALUE_OFFSET);
            if (offset > bytes.length() || length > bytes.length() - offset) {
                throw bytes.corrupt("NTFS attribute: length of its value", VALUE_LENGTH,
                        "at most the rest of the attribute", length);
            }
            return new Attribute(type, name, flags, bytes.slice(offset, (int) length), null);
        }
        return new Attribute(type, name, flags, null, mapping(bytes));
    }

    private static Mapping mapping(Bytes bytes) throws CorruptException {
        long firstVcn = bytes.u64(FIRST_VCN);
        long lastVcn = bytes.s64(LAST_VCN);
        if (firstVcn > MAX_VCN || lastVcn < firstVcn - 1 || lastVcn >= MAX_VCN) {
            throw bytes.corrupt("NTFS attribute: clusters it maps", FIRST_VCN, "a first and a last one",
                    firstVcn + " to " + lastVcn);
        }
        int pairsOffset = bytes.u16(PAIRS_OFFSET);
        if (pairsOffset < MAPPING_HEADER_SIZE && firstVcn == 0 || pairsOffset > bytes.length()) {
            throw bytes.corrupt("NTFS attribute: place of the data runs", PAIRS_OFFSET, "behind the header", pairsOffset);
        }
        Bytes pairs = bytes.slice(pairsOffset, bytes.length() - pairsOffset);
        if (firstVcn > 0) {
            return new Mapping(firstVcn, lastVcn + 1, 0, 0, 0, pairs);
        }
        long allocatedSize = bytes.u64(ALLOCATED_SIZE);
        long dataSize = bytes.u64(DATA_SIZE);
        long validSize = bytes.u64(VALID_SIZE);
        if (validSize > dataSize || dataSize > allocatedSize) {
            throw bytes.corrupt("NTFS attribute: sizes", ALLOCATED_SIZE, "valid <= data <= allocated",
                    validSize + ", " + dataSize + ", " + allocatedSize);
        }
        return new Mapping(firstVcn, lastVcn + 1, allocatedSize, dataSize, validSize, pairs);
    }

    boolean isResident() {
        return value != null;
    }

    boolean is(int wantedType, String wantedName) {
        return type == wantedType && name.equals(wantedName);
    }

    /** @return so many characters that start at this byte */
    static String utf16(Bytes bytes, int at, int characters) throws CorruptException {
        return characters == 0 ? "" : new String(bytes.copy(at, 2 * characters), StandardCharsets.UTF_16LE);
    }
}
