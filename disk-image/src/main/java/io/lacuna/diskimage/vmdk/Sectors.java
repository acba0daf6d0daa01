package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;

/** Sectors, which places and sizes are told in. */
final class Sectors {

    static final int SIZE = 512;
    static final int SHIFT = 9;

    private Sectors() {
    }

    /** @return bytes of a number of sectors that is a field of 64 bits */
    static long bytes(Bytes b, String what, int at) throws CorruptException {
        long sectors = b.u64(at);
        if (sectors > Long.MAX_VALUE >> SHIFT + 1) {
            throw b.corrupt(what, at, "at most " + (Long.MAX_VALUE >> SHIFT + 1) + " sectors", sectors);
        }
        return sectors << SHIFT;
    }
}
