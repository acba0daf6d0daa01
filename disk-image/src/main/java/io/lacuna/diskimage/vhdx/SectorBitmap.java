package io.lacuna.diskimage.vhdx;

import java.nio.ByteBuffer;

/** Runs of equal bits in a sector bitmap: bit 0 of byte 0 is the chunk's first sector, 1 means stored here. */
final class SectorBitmap {

    private SectorBitmap() {
    }

    /** @param page little-endian */
    static boolean isSet(ByteBuffer page, int bit) {
        return (page.get(bit >>> 3) >>> (bit & 7) & 1) != 0;
    }

    /**
     * @param page little-endian
     * @param from first bit of the run
     * @param end bit where to stop
     * @return the first bit behind {@code from} that differs from it, or {@code end}
     */
    static int runEnd(ByteBuffer page, int from, int end) {
        boolean set = isSet(page, from);
        long same = set ? -1 : 0;
        int bit = from + 1;
        while (bit < end) {
            if ((bit & 63) == 0 && end - bit >= 64 && page.getLong(bit >>> 3) == same) {
                bit += 64;
            } else if (isSet(page, bit) == set) {
                bit++;
            } else {
                return bit;
            }
        }
        return end;
    }
}
