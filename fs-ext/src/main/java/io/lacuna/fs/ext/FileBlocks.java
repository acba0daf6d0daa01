package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Where the blocks of a file lie: an extent tree, or block numbers with up to three levels of indirection. Source: kernel
 * documentation {@code filesystems/ext4/ifork}. Made for the journal: a file without holes and of bounded length.
 */
final class FileBlocks {

    static final int EXTENT_MAGIC = 0xF30A;
    /** The format's own. */
    static final int MAX_DEPTH = 5;
    static final int NODE_HEADER = 12;
    static final int ENTRY = 12;
    /** Lengths above this stand for blocks that are allocated but not written. */
    static final int MAX_WRITTEN = 0x8000;

    /** Ours: far above what a journal can sensibly be cut into. */
    private static final int MAX_RUNS = 1 << 20;

    private final BlockSource volume;
    private final Superblock superblock;
    private final Inode inode;
    private final long wanted;
    /** Runs: the logical block behind each one, and the block that it starts at. */
    private long[] ends = new long[8];
    private long[] starts = new long[8];
    private int runs;
    private long length;
    /** Blocks of the tree itself. */
    private final Ranges treeBlocks = new Ranges("blocks that map the journal");

    private FileBlocks(BlockSource volume, Superblock superblock, Inode inode, long wanted) {
        this.volume = volume;
        this.superblock = superblock;
        this.inode = inode;
        this.wanted = wanted;
    }

    /**
     * @param wanted blocks to map from the first one on, at least 1; the caller has bounded it
     * @throws DiskFormatException if they are not all there, or lie outside of the file system
     */
    static FileBlocks read(BlockSource volume, Superblock superblock, Inode inode, long wanted) throws IOException {
        FileBlocks blocks = new FileBlocks(volume, superblock, inode, wanted);
        if (inode.has(Inode.INLINE_DATA)) {
            throw blocks.corrupt(inode.blocks(), "flags", 0, "no inline data", Superblock.hex(inode.flags()));
        }
        if (inode.has(Inode.EXTENTS)) {
            blocks.readNode(inode.blocks(), -1);
        } else {
            blocks.readIndirect();
        }
        if (blocks.length < wanted) {
            throw blocks.corrupt(inode.blocks(), "mapped blocks", 0, wanted + " without a hole", blocks.length);
        }
        return blocks;
    }

    /** @return the number of blocks that are mapped, at least as many as were wanted */
    long length() {
        return length;
    }

    /** @return the block of the volume that has a block of the file, counted from 0 and below {@link #length()} */
    long blockOf(long logical) {
        int low = 0;
        int high = runs - 1;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (ends[middle] > logical) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return starts[low] + logical - startOfRun(low);
    }

    /** Adds every block of the file, and of the tree that maps it, as bytes of the volume. */
    void addTo(Ranges ranges) throws IOException {
        for (int i = 0; i < runs; i++) {
            ranges.add(starts[i] * superblock.blockSize(), (ends[i] - startOfRun(i)) * superblock.blockSize());
        }
        ExtentSet tree = treeBlocks.build();
        for (int i = 0; i < tree.count(); i++) {
            ranges.add(tree.start(i), tree.end(i) - tree.start(i));
        }
    }

