package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The group descriptors, 32 to 1024 bytes each, little-endian, read a bounded piece at a time. Source: kernel documentation
 * {@code filesystems/ext4/group_descr}. What a loaded descriptor names lies inside of the file system, and its checksum, if
 * the file system has them, was right.
 */
final class GroupDescriptors {

    private static final int INODE_UNINIT = 0x0001;
    private static final int BLOCK_UNINIT = 0x0002;
    /** Ours. Two pieces are on their way at a time: one in use, one ahead. */
    private static final int PIECE_BYTES = 1 << 20;

    private final BlockSource volume;
    private final Superblock superblock;
    private final GroupLayout layout;
    private final DescriptorChecksum checksum;
    private final boolean wide;
    private final int groupsPerPiece;
    private final ByteBuffer piece;
    private int firstGroup;
    private int count;

    GroupDescriptors(BlockSource volume, Superblock superblock) {
        this(volume, superblock, Math.min(superblock.groupCount(), PIECE_BYTES / superblock.descriptorSize()));
    }

    private GroupDescriptors(BlockSource volume, Superblock superblock, int wanted) {
        this.volume = volume;
        this.superblock = superblock;
        layout = new GroupLayout(superblock);
        checksum = superblock.features().hasDescriptorChecksums() ? new DescriptorChecksum(superblock) : null;
        wide = superblock.descriptorSize() >= 64;
        int perBlock = superblock.descriptorsPerBlock();
        int blocks = (wanted + perBlock - 1) / perBlock;
        groupsPerPiece = blocks * perBlock;
        piece = ByteBuffer.allocate(blocks * superblock.blockSize()).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** @return a reader of single descriptors, which reads no more than the block that a descriptor lies in */
    static GroupDescriptors forSingle(BlockSource volume, Superblock superblock) {
        return new GroupDescriptors(volume, superblock, 1);
    }

    /**
     * Reads and checks the descriptors from that of a group on.
     *
     * @param group a multiple of the descriptors in a block
     * @return how many there are now: at least 1
     * @throws DiskFormatException if one of them cannot be trusted
     */
    int load(int group) throws IOException {
        readBlocks(group);
        firstGroup = group;
        count = Math.min(groupsPerPiece, superblock.groupCount() - group);
        for (int g = group; g < group + count; g++) {
            check(g);
        }
        return count;
    }

    /** Reads and checks the one descriptor of a group. */
    void loadOnly(int group) throws IOException {
        int start = group - group % superblock.descriptorsPerBlock();
        readBlocks(start);
        firstGroup = start;
        count = Math.min(groupsPerPiece, superblock.groupCount() - start);
        check(group);
    }

    private void readBlocks(int group) throws IOException {
        long first = group / superblock.descriptorsPerBlock();
        long total = (superblock.groupCount() + (long) superblock.descriptorsPerBlock() - 1) / superblock.descriptorsPerBlock();
        long most = piece.capacity() / superblock.blockSize();
        long end = Math.min(first + most, total);
        if (first == 0) {
            prefetch(0, end);
        }
        prefetch(end, Math.min(end + most, total));
        for (long index = first; index < end;) {
            long block = layout.descriptorBlock(index);
            long next = nextApart(index, end);
            if (block + (next - index) > superblock.blockCount()) {
                throw new CorruptException("ext group descriptors", block * superblock.blockSize(),
                        (next - index) + " blocks before the end of the file system", "only "
                        + (superblock.blockCount() - block));
            }
            int position = (int) (index - first) * superblock.blockSize();
            piece.limit(position + (int) (next - index) * superblock.blockSize()).position(position);
            volume.read(block * superblock.blockSize(), piece);
            index = next;
        }
        piece.clear();
    }

    private void prefetch(long index, long end) {
        while (index < end) {
            long next = nextApart(index, end);
            volume.prefetch(layout.descriptorBlock(index) * superblock.blockSize(), (next - index) * superblock.blockSize());
            index = next;
        }
    }

    /** @return the first index of a descriptor block that does not lie right behind the one before: only META_BG has gaps */
    private long nextApart(long index, long end) {
        return index < superblock.firstMetaGroup() ? Math.min(end, superblock.firstMetaGroup()) : index + 1;
    }

    private void check(int group) throws CorruptException {
        if (checksum != null) {
            int computed = checksum.of(group, piece, at(group));
            int stored = piece.getShort(at(group) + DescriptorChecksum.AT) & 0xFFFF;
            if (computed != stored) {
                throw corrupt(group, "descriptor checksum (run e2fsck -f in the guest)", DescriptorChecksum.AT,
                        Superblock.hex(computed), Superblock.hex(stored));
            }
        }
        requireInside(group, "block bitmap", 0x00, blockBitmap(group), 1);
        requireInside(group, "inode bitmap", 0x04, inodeBitmap(group), 1);
        requireInside(group, "inode table", 0x08, inodeTable(group), superblock.inodeTableBlocks());
        if (freeClusters(group) > superblock.clustersIn(group)) {
            throw corrupt(group, "free count (run e2fsck -f in the guest)", 0x0C, "at most " + superblock.clustersIn(group),
                    freeClusters(group));
        }
    }

    private void requireInside(int group, String what, int field, long block, int blocks) throws CorruptException {
        boolean anywhere = superblock.features().has(Features.FLEX_BG);
        long start = anywhere ? superblock.firstDataBlock() : superblock.groupStart(group);
        long end = anywhere ? superblock.blockCount() : superblock.groupEnd(group);
        if (block < start || block > end - blocks) {
            throw corrupt(group, what + " (run e2fsck -f in the guest)", field,
                    blocks + " block(s) from " + start + " to " + (end - 1), Long.toUnsignedString(block));
        }
    }

    /** @param field byte in the descriptor */
    CorruptException corrupt(int group, String what, int field, String expected, Object found) {
        int index = group / superblock.descriptorsPerBlock();
        long place = layout.descriptorBlock(index) * superblock.blockSize()
                + (long) (group % superblock.descriptorsPerBlock()) * superblock.descriptorSize() + field;
        return new CorruptException("ext block group " + group + ": " + what, place, expected, found);
    }

    private int at(int group) {
        return (group - firstGroup) * superblock.descriptorSize();
    }

    private long block(int group, int low, int high) {
        int at = at(group);
        long block = piece.getInt(at + low) & 0xFFFF_FFFFL;
        return wide ? block | (long) piece.getInt(at + high) << 32 : block;
    }

    long blockBitmap(int group) {
        return block(group, 0x00, 0x20);
    }

    long inodeBitmap(int group) {
        return block(group, 0x04, 0x24);
    }

    long inodeTable(int group) {
        return block(group, 0x08, 0x28);
    }

    /** @return bg_free_blocks_count, which counts clusters */
    long freeClusters(int group) {
        int at = at(group);
        long count = piece.getShort(at + 0x0C) & 0xFFFF;
        return wide ? count | (piece.getShort(at + 0x2C) & 0xFFFFL) << 16 : count;
    }

    /**
     * @return whether the group's bitmap was never written, so that its used blocks have to be computed. The flag counts only
     *         with a descriptor checksum, and never in group 0: otherwise the bitmap counts.
     */
    boolean isBitmapUninitialised(int group) {
        return checksum != null && group != 0 && (piece.getShort(at(group) + 0x12) & BLOCK_UNINIT) != 0;
    }

    /**
     * @return whether no inode of the group was ever used and its inode bitmap was never written; counts as little as the
     *     flag above
     */
    boolean areInodesUninitialised(int group) {
        return checksum != null && group != 0 && (piece.getShort(at(group) + 0x12) & INODE_UNINIT) != 0;
    }

    /** @return how many inodes of the group, from the first on, were ever used: all that can be told without a checksum */
    int inodesEverUsed(int group) {
        if (areInodesUninitialised(group)) {
            return 0;
        }
        int at = at(group);
        int unused = checksum == null ? 0 : piece.getShort(at + 0x1C) & 0xFFFF
                | (wide ? (piece.getShort(at + 0x32) & 0xFFFF) << 16 : 0);
        return unused < 0 || unused > superblock.inodesPerGroup() ? superblock.inodesPerGroup()
                : superblock.inodesPerGroup() - unused;
    }

    /** @return whether the stored checksum of the inode bitmap is this one; 32-byte descriptors keep only its low half */
    boolean hasInodeBitmapChecksum(int group, int computed) {
        return inodeBitmapChecksum(group) == (wide ? computed : computed & 0xFFFF);
    }

    int inodeBitmapChecksum(int group) {
        int low = piece.getShort(at(group) + 0x1A) & 0xFFFF;
        return wide ? low | piece.getShort(at(group) + 0x3A) << 16 : low;
    }

    /** @return whether the stored checksum of the block bitmap is this one; 32-byte descriptors keep only its low half */
    boolean hasBitmapChecksum(int group, int computed) {
        return bitmapChecksum(group) == (wide ? computed : computed & 0xFFFF);
    }

    int bitmapChecksum(int group) {
        int low = piece.getShort(at(group) + 0x18) & 0xFFFF;
        return wide ? low | piece.getShort(at(group) + 0x38) << 16 : low;
    }
}
