package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Every block that an inode might use. Lenient on purpose, for an inode on the disk may be older than a fast commit, or never have
 * been written: what looks like a block number inside of the file system counts as in use, and what does not is of no use to a
 * guest either. More is marked than is used, never less.
 */
final class PossibleBlocks {

    /** Ours: blocks of extent trees that are looked through. */
    private static final int MAX_NODES = 1 << 16;
    /** Ours: so much of an inode table is read at a time. */
    private static final int READ_BYTES = 1 << 20;
    private static final int LINKS = 0x1A;     // u16
    private static final int ROOT_DIRECTORY = 2;
    private static final int FIRST_OF_FILES = 11;

    private final BlockSource volume;
    private final Superblock superblock;
    private final Ranges used;
    /** Null: all. */
    private final ExtentSet wanted;
    /** Whether old files are followed, whose maps a fast commit does not tell. */
    private final boolean followsNumbers;
    private final long maxNodes;
    private final SeenBlocks seen;
    private long nodes;

    private PossibleBlocks(BlockSource volume, Superblock superblock, Ranges used, ExtentSet wanted, long maxNodes) {
        this.followsNumbers = wanted != null;
        this.volume = volume;
        this.superblock = superblock;
        this.used = used;
        this.wanted = wanted;
        this.maxNodes = maxNodes;
        seen = new SeenBlocks(Long.MAX_VALUE);
    }

    /**
     * Adds those of every inode whose changes fast commits tell.
     *
     * @param volume after the replay
     * @param used where the blocks go, as bytes of the volume
     */
    static void addNamed(FastCommits commits, BlockSource volume, Superblock superblock, Ranges used) throws IOException {
        new PossibleBlocks(volume, superblock, used, null, MAX_NODES).addNamed(commits);
    }

    /**
     * Adds those of every inode on the disk, linked as it is there: e2fsck (1.47) takes fast commits that are left of an earlier
     * transaction for an error and drops the whole journal, and then the inodes count as they lie there, whatever the bitmaps say.
     *
     * @param volume before the replay
     * @param free what the bitmaps on the disk call free; only what touches it is added
     * @param used where the blocks go, as bytes of the volume
     */
    static void addOnDisk(BlockSource volume, Superblock superblock, ExtentSet free, Ranges used) throws IOException {
        new PossibleBlocks(volume, superblock, used, free, superblock.blockCount()).addOnDisk();
    }

    private void addNamed(FastCommits commits) throws IOException {
        for (long[] range : commits.ranges()) {
            mark(range[0], range[1]);
        }
        for (ByteBuffer body : commits.bodies()) {
            addInode(body);
        }
        if (commits.inodes().isEmpty()) {
            return;
        }
        GroupDescriptors descriptors = GroupDescriptors.forSingle(volume, superblock);
        ByteBuffer inode = ByteBuffer.allocate(superblock.inodeSize()).order(ByteOrder.LITTLE_ENDIAN);
        for (long number : commits.inodes()) {
            descriptors.loadOnly((int) ((number - 1) / superblock.inodesPerGroup()));
            long offset = descriptors.inodeTable((int) ((number - 1) / superblock.inodesPerGroup())) * superblock.blockSize()
                    + (number - 1) % superblock.inodesPerGroup() * superblock.inodeSize();
            volume.read(offset, inode.clear());
            addInode(inode.clear());
        }
    }

    private void addOnDisk() throws IOException {
        GroupDescriptors descriptors = new GroupDescriptors(volume, superblock);
        for (int group = 0; group < superblock.groupCount();) {
            int end = group + descriptors.load(group);
            for (; group < end; group++) {
                addTable(descriptors, group);
            }
        }
    }

    private void addTable(GroupDescriptors descriptors, int group) throws IOException {
        int size = superblock.inodeSize();
        int count = descriptors.inodesEverUsed(group);
        long table = descriptors.inodeTable(group) * superblock.blockSize();
        volume.prefetch(table, (long) count * size);
        ByteBuffer piece = ByteBuffer.allocate(Math.min(count, READ_BYTES / size) * size).order(ByteOrder.LITTLE_ENDIAN);
        for (int first = 0; first < count; first += piece.capacity() / size) {
            int length = Math.min(count - first, piece.capacity() / size);
            volume.read(table + (long) first * size, piece.clear().limit(length * size));
            for (int i = 0; i < length; i++) {
                ByteBuffer inode = piece.slice(i * size, size).order(ByteOrder.LITTLE_ENDIAN);
                long number = (long) group * superblock.inodesPerGroup() + first + i + 1;
                if (inode.getShort(LINKS) != 0 && (number >= FIRST_OF_FILES || number == ROOT_DIRECTORY)) {
                    addInode(inode);
                }
            }
        }
    }

