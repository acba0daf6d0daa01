package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Compares $Bitmap with every file record: no cluster that a record in use names may be free. A record is in use if it says so or
 * if the MFT's own bitmap does. Reads the MFT once from front to back, which somebody has
 * announced ({@link MasterFileTable#prefetch}); memory and the work for a record are bounded by their sizes.
 */
final class RecordWalk {

    private static final int CHUNK = 1 << 20;
    private static final int FILE_SIGNATURE = 0x454C4946;

    /** NTFS-3G gives files no record below; some of those Windows' own format leaves as it made them. */
    private static final int FIRST_OF_FILES = 64;
    private static final int LAST_CHANGE = 0x08;        // u64, a sequence number of the journal ($LogFile)
    private static final int ATTRIBUTES_OFFSET = 0x14;  // u16
    private static final int FLAGS = 0x16;              // u16
    private static final int USED_SIZE = 0x18;          // u32
    private static final int BASE_REFERENCE = 0x20;     // u64
    private static final int NUMBER = 0x2C;             // u32, where the fix-up values lie behind it
    private static final int HEADER_SIZE_3_0 = 0x2A;
    private static final int HEADER_SIZE_3_1 = 0x30;
    private static final int IN_USE = 0x0001;

    private final NtfsBootSector boot;
    private final ExtentSet free;
    private final NtfsStream data;
    private final RecordBits marked;
    private final AttributeRuns runs;
    private final RecordBytes bytes;
    private final ByteBuffer chunk;
    private final int perChunk;
    private long records;
    private long foreignRecord = -1;

    /** @param free what $Bitmap calls free, bytes of the volume */
    RecordWalk(MasterFileTable mft, NtfsBootSector boot, ExtentSet free) throws IOException {
        this.boot = boot;
        this.free = free;
        FileRecord own = mft.record(FileRecord.MFT);
        data = mft.stream(own, Attribute.DATA, "");
        marked = RecordBits.of(mft, own);
        runs = new AttributeRuns(boot);
        perChunk = (int) Math.max(1, Math.min(CHUNK / boot.recordSize(), count()));
        chunk = ByteBuffer.allocateDirect(perChunk * boot.recordSize()).order(ByteOrder.LITTLE_ENDIAN);
        bytes = new RecordBytes(chunk.capacity());
    }

    private long count() {
        return Math.min(data.validSize(), data.dataSize()) / boot.recordSize();
    }

    /**
     * What was compared.
     *
     * @param records file records in use
     * @param runs data runs of their attributes, sparse ones left out
     * @param bytes of the clusters in these
     * @param foreignRecord a record of a file, in use, that names no change in the journal, as Windows' records all do and those
     *     of NTFS-3G and of Linux' ntfs3 do not; -1 if there is none
     */
    record Summary(long records, long runs, long bytes, long foreignRecord) {
    }

    /** @throws CorruptException if a cluster in use is free, or a record in use cannot be read */
    Summary run() throws IOException {
        int size = boot.recordSize();
        long count = count();
        for (long first = 0; first < count; first += perChunk) {
            int length = (int) Math.min(perChunk, count - first);
            data.read(first * size, chunk.clear().limit(length * size));
            bytes.load(chunk);
            for (int i = 0; i < length; i++) {
                record(first + i, i * size);
            }
        }
        return new Summary(records, runs.count(), runs.bytes(), foreignRecord);
    }

    private void record(long number, int at) throws IOException {
        boolean isRecord = bytes.s32(at) == FILE_SIGNATURE;
        boolean saysInUse = isRecord && (bytes.u16(at + FLAGS) & IN_USE) != 0;
        if (!saysInUse && !marked.get(number)) {
            return;
        }
        if (!isRecord) {
            throw corrupt(number, at, "signature of a record in use", 0, "\"FILE\"", "something else");
        }
        fixUp(number, at);
        int used = bytes.s32(at + USED_SIZE);
        int start = bytes.u16(at + ATTRIBUTES_OFFSET);
        if (used < 0 || used > boot.recordSize() || start < HEADER_SIZE_3_0 || start > used) {
            throw corrupt(number, at, "used size", USED_SIZE, "between the header and the end", used);
        }
        if (bytes.u16(at + Fixup.ARRAY_OFFSET) >= HEADER_SIZE_3_1 && bytes.s32(at + NUMBER) != (int) number) {
            throw corrupt(number, at, "its own number", NUMBER, number + "", bytes.s32(at + NUMBER) & 0xFFFF_FFFFL);
        }
        attributes(number, at, start, used);
        records++;
        if (foreignRecord < 0 && number >= FIRST_OF_FILES && bytes.s64(at + LAST_CHANGE) == 0) {
            foreignRecord = number;
        }
    }

    private void attributes(long number, int at, int start, int used) throws IOException {
        int attribute = start;
        // Ends with the record: every attribute is at least MINIMUM_SIZE bytes long.
        while (attribute > used - Integer.BYTES || bytes.s32(at + attribute) != Attribute.END) {
            int length = attribute > used - Attribute.MINIMUM_SIZE ? -1 : bytes.s32(at + attribute + 4);
            if (length < Attribute.MINIMUM_SIZE || length % 8 != 0 || length > used - attribute) {
                throw corrupt(number, at, "length of an attribute", attribute + 4, "a multiple of 8 inside the record", length);
            }
            if (bytes.u8(at + attribute + AttributeRuns.NON_RESIDENT) != 0) {
                runs(number, at, attribute, length);
            }
            attribute += length;
        }
    }

    private void runs(long number, int at, int attribute, int length) throws IOException {
        runs.start(bytes, at + attribute, length);
        while (runs.next()) {
            if (runs.lcn() != RunList.SPARSE && free.intersects(runs.offset(), runs.length())) {
                throw new CorruptException("$Bitmap: clusters of " + describe(number, at) + ", "
                        + typeName(bytes.s32(at + attribute)) + " from cluster " + runs.vcn() + " on", runs.offset(), "in use",
                        "at least one of " + runs.length() / boot.clusterSize() + " free");
            }
        }
        if (runs.fault() != null) {
            throw corrupt(number, at, typeName(bytes.s32(at + attribute)) + ": " + runs.fault(),
                    runs.faultAt() - at, runs.expected(), runs.found());
        }
    }

    /** Like {@link Fixup#apply}, without an object for each record. */
    private void fixUp(long number, int at) throws CorruptException {
        int strides = boot.recordSize() / Fixup.STRIDE;
        int array = bytes.u16(at + Fixup.ARRAY_OFFSET);
        boolean whole = bytes.u16(at + Fixup.ARRAY_COUNT) == strides + 1 && array > Fixup.ARRAY_COUNT && array % 2 == 0
                && array + 2 * (strides + 1) <= boot.recordSize() - 2;
        for (int i = 1; whole && i <= strides; i++) {
            whole = bytes.u16(at + i * Fixup.STRIDE - 2) == bytes.u16(at + array);
        }
        if (!whole) {
            // Finds the same fault and says which.
            Fixup.apply("MFT record " + number, chunk.slice(at, boot.recordSize()), position(number));
        }
        for (int i = 1; i <= strides; i++) {
            bytes.putU16(at + i * Fixup.STRIDE - 2, bytes.u16(at + array + 2 * i));
        }
    }

    private String describe(long number, int at) {
        long base = FileReference.number(bytes.s64(at + BASE_REFERENCE));
        return "MFT record " + number + (base == 0 ? "" : " (part of record " + base + ")");
    }

    private static String typeName(int type) {
        return switch (type) {
            case Attribute.ATTRIBUTE_LIST -> "$ATTRIBUTE_LIST";
            case 0x50 -> "$SECURITY_DESCRIPTOR";
            case Attribute.DATA -> "$DATA";
            case Attribute.INDEX_ALLOCATION -> "$INDEX_ALLOCATION";
            case RecordBits.BITMAP -> "$BITMAP";
            case 0xC0 -> "$REPARSE_POINT";
            case 0xE0 -> "$EA";
            case 0x100 -> "$LOGGED_UTILITY_STREAM";
            default -> "attribute " + NtfsBootSector.hex(type & 0xFFFF_FFFFL);
        };
    }

    private long position(long number) {
        return data.position(number * boot.recordSize());
    }

    /** @param field byte in the record */
    private CorruptException corrupt(long number, int at, String what, int field, String expected, Object found) {
        Bytes record = Bytes.littleEndian(chunk.duplicate().position(at).limit(at + boot.recordSize()), position(number));
        return record.corrupt("MFT record " + number + ": " + what, field, expected, found);
    }
}
