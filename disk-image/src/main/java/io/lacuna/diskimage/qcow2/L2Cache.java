package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;

/** The parts of L2 tables that were read last, at most 4 MiB of them. For several threads. */
final class L2Cache {

    private static final int SLICE_BYTES = 64 << 10;
    private static final int SLICES = 64;

    private final BlockSource file;
    private final int sliceLongs;
    private final Map<Long, long[]> slices = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, long[]> eldest) {
            return size() > SLICES;
        }
    };

    L2Cache(BlockSource file, Qcow2Header header) {
        this.file = file;
        this.sliceLongs = (int) Math.min(SLICE_BYTES, header.clusterSize()) / Long.BYTES;
    }

    /** @return longs of a slice, a power of two */
    int sliceLongs() {
        return sliceLongs;
    }

    /**
     * @param tableOffset byte of the L2 table
     * @param slice index of the part
     */
    synchronized long[] slice(long tableOffset, int slice) throws IOException {
        long offset = tableOffset + (long) slice * sliceLongs * Long.BYTES;
        long[] found = slices.get(offset);
        if (found == null) {
            found = HostBytes.readLongs(file, offset, sliceLongs);
            slices.put(offset, found);
        }
        return found;
    }

    synchronized void clear() {
        slices.clear();
    }
}
