package io.lacuna.engine;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.partition.VolumeSignature;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * The dm-verity hash trees that have a partition of their own. What one of them covers stands on another partition, and
 * does not say so: only its size tells. Source: cryptsetup's specification of the on-disk format of dm-verity.
 */
final class VerityTrees {

    private static final String NAME = "DM_verity_hash";
    private static final int HEADER_SIZE = 80;
    private static final int DATA_BLOCK_SIZE = 0x40;    // u32, little-endian
    private static final int DATA_BLOCKS = 0x48;        // u64
    /** Ours: a partition may be as much larger than what is hashed of it, for it is rounded up. */
    private static final long ROUNDING = 1 << 20;

    private final List<Long> sizes = new ArrayList<>();

    /** Remembers how much a tree covers, if this is one. */
    void note(VolumeSignature signature, BlockSource volume) throws IOException {
        if (!signature.name().equals(NAME) || volume.size() < HEADER_SIZE) {
            return;
        }
        Bytes header = Bytes.read(volume, "dm-verity superblock", 0, HEADER_SIZE, ByteOrder.LITTLE_ENDIAN);
        long blockSize = header.u32(DATA_BLOCK_SIZE);
        long blocks = header.s64(DATA_BLOCKS);
        if (blockSize > 0 && blocks > 0 && blocks <= Long.MAX_VALUE / blockSize) {
            sizes.add(blocks * blockSize);
        }
    }

    /** @param length bytes of a partition, or of the file system in it */
    boolean covers(long length) {
        return sizes.stream().anyMatch(size -> size <= length && length - size < ROUNDING);
    }
}
