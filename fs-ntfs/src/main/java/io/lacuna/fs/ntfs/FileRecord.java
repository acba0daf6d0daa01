package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * A file record ("MFT entry") in use, little-endian. Source: libfsntfs, "MFT entry".
 *
 * @param number which record of the MFT
 * @param sequence how often the record has been given to a new file
 * @param baseReference the record that this one continues; 0 if it is a file's first
 * @param attributes in the order on disk
 * @param bytes the record with its fix-ups applied, up to the end of what is used
 */
record FileRecord(long number, int sequence, long baseReference, List<Attribute> attributes, Bytes bytes) {

    static final long MFT = 0;
    static final long MFT_MIRROR = 1;
    static final long LOG_FILE = 2;
    static final long VOLUME = 3;
    static final long ROOT = 5;
    static final long BITMAP = 6;
    static final long BOOT = 7;
    /** System files have the records below this one. */
    static final int SYSTEM_RECORDS = 12;
    static final List<String> SYSTEM_NAMES = List.of("$MFT", "$MFTMirr", "$LogFile", "$Volume", "$AttrDef", "the root folder",
            "$Bitmap", "$Boot", "$BadClus", "$Secure", "$UpCase", "$Extend");

    private static final int FIXUP_OFFSET = 0x04;       // u16
    private static final int SEQUENCE = 0x10;           // u16
    private static final int ATTRIBUTES_OFFSET = 0x14;  // u16
    private static final int FLAGS = 0x16;              // u16
    private static final int USED_SIZE = 0x18;          // u32
    private static final int ALLOCATED_SIZE = 0x1C;     // u32
    private static final int BASE_REFERENCE = 0x20;     // u64
    private static final int NUMBER = 0x2C;             // u32, NTFS 3.1 on
    private static final int HEADER_SIZE_3_0 = 0x2A;
    private static final int HEADER_SIZE_3_1 = 0x30;
    private static final int IN_USE = 0x0001;

    /**
     * @param record exactly the record; its fix-ups are applied in place
     * @param number the record that this should be
     * @param position where it lies on the volume, in bytes
     */
    static FileRecord parse(ByteBuffer record, long number, long position) throws CorruptException {
        String what = "MFT record " + number;
        Bytes raw = Bytes.littleEndian(record.duplicate().position(0), position);
        if (!raw.matches(0, "FILE")) {
            throw raw.corrupt(what + ": signature", 0, "\"FILE\"",
                    raw.matches(0, "BAAD") ? "\"BAAD\", which marks a torn write" : "something else");
        }
        Bytes bytes = Fixup.apply(what, record, position);
        if ((bytes.u16(FLAGS) & IN_USE) == 0) {
            throw bytes.corrupt(what + ": flags", FLAGS, "in use", NtfsBootSector.hex(bytes.u16(FLAGS)));
        }
        if (bytes.u32(ALLOCATED_SIZE) != bytes.length()) {
            throw bytes.corrupt(what + ": allocated size", ALLOCATED_SIZE, bytes.length() + "", bytes.u32(ALLOCATED_SIZE));
        }
        if (bytes.u16(FIXUP_OFFSET) >= HEADER_SIZE_3_1 && bytes.u32(NUMBER) != (number & 0xFFFF_FFFFL)) {
            throw bytes.corrupt(what + ": its own number", NUMBER, number + "", bytes.u32(NUMBER));
        }
        long usedSize = bytes.u32(USED_SIZE);
        int attributesOffset = bytes.u16(ATTRIBUTES_OFFSET);
        if (usedSize > bytes.length() || attributesOffset < HEADER_SIZE_3_0 || attributesOffset > usedSize) {
            throw bytes.corrupt(what + ": used size", USED_SIZE, "between the header and the end", usedSize);
        }
        Bytes used = bytes.slice(0, (int) usedSize);
        return new FileRecord(number, bytes.u16(SEQUENCE), bytes.s64(BASE_REFERENCE),
                attributes(what, used, attributesOffset), used);
    }

    private static List<Attribute> attributes(String what, Bytes used, int start) throws CorruptException {
        List<Attribute> attributes = new ArrayList<>();
        int at = start;
        // Ends with the record: every attribute is at least MINIMUM_SIZE bytes long.
        while (used.s32(at) != Attribute.END) {
            long length = used.u32(at + 4);
            if (length < Attribute.MINIMUM_SIZE || length % 8 != 0 || length > used.length() - at) {
                throw used.corrupt(what + ": length of an attribute", at + 4, "a multiple of 8 inside the record", length);
            }
            attributes.add(Attribute.parse(used.slice(at, (int) length)));
            at += (int) length;
        }
        return List.copyOf(attributes);
    }

    /**
     * @return the one attribute of this type and name in this record
     * @throws CorruptException if there are several
     */
    Optional<Attribute> attribute(int type, String name) throws CorruptException {
        Attribute found = null;
        for (Attribute attribute : attributes) {
            if (attribute.is(type, name)) {
                if (found != null) {
                    throw bytes.corrupt(describe() + ": attribute " + NtfsBootSector.hex(type), 0, "one", "several");
                }
                found = attribute;
            }
        }
        return Optional.ofNullable(found);
    }

    /** @return what other records and folders call this one */
    long reference() {
        return FileReference.of(number, sequence);
    }

    String describe() {
        return "MFT record " + number + (number < SYSTEM_NAMES.size() ? " (" + SYSTEM_NAMES.get((int) number) + ")" : "");
    }
}
