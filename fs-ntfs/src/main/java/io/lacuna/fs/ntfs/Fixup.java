package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The update sequence that guards records of several sectors against torn writes: the last two bytes of every 512 bytes
 * hold a number, and the bytes that belong there stand in an array near the record's start. Source: libfsntfs, "Fix-up
 * values".
 */
final class Fixup {

    /** Bytes that one fix-up value covers, whatever the sector size of the disk is. */
    static final int STRIDE = 512;

    static final int ARRAY_OFFSET = 0x04;   // u16
    static final int ARRAY_COUNT = 0x06;    // u16, the number itself and one value a stride

    private Fixup() {
    }

    /**
     * Checks every tail and puts the right bytes back, in the buffer itself.
     *
     * @param what name of the record, for errors
     * @param record exactly the record, from index 0 to the limit
     * @param position where it lies on the volume, in bytes
     * @return the record as it is meant
     * @throws CorruptException if the array is not inside the first stride, covers another length, or a tail does not match
     */
    static Bytes apply(String what, ByteBuffer record, long position) throws CorruptException {
        ByteBuffer buffer = record.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        Bytes raw = Bytes.littleEndian(buffer.duplicate().position(0), position);
        int strides = buffer.limit() / STRIDE;
        int arrayOffset = raw.u16(ARRAY_OFFSET);
        int count = raw.u16(ARRAY_COUNT);
        if (count != strides + 1 || buffer.limit() % STRIDE != 0) {
            throw raw.corrupt(what + ": number of fix-up values", ARRAY_COUNT, strides + 1 + "", count);
        }
        if (arrayOffset < ARRAY_COUNT + 2 || arrayOffset % 2 != 0) {
            throw raw.corrupt(what + ": place of the fix-up values", ARRAY_OFFSET, "behind the header", arrayOffset);
        }
        if (arrayOffset + 2 * count > buffer.limit() - 2) {
            throw raw.corrupt(what + ": place of the fix-up values", ARRAY_OFFSET, "inside the record", arrayOffset);
        }
        short number = buffer.getShort(arrayOffset);
        for (int i = 1; i <= strides; i++) {
            int tail = i * STRIDE - 2;
            if (buffer.getShort(tail) != number) {
                throw raw.corrupt(what + ": sector " + (i - 1) + " is from another write", tail,
                        NtfsBootSector.hex(number & 0xFFFF), NtfsBootSector.hex(buffer.getShort(tail) & 0xFFFF));
            }
            buffer.putShort(tail, buffer.getShort(arrayOffset + 2 * i));
        }
        return raw;
    }
}
