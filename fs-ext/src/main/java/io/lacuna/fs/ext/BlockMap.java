package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Walks the map of a file, an extent tree or block numbers with up to three levels of indirection, and claims what it names and
 * what it lies in. Source: kernel documentation {@code filesystems/ext4/ifork}. Unlike {@link FileBlocks} it takes any file, with
 * holes and of any length, and keeps nothing. The blocks of a map are read as they are needed, each once.
 */
final class BlockMap {

    static final int EXTENT_MAGIC = 0xF30A;
    /** The format's own. */
    private static final int MAX_DEPTH = 5;
    private static final int NODE_HEADER = 12;
    private static final int ENTRY = 12;
    /** Lengths above this stand for blocks that are allocated but not written. */
    private static final int MAX_WRITTEN = 0x8000;
    private static final long MAX_LOGICAL = 1L << 32;
    private static final int DIRECT = 12;
    /** Ours: as many blocks of a map are announced ahead of the one that is read. */
    private static final int BLOCKS_AHEAD = 32;
    private static final int RESIZE_INODE = 7;

    private final BlockSource volume;
    private final Superblock superblock;
    private final BlockClaims claims;
    private final GroupLayout layout;
    private final SeenBlocks seen;
    /** One a level: extent trees have up to five below the inode, indirect blocks three. */
    private final ByteBuffer[] levels = new ByteBuffer[MAX_DEPTH];

    private long number;
    private int checksumSeed;
    /** The range of content that is being put together: neighbours need but one look. */
    private long runLogical;
    private long runBlock;
    private long runLength;
    private long runPosition;

    BlockMap(BlockSource volume, Superblock superblock, BlockClaims claims) {
        this.volume = volume;
        this.superblock = superblock;
        this.claims = claims;
        layout = new GroupLayout(superblock);
        seen = new SeenBlocks(superblock.blockCount());
    }

    /**
     * @param root 60 bytes of the inode
     * @param position where they lie on the volume, in bytes
     * @param seed register with which the checksums of its extent blocks begin
     * @throws CorruptException if a block of the file is free, or the tree cannot be understood
     */
    void walkExtents(long inode, ByteBuffer root, long position, int seed) throws IOException {
        number = inode;
        checksumSeed = seed;
        runLength = 0;
        walkNode(root, position, -1, 0, MAX_LOGICAL);
        claimRun();
    }

    /** The same for block numbers. */
    void walkNumbers(long inode, ByteBuffer root, long position) throws IOException {
        number = inode;
        runLength = 0;
        walkContent(root, position, DIRECT, 0);
        long logical = DIRECT;
        for (int level = 1; level <= 3; level++) {
            walkIndirect(root, position, (DIRECT + level - 1) * Integer.BYTES, level, logical);
            logical += span(level);
        }
        claimRun();
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
        if (!superblock.features().has(Features.METADATA_CSUM)) {
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
        return number == RESIZE_INODE && block >= layout.baseStart(0) && block < layout.baseStart(0) + layout.baseBlocks(0);
    }

    private void prefetch(long block) {
        if (block > 0 && block < superblock.blockCount() && !isReservedDescriptor(block)) {
            volume.prefetch(block * superblock.blockSize(), superblock.blockSize());
        }
    }

    private ByteBuffer read(String what, long block, long position, int level) throws IOException {
        claims.own(what, block, position);
        if (!seen.isNew(block)) {
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
