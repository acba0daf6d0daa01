package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Finds every block that an inode claims: content, the blocks that map it, and extended attributes. Sources: kernel documentation
 * {@code filesystems/ext4/inodes} and {@code filesystems/ext4/ifork}. The blocks of a map are read as they are needed, each once.
 */
final class InodeBlocks {

    private static final int MODE = 0x00;               // u16
    private static final int SIZE_LOW = 0x04;           // u32
    private static final int SECTORS_LOW = 0x1C;        // u32
    private static final int FLAGS = 0x20;              // u32
    private static final int TRANSLATOR = 0x24;         // u32, a block on the Hurd
    private static final int BLOCKS = 0x28;             // 60 bytes: block numbers, an extent tree, or content
    private static final int BLOCKS_SIZE = 60;
    private static final int ACL_LOW = 0x68;            // u32, block of the extended attributes
    private static final int SIZE_HIGH = 0x6C;          // u32
    private static final int SECTORS_HIGH = 0x74;       // u16
    private static final int ACL_HIGH = 0x76;           // u16

    private static final int FIFO = 1;
    private static final int CHARACTER_DEVICE = 2;
    private static final int DIRECTORY = 4;
    private static final int BLOCK_DEVICE = 6;
    private static final int REGULAR = 8;
    private static final int SYMLINK = 10;
    private static final int SOCKET = 12;

    /** Inodes up to this one are the file system's own, some without a type. */
    private static final int LAST_RESERVED = 10;
    private static final int RESIZE = 7;
    private static final int CREATOR = 0x48;            // u32 of the superblock
    private static final int HURD = 1;

    private static final int EXTENT_MAGIC = 0xF30A;
    private static final int MAX_DEPTH = 5;
    private static final int NODE_HEADER = 12;
    private static final int ENTRY = 12;
    /** Lengths above this stand for blocks that are allocated but not written. */
    private static final int MAX_WRITTEN = 0x8000;
    private static final long MAX_LOGICAL = 1L << 32;
    private static final int DIRECT = 12;
    /** Ours: as many blocks of a map are announced ahead of the one that is read. */
    private static final int BLOCKS_AHEAD = 32;

    private final BlockSource volume;
    private final Superblock superblock;
    private final BlockClaims claims;
    private final GroupLayout layout;
    private final boolean onHurd;
    private final MapBlocks mapBlocks;
    private final Crc32c.OfLength seed;
    /** One a level: extent trees have up to five below the inode, indirect blocks three. */
    private final ByteBuffer[] levels = new ByteBuffer[MAX_DEPTH];
    private final ByteBuffer root = ByteBuffer.allocate(BLOCKS_SIZE).order(ByteOrder.LITTLE_ENDIAN);

    private long number;
    private int checksumSeed;
    /** The range of content that is being put together: neighbours need but one look. */
    private long runLogical;
    private long runBlock;
    private long runLength;
    private long runPosition;

    InodeBlocks(BlockSource volume, Superblock superblock, BlockClaims claims) throws IOException {
        this.volume = volume;
        this.superblock = superblock;
        this.claims = claims;
        layout = new GroupLayout(superblock);
        mapBlocks = new MapBlocks(superblock.blockCount());
        seed = superblock.features().has(Features.METADATA_CSUM) ? new Crc32c.OfLength(superblock.checksumSeed(), 8) : null;
        onHurd = Bytes.read(volume, "ext superblock", Superblock.OFFSET, Superblock.SIZE, ByteOrder.LITTLE_ENDIAN)
                .u32(CREATOR) == HURD;
    }

