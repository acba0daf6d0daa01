package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;
import java.nio.ByteBuffer;
import java.util.UUID;

/**
 * The hard disk footer: 512 bytes, big-endian, at the end of every VHD, and a copy at byte 0 of all but fixed ones. Programs from
 * before 2004 wrote 511 bytes. Source: VHD specification, "Hard Disk Footer Format".
 *
 * @param kind what kind of disk it is
 * @param dataOffset byte of the file where the dynamic disk header begins; means nothing for a fixed disk
 * @param creator four characters that name the program that made the disk
 * @param currentSize bytes of the disk, as its maker says
 * @param cylinders of the disk's geometry
 * @param heads of the disk's geometry
 * @param sectorsPerTrack of the disk's geometry
 * @param id the disk's own, by which a differencing disk knows its parent
 * @param isSavedState whether a machine is suspended with this disk
 * @param bytes the whole footer, what nobody knows included; read only
 */
record VhdFooter(Kind kind, long dataOffset, String creator, long currentSize, int cylinders, int heads,
        int sectorsPerTrack, UUID id, boolean isSavedState, ByteBuffer bytes) {

    static final int SIZE = 512;
    static final int OLD_SIZE = 511;
    static final String COOKIE = "conectix";

    private static final int VERSION = 12;
    private static final int DATA_OFFSET = 16;
    private static final int CREATOR = 28;
    private static final int CURRENT_SIZE = 48;
    private static final int CYLINDERS = 56;
    private static final int HEADS = 58;
    private static final int SECTORS_PER_TRACK = 59;
    private static final int KIND = 60;
    private static final int CHECKSUM = 64;
    private static final int ID = 68;
    private static final int SAVED_STATE = 84;

    /** The kinds of disks, with their numbers in the footer. */
    enum Kind {
        FIXED, DYNAMIC, DIFFERENCING;

        static Kind of(Bytes footer) throws CorruptException, UnsupportedException {
            return switch (footer.s32(KIND)) {
                case 2 -> FIXED;
                case 3 -> DYNAMIC;
                case 4 -> DIFFERENCING;
                default -> throw footer.unsupported("VHD footer: disk type", KIND, "2 (fixed), 3 (dynamic) or 4 (differencing)",
                        footer.s32(KIND));
            };
        }
    }

    /** @param footer 511 or 512 bytes that begin with the cookie */
    static VhdFooter parse(Bytes footer) throws CorruptException, UnsupportedException {
        requireChecksum("VHD footer", footer, CHECKSUM);
        requireVersion("VHD footer", footer, VERSION);
        ByteBuffer whole = ByteBuffer.allocate(SIZE).put(0, footer.copy(0, footer.length()));
        Kind kind = Kind.of(footer);
        return new VhdFooter(kind, kind == Kind.FIXED ? 0 : footer.u64(DATA_OFFSET), footer.text(CREATOR, 4),
                footer.u64(CURRENT_SIZE), footer.u16(CYLINDERS), footer.u8(HEADS), footer.u8(SECTORS_PER_TRACK),
                id(footer, ID), footer.u8(SAVED_STATE) != 0, whole.asReadOnlyBuffer());
    }

    static UUID id(Bytes bytes, int at) throws CorruptException {
        return new UUID(bytes.s64(at), bytes.s64(at + Long.BYTES));
    }

    /** All versions that ever were are 1.0. */
    static void requireVersion(String what, Bytes bytes, int at) throws CorruptException, UnsupportedException {
        if (bytes.u16(at) != 1) {
            throw bytes.unsupported(what + ": version", at, "1.0", bytes.u16(at) + "." + bytes.u16(at + 2));
        }
    }

    /** The one's complement of the sum of all bytes but the checksum's own. */
    static void requireChecksum(String what, Bytes bytes, int at) throws CorruptException {
        ByteBuffer all = bytes.buffer();
        int sum = 0;
        for (int i = 0; i < all.limit(); i++) {
            if (i < at || i >= at + Integer.BYTES) {
                sum += all.get(i) & 0xFF;
            }
        }
        if (~sum != all.getInt(at)) {
            throw bytes.corrupt(what + ": checksum", at, "0x" + Integer.toHexString(~sum),
                    "0x" + Integer.toHexString(all.getInt(at)));
        }
    }

    /** @return bytes of the disk by its cylinders, heads and sectors */
    long geometrySize() {
        return (long) cylinders * heads * sectorsPerTrack * SIZE;
    }

    /** @return whether this says the same of the disk as a copy, whatever its makers noted beside that */
    boolean agreesWith(VhdFooter copy) {
        return kind == copy.kind && dataOffset == copy.dataOffset && currentSize == copy.currentSize
                && geometrySize() == copy.geometrySize() && creator.equals(copy.creator) && id.equals(copy.id);
    }
}
