package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * A dm-verity hash tree behind the file system, on the same volume. It covers every block, free ones too, and the error
 * correction that often follows works with all of them. Sources: cryptsetup's specification of the on-disk format,
 * Android's verity metadata (AOSP, build_verity_metadata.py) and libavb's avb_footer.h.
 */
final class HashTree {

    private static final String VERITY = "verity\0\0";
    private static final long ANDROID_MAGIC = 0xB001B001L;  // u32, little-endian
    private static final String AVB = "AVBf";
    /** The footer of Android Verified Boot ends the volume. */
    private static final int AVB_SIZE = 64;
    private static final int LOOK = 8;
    private static final int HASH_BLOCK = 4096;

    private HashTree() {
    }

    /** @throws UnsupportedException if one is found */
    static void requireNone(BlockSource volume, Superblock superblock) throws IOException {
        long end = superblock.length();
        if (startsAt(volume, end) || startsAt(volume, (end + HASH_BLOCK - 1) / HASH_BLOCK * HASH_BLOCK)
                || volume.size() - end >= AVB_SIZE && look(volume, volume.size() - AVB_SIZE).matches(0, AVB)) {
            throw new UnsupportedException("the volume has a dm-verity hash tree behind the file system, which covers free "
                    + "blocks too: leave it as it is");
        }
    }

    private static boolean startsAt(BlockSource volume, long offset) throws IOException {
        if (offset > volume.size() - LOOK) {
            return false;
        }
        Bytes bytes = look(volume, offset);
        return bytes.matches(0, VERITY) || bytes.u32(0) == ANDROID_MAGIC;
    }

    private static Bytes look(BlockSource volume, long offset) throws IOException {
        return Bytes.read(volume, "what follows the file system", offset, LOOK, ByteOrder.LITTLE_ENDIAN);
    }
}