    /**
     * Tells the most of the inodes that were never used or were deleted since: of the others their bitmap tells.
     *
     * @param at where the inode begins
     * @return whether the inode claims no block, used or not
     */
    boolean claimsNothing(ByteBuffer table, int at) {
        if (table.getInt(at + ACL_LOW) != 0 || onHurd && table.getInt(at + TRANSLATOR) != 0) {
            return false;
        }
        if ((table.getInt(at + FLAGS) & Inode.EXTENTS) != 0) {
            return (table.getShort(at + BLOCKS) & 0xFFFF) == EXTENT_MAGIC && table.getShort(at + BLOCKS + 2) == 0;
        }
        for (int i = 0; i < BLOCKS_SIZE; i += Integer.BYTES) {
            if (table.getInt(at + BLOCKS + i) != 0) {
                return false;
            }
        }
        return true;
    }

    /**
     * Walks an inode in use.
     *
     * @param at where it begins in the table
     * @param position where it lies on the volume, in bytes
     * @param head number and generation, with which the checksums of its extent blocks begin
     * @throws CorruptException if one of its blocks is free, or it cannot be understood
     */
    void walk(long inode, ByteBuffer table, int at, long position, ByteBuffer head) throws IOException {
        number = inode;
        claims.of(inode);
        Features features = superblock.features();
        long acl = table.getInt(at + ACL_LOW) & 0xFFFF_FFFFL;
        if (features.has(Features.SIXTY_FOUR_BIT)) {
            acl |= (table.getShort(at + ACL_HIGH) & 0xFFFFL) << 32;
        }
        if (acl != 0) {
            claims.own("extended attributes", acl, position + ACL_LOW);
        }
        if (onHurd && table.getInt(at + TRANSLATOR) != 0) {
            claims.own("translator", table.getInt(at + TRANSLATOR) & 0xFFFF_FFFFL, position + TRANSLATOR);
        }
        int flags = table.getInt(at + FLAGS);
        if (!hasMap((table.getShort(at + MODE) & 0xFFFF) >>> 12, table, at, position, acl)) {
            return;
        }
        for (int i = 0; i < BLOCKS_SIZE; i += Integer.BYTES) {
            root.putInt(i, table.getInt(at + BLOCKS + i));
        }
        runLength = 0;
        if ((flags & Inode.EXTENTS) != 0) {
            checksumSeed = seed == null ? 0 : seed.of(head.position(0));
            walkNode(root, position + BLOCKS, -1, 0, MAX_LOGICAL);
        } else {
            walkContent(root, position + BLOCKS, DIRECT, 0);
            long logical = DIRECT;
            for (int level = 1; level <= 3; level++) {
                walkIndirect(root, position + BLOCKS, (DIRECT + level - 1) * Integer.BYTES, level, logical);
                logical += span(level);
            }
        }
        claimRun();
    }

    /** @return whether i_block holds a map of blocks */
    private boolean hasMap(int type, ByteBuffer table, int at, long position, long acl) throws CorruptException {
        int flags = table.getInt(at + FLAGS);
        boolean extents = (flags & Inode.EXTENTS) != 0;
        switch (type) {
            case FIFO, CHARACTER_DEVICE, BLOCK_DEVICE, SOCKET -> {
                return false;
            }
            case REGULAR, DIRECTORY, SYMLINK -> {
                if ((flags & Inode.INLINE_DATA) != 0) {
                    if (extents || !superblock.features().has(Features.INLINE_DATA)) {
                        throw corrupt("flags", position + FLAGS, "inline data only with that feature, and without extents",
                                Superblock.hex(flags));
                    }
                    return false;
                }
                return type != SYMLINK || extents || !isFastSymlink(table, at, acl);
            }
            default -> {
                if (number > LAST_RESERVED) {
                    throw corrupt("type", position + MODE, "a file, a directory, a link, a device, a pipe or a socket",
                            Superblock.hex(type));
                }
                return true;
            }
        }
    }

