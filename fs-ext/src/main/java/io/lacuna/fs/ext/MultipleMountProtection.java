package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * The MMP block: the first 1024 bytes of one block, little-endian, which a node that has the file system mounted keeps
 * changing. Source: kernel documentation {@code filesystems/ext4/mmp}.
 */
final class MultipleMountProtection {

    private static final int SIZE = 1024;
    private static final int MAGIC = 0x004D_4D50;
    private static final int SEQUENCE_AT = 0x04;
    private static final int CLEAN = 0xFF4D_4D50;
    private static final int CHECKSUM_AT = 0x3FC;

    private MultipleMountProtection() {
    }

    /** @throws DiskFormatException if a node may have the file system mounted, or the block cannot be read */
    static void requireUnused(BlockSource volume, Superblock superblock) throws IOException {
        if (!superblock.features().has(Features.MMP)) {
            return;
        }
        long block = superblock.mmpBlock();
        if (block < superblock.firstDataBlock() || block >= superblock.blockCount()) {
            throw new CorruptException("ext superblock: MMP block", Superblock.OFFSET + 0x168,
                    superblock.firstDataBlock() + " to " + (superblock.blockCount() - 1), Long.toUnsignedString(block));
        }
        Bytes b = Bytes.read(volume, "MMP block", block * superblock.blockSize(), SIZE, ByteOrder.LITTLE_ENDIAN);
        if (b.s32(0) != MAGIC) {
            throw b.corrupt("MMP block: magic", 0, Superblock.hex(MAGIC), Superblock.hex(b.s32(0)));
        }
        if (superblock.features().has(Features.METADATA_CSUM)) {
            int computed = Crc32c.update(superblock.checksumSeed(), b.buffer().limit(CHECKSUM_AT));
            if (computed != b.s32(CHECKSUM_AT)) {
                throw b.corrupt("MMP block: checksum (run e2fsck -f in the guest)", CHECKSUM_AT, Superblock.hex(computed),
                        Superblock.hex(b.s32(CHECKSUM_AT)));
            }
        }
        if (b.s32(SEQUENCE_AT) != CLEAN) {
            throw new UnsafeException("the file system's multiple mount protection says that a node has it mounted or is "
                    + "checking it (sequence " + Superblock.hex(b.s32(SEQUENCE_AT)) + "): shut down whatever uses the disk; "
                    + "if nothing does, tune2fs -E clear_mmp in the guest resets the mark");
        }
    }
}
