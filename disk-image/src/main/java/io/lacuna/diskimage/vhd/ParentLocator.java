package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.HostFile;

/**
 * Where the parent's name stands in a form that one platform understands: 24 bytes of the dynamic disk header, big-endian. Source:
 * VHD specification, "Parent Locator Entries".
 *
 * @param platform four characters
 * @param space what is set aside for the name; by the specification in sectors, by many programs in bytes
 * @param length bytes of the name
 * @param offset byte of the file where the name begins
 */
record ParentLocator(String platform, long space, int length, long offset) {

    static final int SIZE = 24;
    /** Path relative to the child, UTF-16 little-endian. */
    static final String RELATIVE = "W2ru";
    /** Path from the root, UTF-16 little-endian. */
    static final String ABSOLUTE = "W2ku";
    /** File URL, UTF-8. */
    static final String URL = "MacX";

    private static final int SECTOR = 512;
    private static final int SPACE = 4;
    private static final int LENGTH = 8;
    private static final int OFFSET = 16;
    /** Ours: twice the longest path of Windows. */
    private static final int MAX_LENGTH = 1 << 17;

    /** @return null if the entry is not used */
    static ParentLocator parse(Bytes entry, HostFile file) throws CorruptException {
        if (entry.s32(0) == 0) {
            return null;
        }
        long length = entry.u32(LENGTH);
        long offset = entry.u64(OFFSET);
        if (length > MAX_LENGTH) {
            throw entry.corrupt("VHD parent locator: length", LENGTH, "at most " + MAX_LENGTH, length);
        }
        if (offset > file.size() - length) {
            throw entry.corrupt("VHD parent locator: offset", OFFSET, length + " bytes before the end at " + file.size(), offset);
        }
        return new ParentLocator(entry.text(0, 4), entry.u32(SPACE), (int) length, offset);
    }

    /** @return bytes from {@link #offset} on that are the name's, in whole sectors */
    long sectors() {
        return ((long) length + SECTOR - 1) / SECTOR * SECTOR;
    }

    /** @return bytes that the name may grow into: nobody sets aside 512 sectors, so that many are bytes */
    long reserved() {
        return Math.max(sectors(), space < SECTOR ? space * SECTOR : space);
    }
}