    /** A short target stands in i_block itself. Blocks that are counted for extended attributes only are no sign of another. */
    private boolean isFastSymlink(ByteBuffer table, int at, long acl) {
        long size = table.getInt(at + SIZE_LOW) & 0xFFFF_FFFFL | (long) table.getInt(at + SIZE_HIGH) << 32;
        if (superblock.features().has(Features.EA_INODE)) {
            return size >= 0 && size < BLOCKS_SIZE;
        }
        long sectors = table.getInt(at + SECTORS_LOW) & 0xFFFF_FFFFL | (table.getShort(at + SECTORS_HIGH) & 0xFFFFL) << 32;
        long ofAttributes = acl == 0 ? 0 : superblock.clusterSize() / 512;
        return size >= 0 && size < BLOCKS_SIZE && (sectors == 0 || sectors == ofAttributes);
    }

    /**
     * @param position where the node lies on the volume, in bytes
     * @param depthExpected -1 for the root, which may have any
     * @param from first block of the file that may be mapped here
     * @param to block of the file behind the last one that may be
     */
    private void walkNode(ByteBuffer node, long position, int depthExpected, long from, long to) throws IOException {
        int room = (node.capacity() - NODE_HEADER) / ENTRY;
        int entries = u16(node, 2);
        int max = u16(node, 4);
        int depth = u16(node, 6);
        if (u16(node, 0) != EXTENT_MAGIC) {
            throw corrupt("extent tree magic", position, "0xf30a", Superblock.hex(u16(node, 0)));
        }
        if (max > room || entries > max) {
            throw corrupt("extent tree entries", position + 2, "at most " + Math.min(max, room), entries + " of " + max);
        }
        if (depthExpected < 0 ? depth > MAX_DEPTH : depth != depthExpected) {
            throw corrupt("extent tree depth", position + 6, depthExpected < 0 ? "at most 5" : "" + depthExpected, depth);
        }
        if (depthExpected >= 0) {
            verifyChecksum(node, position, NODE_HEADER + max * ENTRY);
            if (entries == 0 && depth > 0) {
                throw corrupt("extent tree entries", position + 2, "at least 1", 0);
            }
        }
        if (depth == 0) {
            walkLeaf(node, position, entries, from, to);
        } else {
            walkIndex(node, position, entries, depth, from, to);
        }
    }

    private void walkLeaf(ByteBuffer node, long position, int entries, long from, long to) throws IOException {
        long next = from;
        for (int i = 0; i < entries; i++) {
            int at = NODE_HEADER + i * ENTRY;
            long logical = u32(node, at);
            int length = u16(node, at + 4) > MAX_WRITTEN ? u16(node, at + 4) - MAX_WRITTEN : u16(node, at + 4);
            if (logical < next || logical + length > to) {
                throw corrupt("extent tree: blocks of the file", position + at, "from " + next + " to " + (to - 1),
                        length + " from " + logical);
            }
            add(logical, u32(node, at + 8) | (long) u16(node, at + 6) << 32, length, position + at + 6);
            next = logical + length;
        }
    }

    private void walkIndex(ByteBuffer node, long position, int entries, int depth, long from, long to) throws IOException {
        long next = from;
        int announced = 0;
        for (int i = 0; i < entries; i++) {
            for (; announced < entries && announced < i + BLOCKS_AHEAD; announced++) {
                prefetch(child(node, NODE_HEADER + announced * ENTRY));
            }
            int at = NODE_HEADER + i * ENTRY;
            long logical = u32(node, at);
            long end = i + 1 < entries ? u32(node, at + ENTRY) : to;
            if (logical < next || end <= logical || end > to) {
                throw corrupt("extent tree: blocks of the file", position + at, "from " + next + " to " + (to - 1),
                        logical + " to " + (end - 1));
            }
            long block = child(node, at);
            walkNode(read("extent tree", block, position + at + 4, depth - 1), block * superblock.blockSize(), depth - 1,
                    logical, end);
            next = end;
        }
    }

    private static long child(ByteBuffer node, int at) {
        return u32(node, at + 4) | (long) u16(node, at + 8) << 32;
    }