    /** @param depthExpected -1 for the root, which may have any */
    private void readNode(Bytes node, int depthExpected) throws IOException {
        int room = (node.length() - NODE_HEADER) / ENTRY;
        int entries = node.u16(2);
        int max = node.u16(4);
        int depth = node.u16(6);
        if (node.u16(0) != EXTENT_MAGIC) {
            throw corrupt(node, "extent tree magic", 0, "0xf30a", Superblock.hex(node.u16(0)));
        }
        if (max > room || entries > max) {
            throw corrupt(node, "extent tree entries", 2, "at most " + Math.min(max, room), entries + " of " + max);
        }
        if (depthExpected < 0 ? depth > MAX_DEPTH : depth != depthExpected) {
            throw corrupt(node, "extent tree depth", 6, depthExpected < 0 ? "at most 5" : "" + depthExpected, depth);
        }
        if (depthExpected >= 0) {
            verifyChecksum(node, max);
        }
        for (int i = 0; i < entries; i++) {
            int at = NODE_HEADER + i * ENTRY;
            if (node.u32(at) != length) {
                throw corrupt(node, "extent tree: first block of an entry", at, length + ", without a hole", node.u32(at));
            }
            if (depth == 0) {
                int count = node.u16(at + 4);
                add(node, at + 8, node.u32(at + 8) | (long) node.u16(at + 6) << 32,
                        count > MAX_WRITTEN ? count - MAX_WRITTEN : count);
            } else {
                long before = length;
                readNode(treeBlock(node, at + 4, node.u32(at + 4) | (long) node.u16(at + 8) << 32), depth - 1);
                if (length == before) {
                    throw corrupt(node, "extent tree: entry", at, "blocks behind it", "none");
                }
            }
        }
    }

    private void verifyChecksum(Bytes node, int max) throws CorruptException {
        int at = NODE_HEADER + max * ENTRY;
        if (superblock.features().has(Features.METADATA_CSUM)) {
            int computed = Crc32c.update(inode.checksumSeed(), node.copy(0, at), 0, at);
            if (computed != node.s32(at)) {
                throw corrupt(node, "extent tree checksum", at, Superblock.hex(computed),
                        Superblock.hex(node.s32(at)));
            }
        }
    }

    private void readIndirect() throws IOException {
        for (int i = 0; i < 12 && length < wanted; i++) {
            add(inode.blocks(), 4 * i, inode.blocks().u32(4 * i), 1);
        }
        for (int level = 1; level <= 3 && length < wanted; level++) {
            int at = 4 * (11 + level);
            readPointers(treeBlock(inode.blocks(), at, inode.blocks().u32(at)), level);
        }
    }

    private void readPointers(Bytes block, int level) throws IOException {
        for (int at = 0; at < block.length() && length < wanted; at += 4) {
            if (level == 1) {
                add(block, at, block.u32(at), 1);
            } else {
                readPointers(treeBlock(block, at, block.u32(at)), level - 1);
            }
        }
    }

    private Bytes treeBlock(Bytes parent, int at, long block) throws IOException {
        requireInside(parent, at, block, 1);
        treeBlocks.add(block * superblock.blockSize(), superblock.blockSize());
        return Bytes.read(volume, "blocks of ext inode " + inode.number(), block * superblock.blockSize(),
                superblock.blockSize(), ByteOrder.LITTLE_ENDIAN);
    }

    private void add(Bytes from, int at, long block, int count) throws DiskFormatException {
        requireInside(from, at, block, count);
        length += count;
        if (runs > 0 && starts[runs - 1] + ends[runs - 1] - startOfRun(runs - 1) == block) {
            ends[runs - 1] = length;
            return;
        }
        if (runs == MAX_RUNS) {
            throw new UnsupportedException("the journal of this ext file system is in more than " + MAX_RUNS
                    + " pieces, more than can be held");
        }
        if (runs == ends.length) {
            ends = Arrays.copyOf(ends, 2 * runs);
            starts = Arrays.copyOf(starts, 2 * runs);
        }
        starts[runs] = block;
        ends[runs++] = length;
    }

    private long startOfRun(int run) {
        return run == 0 ? 0 : ends[run - 1];
    }

    private void requireInside(Bytes from, int at, long block, int count) throws CorruptException {
        if (count < 1 || block < Math.max(1, superblock.firstDataBlock()) || block > superblock.blockCount() - count) {
            throw corrupt(from, "block", at, "1 or more blocks from 1 to " + (superblock.blockCount() - 1),
                    count + " from " + block);
        }
    }

    private CorruptException corrupt(Bytes place, String what, int at, String expected, Object found) {
        return place.corrupt("ext journal, inode " + inode.number() + ": " + what + " (run e2fsck -f in the guest)", at,
                expected, found);
    }
}
