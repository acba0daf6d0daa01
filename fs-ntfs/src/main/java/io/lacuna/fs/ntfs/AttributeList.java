package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.util.ArrayList;
import java.util.List;

/**
 * $ATTRIBUTE_LIST: which file record holds which piece of which attribute of a file, little-endian. Source: libfsntfs, "The
 * attribute list attribute".
 */
record AttributeList(List<Entry> entries) {

    /** What Windows keeps to. */
    static final int MAX_SIZE = 256 << 10;

    private static final int LENGTH = 0x04;         // u16
    private static final int NAME_LENGTH = 0x06;    // u8, UTF-16 characters
    private static final int NAME_OFFSET = 0x07;    // u8
    private static final int FIRST_VCN = 0x08;      // u64
    private static final int REFERENCE = 0x10;      // u64
    private static final int MINIMUM_SIZE = 0x1A;

    /**
     * One piece.
     *
     * @param firstVcn its first cluster in the stream
     * @param reference the file record that holds it
     */
    record Entry(int type, String name, long firstVcn, long reference) {
    }

    static AttributeList parse(Bytes list) throws CorruptException {
        List<Entry> entries = new ArrayList<>();
        int at = 0;
        // Ends with the list: every entry is at least MINIMUM_SIZE bytes long.
        while (at < list.length()) {
            int length = list.u16(at + LENGTH);
            if (length < MINIMUM_SIZE || length % 8 != 0 || length > list.length() - at) {
                throw list.corrupt("$ATTRIBUTE_LIST: length of an entry", at + LENGTH,
                        "a multiple of 8 inside the list", length);
            }
            Bytes entry = list.slice(at, length);
            entries.add(new Entry(entry.s32(0), Attribute.utf16(entry, entry.u8(NAME_OFFSET), entry.u8(NAME_LENGTH)),
                    entry.u64(FIRST_VCN), entry.s64(REFERENCE)));
            at += length;
        }
        return new AttributeList(List.copyOf(entries));
    }

    /** @return the pieces of one attribute, in the order of the list, which is that of their clusters */
    List<Entry> pieces(int type, String name) {
        return entries.stream().filter(entry -> entry.type() == type && entry.name().equals(name)).toList();
    }
}
