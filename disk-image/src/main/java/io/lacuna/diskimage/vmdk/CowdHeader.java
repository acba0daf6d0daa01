package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * The header of a COWD file, which ESX calls vmfsSparse: 2048 bytes at byte 0, little-endian. Source: VMware "Virtual Disk Format
 * 1.1", "ESX Server Sparse Extents".
 *
 * @param layout where tables and grains are
 * @param unclean whether the file was not closed after its last change
 */
record CowdHeader(GrainLayout layout, boolean unclean) {

    static final String MAGIC = "COWD";

    private static final int SIZE = 2048;
    private static final int UNCLEAN_SHUTDOWN = 1648;

    static CowdHeader parse(BlockSource file) throws IOException {
        Bytes b = Bytes.read(file, "COWD header", 0, SIZE, ByteOrder.LITTLE_ENDIAN);
        if (!b.matches(0, MAGIC)) {
            throw b.corrupt("COWD header: magic", 0, MAGIC, "something else");
        }
        if (b.u32(4) != 1) {
            throw b.unsupported("COWD header: version", 4, "1", b.u32(4));
        }
        long capacity = b.u32(12) << Sectors.SHIFT;
        long grainSize = b.u32(16) << Sectors.SHIFT;
        long directory = b.u32(20) << Sectors.SHIFT;
        if (capacity == 0 || directory == 0) {
            throw b.corrupt("COWD header: size and grain directory", 12, "both there",
                    capacity + " bytes, directory at " + directory);
        }
        if (Long.bitCount(grainSize) != 1 || grainSize > GrainLayout.MAX_GRAIN) {
            throw b.unsupported("COWD header: grain size", 16, "a power of two up to " + GrainLayout.MAX_GRAIN + " bytes",
                    grainSize);
        }
        int needed = GrainLayout.neededEntries(GrainLayout.Kind.COWD, capacity, grainSize);
        long entries = b.u32(24);
        if (entries < needed || needed > GrainLayout.MAX_DIRECTORY_ENTRIES) {
            throw b.corrupt("COWD header: grain directory entries", 24, "at least " + needed, entries);
        }
        return new CowdHeader(new GrainLayout(GrainLayout.Kind.COWD, capacity, grainSize, directory, 0, needed, false,
                ExtentSet.ofRange(0, SIZE), 0, 0), b.u32(UNCLEAN_SHUTDOWN) != 0);
    }
}
