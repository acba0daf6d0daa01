package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * The journal inside of the file system: its superblock, and where its blocks lie.
 *
 * @param superblock what the journal says about itself
 * @param blocks the blocks of its inode, at least as many as it says that it has
 */
record Journal(JournalSuperblock superblock, FileBlocks blocks) {

    /** Ours: 64 GiB of 4 KiB blocks, above the largest that mke2fs makes (10,240,000 blocks). */
    private static final long MAX_BLOCKS = 1 << 24;

    /** @throws DiskFormatException if the journal cannot be read, or cannot be trusted */
    static Journal read(BlockSource volume, Superblock superblock) throws IOException {
        Inode inode = Inode.read(volume, superblock, superblock.journalInode());
        if (!inode.isRegularFile() || inode.links() == 0) {
            throw new CorruptException("ext journal, inode " + inode.number() + " (run e2fsck -f in the guest)", -1,
                    "a regular file", "mode 0" + Integer.toOctalString(inode.mode()) + " with " + inode.links() + " links");
        }
        long length = inode.size() / superblock.blockSize();
        if (length < 1 || length > superblock.blockCount()) {
            throw new CorruptException("ext journal, inode " + inode.number() + ": size", -1,
                    "1 to " + superblock.blockCount() + " blocks of " + superblock.blockSize() + " bytes",
                    Long.toUnsignedString(inode.size()));
        }
        if (length > MAX_BLOCKS) {
            throw new UnsupportedException("ext journal: size", -1, "at most " + MAX_BLOCKS + " blocks", length);
        }
        FileBlocks blocks = FileBlocks.read(volume, superblock, inode, length);
        long offset = blocks.blockOf(0) * superblock.blockSize();
        Bytes b = Bytes.read(volume, "ext journal superblock", offset, JournalSuperblock.SIZE, ByteOrder.BIG_ENDIAN);
        return new Journal(JournalSuperblock.parse(b, superblock.blockSize(), length), blocks);
    }
}