    private void addInode(ByteBuffer inode) throws IOException {
        mark(inode.getInt(0x68) & 0xFFFF_FFFFL | (inode.getShort(0x76) & 0xFFFFL) << 32, 1);
        ByteBuffer root = inode.slice(0x28, 60).order(ByteOrder.LITTLE_ENDIAN);
        if ((root.getShort(0) & 0xFFFF) == FileBlocks.EXTENT_MAGIC) {
            addNode(root, -1);
        }
        // The first block of an old file may have that number.
        if (hasBlockNumbers(inode)) {
            if (!followsNumbers) {
                throw new UnsupportedException("the file system's fast commits name a file without extents, of which they cannot "
                        + "tell what is in use: start the guest and shut it down cleanly");
            }
            for (int i = 0; i < 15; i++) {
                addNumbers(root.getInt(4 * i) & 0xFFFF_FFFFL, Math.max(0, i - 11));
            }
        }
    }

    private static boolean hasBlockNumbers(ByteBuffer inode) {
        int kind = inode.getShort(0x00) & 0xF000;
        return (kind == 0x8000 || kind == 0x4000 || kind == 0xA000 && !isFastSymlink(inode))
                && (inode.getInt(0x20) & (Inode.EXTENTS | Inode.INLINE_DATA)) == 0 && inode.getShort(LINKS) != 0;
    }

    /** @param level 0 for a block of the file, above for a block of numbers */
    private void addNumbers(long block, int level) throws IOException {
        if (mark(block, 1) && level > 0 && isNewNode(block, level)) {
            ByteBuffer numbers = Bytes.read(volume, "block numbers", block * superblock.blockSize(), superblock.blockSize(),
                    ByteOrder.LITTLE_ENDIAN).buffer();
            for (int at = 0; at < numbers.limit(); at += Integer.BYTES) {
                addNumbers(numbers.getInt(at) & 0xFFFF_FFFFL, level - 1);
            }
        }
    }

    /** @return false for a block that was looked through on that level */
    private boolean isNewNode(long block, int level) throws UnsupportedException {
        if (!seen.isNew(block * (FileBlocks.MAX_DEPTH + 1) + level)) {
            return false;
        }
        if (++nodes > maxNodes) {
            throw new UnsupportedException("the file system's fast commits name files in more than " + maxNodes + " blocks of "
                    + "extents, more than are looked through: start the guest and shut it down cleanly");
        }
        return true;
    }

    /** @return whether a symbolic link has its target in place of block numbers */
    private static boolean isFastSymlink(ByteBuffer inode) {
        return Integer.compareUnsigned(inode.getInt(0x04), 60) < 0;
    }

    private void addNode(ByteBuffer node, int depthExpected) throws IOException {
        int entries = Math.min(node.getShort(2) & 0xFFFF, (node.limit() - FileBlocks.NODE_HEADER) / FileBlocks.ENTRY);
        int depth = node.getShort(6) & 0xFFFF;
        if (depthExpected < 0 ? depth > FileBlocks.MAX_DEPTH : depth != depthExpected) {
            return;
        }
        for (int i = 0; i < entries; i++) {
            int at = FileBlocks.NODE_HEADER + i * FileBlocks.ENTRY;
            if (depth == 0) {
                int count = node.getShort(at + 4) & 0xFFFF;
                mark(node.getInt(at + 8) & 0xFFFF_FFFFL | (node.getShort(at + 6) & 0xFFFFL) << 32,
                        count > FileBlocks.MAX_WRITTEN ? count - FileBlocks.MAX_WRITTEN : count);
            } else {
                long child = node.getInt(at + 4) & 0xFFFF_FFFFL | (node.getShort(at + 8) & 0xFFFFL) << 32;
                if (mark(child, 1)) {
                    addChild(child, depth - 1);
                }
            }
        }
    }

    private void addChild(long block, int depth) throws IOException {
        if (!isNewNode(block, depth)) {
            return;
        }
        ByteBuffer node = Bytes.read(volume, "extent tree", block * superblock.blockSize(), superblock.blockSize(),
                ByteOrder.LITTLE_ENDIAN).buffer();
        // A block of the tree that never reached the disk: the replay builds that part from the ranges that are told.
        if ((node.getShort(0) & 0xFFFF) == FileBlocks.EXTENT_MAGIC) {
            addNode(node, depth);
        }
    }

    /** @return whether these are blocks of the file system */
    private boolean mark(long block, long count) throws IOException {
        if (count < 1 || block < Math.max(1, superblock.firstDataBlock()) || block > superblock.blockCount() - count) {
            return false;
        }
        long offset = block * superblock.blockSize();
        long length = count * superblock.blockSize();
        if (wanted == null || wanted.intersects(offset, length)) {
            used.add(offset, length);
        }
        return true;
    }
}
