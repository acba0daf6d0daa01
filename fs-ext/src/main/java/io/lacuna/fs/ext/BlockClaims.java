package io.lacuna.fs.ext;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;

/** Takes the blocks that inodes claim, one range after the other, and stops at one that is free. Holds none of them. */
final class BlockClaims {

    private final Superblock superblock;
    private final ExtentSet free;
    private long inode;
    private long count;
    private long blocks;

    BlockClaims(Superblock superblock, ExtentSet free) {
        this.superblock = superblock;
        this.free = free;
    }

    /** Whose claims the next ones are. */
    void of(long inodeNumber) {
        inode = inodeNumber;
    }

    /**
     * A range of the file's content.
     *
     * @param logical its first block, counted in the file
     * @param block its first block on the volume
     * @param position where that stands, in bytes
     */
    void content(long logical, long block, long length, long position) throws CorruptException {
        requireInside(block, length, position);
        if (isFree(block, length)) {
            throw free("content from byte " + logical * superblock.blockSize() + " on", block, length);
        }
    }

    /**
     * A block that belongs to the inode and holds no content.
     *
     * @param what "extent tree", …
     * @param position where its number stands, in bytes
     */
    void own(String what, long block, long position) throws CorruptException {
        requireInside(block, 1, position);
        if (isFree(block, 1)) {
            throw free(what, block, 1);
        }
    }

    private boolean isFree(long block, long length) {
        count++;
        blocks += length;
        return free.intersects(block * superblock.blockSize(), length * superblock.blockSize());
    }

    private void requireInside(long block, long length, long position) throws CorruptException {
        if (length < 1 || block < Math.max(1, superblock.firstDataBlock()) || block > superblock.blockCount() - length) {
            throw new CorruptException("ext inode " + inode + ": block (run e2fsck -f in the guest)", position,
                    "1 or more blocks from 1 to " + (superblock.blockCount() - 1), length + " from " + block);
        }
    }

    private CorruptException free(String what, long block, long length) {
        return new CorruptException("ext block bitmap: " + (length == 1 ? "block " + block
                : "blocks " + block + " to " + (block + length - 1)) + " of inode " + inode + ", " + what
                + " (run e2fsck -f in the guest)", block * superblock.blockSize(), "used",
                length == 1 ? "free" : "free, at least one of them");
    }

    /** @return number of ranges so far */
    long count() {
        return count;
    }

    /** @return bytes of all ranges so far */
    long bytes() {
        return blocks * superblock.blockSize();
    }
}