    private void verifyChecksum(ByteBuffer node, long position, int at) throws CorruptException {
        if (seed == null) {
            return;
        }
        // Entries of 12 bytes leave at least 4 bytes of a block whose size is a power of two.
        int computed = Crc32c.update(checksumSeed, node.duplicate().position(0).limit(at));
        if (computed != node.getInt(at)) {
            throw corrupt("extent tree checksum", position + at, Superblock.hex(computed), Superblock.hex(node.getInt(at)));
        }
    }

    /** @return blocks of content behind a block number of this level */
    private long span(int level) {
        long span = 1;
        for (int i = 0; i < level; i++) {
            span *= superblock.blockSize() / Integer.BYTES;
        }
        return span;
    }

    private void walkContent(ByteBuffer pointers, long position, int count, long logical) throws IOException {
        for (int i = 0; i < count; i++) {
            long block = u32(pointers, i * Integer.BYTES);
            if (block != 0) {
                add(logical + i, block, 1, position + (long) i * Integer.BYTES);
            }
        }
    }

    /** Walks what is behind the one block number at {@code at}. */
    private void walkIndirect(ByteBuffer pointers, long position, int at, int level, long logical) throws IOException {
        long block = u32(pointers, at);
        if (block == 0) {
            return;
        }
        if (isReservedDescriptor(block)) {
            claims.own("indirect block", block, position + at);
            return;
        }
        ByteBuffer numbers = read("indirect block", block, position + at, level - 1);
        long place = block * superblock.blockSize();
        int count = superblock.blockSize() / Integer.BYTES;
        if (level == 1) {
            walkContent(numbers, place, count, logical);
            return;
        }
        int announced = 0;
        for (int i = 0; i < count; i++) {
            for (; announced < count && announced < i + BLOCKS_AHEAD; announced++) {
                prefetch(u32(numbers, announced * Integer.BYTES));
            }
            walkIndirect(numbers, place, i * Integer.BYTES, level - 1, logical + i * span(level - 1));
        }
    }

    /**
     * @return whether this is a block that the resize inode keeps for more descriptors: there are hundreds, which name nothing but
     *         their copies, and those are among the file system's own blocks, which are known to be marked as used
     */
    private boolean isReservedDescriptor(long block) {
        return number == RESIZE && block >= layout.baseStart(0) && block < layout.baseStart(0) + layout.baseBlocks(0);
    }

    private void prefetch(long block) {
        if (block > 0 && block < superblock.blockCount() && !isReservedDescriptor(block)) {
            volume.prefetch(block * superblock.blockSize(), superblock.blockSize());
        }
    }

    private ByteBuffer read(String what, long block, long position, int level) throws IOException {
        claims.own(what, block, position);
        if (!mapBlocks.isNew(block)) {
            throw corrupt(what + ": block", position, "one that maps nothing else", "block " + block + " once more");
        }
        if (levels[level] == null) {
            levels[level] = ByteBuffer.allocate(superblock.blockSize()).order(ByteOrder.LITTLE_ENDIAN);
        }
        volume.read(block * superblock.blockSize(), levels[level].clear());
        return levels[level];
    }

    private void add(long logical, long block, long length, long position) throws CorruptException {
        if (runLength > 0 && length > 0 && runBlock + runLength == block && runLogical + runLength == logical) {
            runLength += length;
            return;
        }
        claimRun();
        runLogical = logical;
        runBlock = block;
        runLength = length;
        runPosition = position;
        if (length == 0) {
            claims.content(logical, block, 0, position);
        }
    }

    private void claimRun() throws CorruptException {
        if (runLength > 0) {
            claims.content(runLogical, runBlock, runLength, runPosition);
            runLength = 0;
        }
    }

    private CorruptException corrupt(String what, long position, String expected, Object found) {
        return new CorruptException("ext inode " + number + ": " + what + " (run e2fsck -f in the guest)", position, expected,
                found);
    }

    private static int u16(ByteBuffer buffer, int at) {
        return buffer.getShort(at) & 0xFFFF;
    }

    private static long u32(ByteBuffer buffer, int at) {
        return buffer.getInt(at) & 0xFFFF_FFFFL;
    }
}
