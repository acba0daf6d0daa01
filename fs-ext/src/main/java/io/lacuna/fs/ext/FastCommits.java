package io.lacuna.fs.ext;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The fast commits that follow the last complete transaction: in the last blocks of the journal, little-endian records of a tag (16
 * bits), a length (16 bits) and a value, a commit ending with a TAIL and its block. They say what changed of inodes, and no
 * bitmap: a replay marks the blocks of these inodes in the bitmaps itself. Source: kernel documentation
 * {@code filesystems/ext4/journal}, and {@code fast_commit.h} of e2fsprogs for the names.
 *
 * @param count fast commits that a replay would take
 * @param inodes numbers of all inodes that are named
 * @param bodies inodes as they will be, as far as they are told
 * @param ranges runs of blocks that are added to inodes: first block and number of blocks in turn
 */
record FastCommits(int count, SortedSet<Long> inodes, List<ByteBuffer> bodies, List<long[]> ranges) {

    private static final int ADD_RANGE = 1;
    private static final int DEL_RANGE = 2;
    private static final int CREAT = 3;
    private static final int LINK = 4;
    private static final int UNLINK = 5;
    private static final int INODE = 6;
    private static final int PAD = 7;
    private static final int TAIL = 8;
    private static final int HEAD = 9;

    /** The part of an inode that every one has, and that says where its blocks are. */
    private static final int INODE_HEAD = 128;
    private static final int RECORD = 4;
    private static final int MAX_NAME = 255;
    /** Ours: what is named more often is not worth the memory. */
    private static final int LIMIT = 1 << 16;

    static final FastCommits NONE = new FastCommits(0, new TreeSet<>(), List.of(), List.of());

    /**
     * @param expected number of the transaction behind the last complete one, which they belong to
     * @throws DiskFormatException if there are some and a guest would not replay them, or they cannot be read in full
     */
    static FastCommits read(JournalSuperblock journal, JournalBlocks blocks, Superblock superblock, int expected)
            throws IOException {
        if (!journal.has(JournalSuperblock.FAST_COMMIT) || journal.isEmpty()) {
            return NONE;
        }
        // The first block behind the log stays unused. One who did use it would mean another layout than the one that we know.
        ByteBuffer before = blocks.read(journal.logEnd()).order(ByteOrder.LITTLE_ENDIAN);
        if (isHead(before) && !isOfAnother(before, expected)) {
            throw new UnsupportedException("the file system's fast commits begin a block earlier than those of Linux: start the "
                    + "guest and shut it down cleanly");
        }
        Scan scan = new Scan(superblock, expected);
        boolean goesOn = true;
        for (long block = journal.logEnd() + 1; block < journal.maxLength(); block++) {
            ByteBuffer bytes = blocks.read(block).order(ByteOrder.LITTLE_ENDIAN);
            if (block == journal.logEnd() + 1 && (!isHead(bytes) || isOfAnother(bytes, expected))) {
                return NONE;
            }
            goesOn = scan.readBlock(bytes);
            if (!goesOn) {
                break;
            }
        }
        if (scan.commits == 0) {
            throw new CorruptException("ext journal, fast commits: the first one (start the guest, or run e2fsck -f in it)", -1,
                    "complete", "cut or damaged");
        }
        if (goesOn) {
            // Linux looks for the end behind the journal, finds none, and does not mount.
            throw new UnsupportedException("the file system's fast commits fill the journal to its last block, and Linux mounts no "
                    + "such file system: run e2fsck -f in the guest");
        }
        return new FastCommits(scan.commits, scan.inodes, scan.bodies, scan.ranges);
    }

    private static boolean isHead(ByteBuffer block) {
        return block.getShort(0) == HEAD;
    }

    /** @return whether a head is sound, and one of another transaction, so that nothing counts that follows */
    private static boolean isOfAnother(ByteBuffer block, int expected) {
        return block.getShort(2) == 8 && block.getInt(RECORD) == 0 && block.getInt(RECORD + 4) != expected;
    }

    /** Reads on, as the kernel does, to the last commit that is whole. Whatever is named counts, whole or not. */
    private static final class Scan {
        private final Superblock superblock;
        private final int expected;
        private final SortedSet<Long> inodes = new TreeSet<>();
        private final List<ByteBuffer> bodies = new ArrayList<>();
        private final List<long[]> ranges = new ArrayList<>();
        private int commits;
        private int checksum;
        /** What the commit that is being read names and the file system does not have; null if nothing. */
        private DiskFormatException damage;

        Scan(Superblock superblock, int expected) {
            this.superblock = superblock;
            this.expected = expected;
        }

        /** @return whether to read on */
        boolean readBlock(ByteBuffer b) throws IOException {
            int end = b.limit();
            for (int at = 0; at + RECORD <= end;) {
                int tag = b.getShort(at) & 0xFFFF;
                int length = b.getShort(at + 2) & 0xFFFF;
                int value = at + RECORD;
                if (length > end - value || !isLength(tag, length)) {
                    return false;
                }
                if (tag == TAIL) {
                    int computed = Crc32c.update(checksum, b.slice(at, RECORD + 4));
                    if (b.getInt(value) != expected || b.getInt(value + 4) != computed) {
                        return false;
                    }
                    if (damage != null) {
                        throw damage;
                    }
                    checksum = 0;
                    commits++;
                } else {
                    if (tag == HEAD) {
                        if (b.getInt(value) != 0) {
                            throw new UnsupportedException("ext journal, fast commits: features (a newer Lacuna may know them)", -1,
                                    "none", Superblock.hex(b.getInt(value)));
                        }
                        if (b.getInt(value + 4) != expected) {
                            return false;
                        }
                    }
                    checksum = Crc32c.update(checksum, b.slice(at, RECORD + length));
                    readValue(tag, b.slice(value, length).order(ByteOrder.LITTLE_ENDIAN));
                }
                at = value + length;
            }
            return true;
        }

        private boolean isLength(int tag, int length) {
            return switch (tag) {
                case ADD_RANGE -> length == 16;
                case DEL_RANGE -> length == 12;
                case CREAT, LINK, UNLINK -> length > 8 && length <= 8 + MAX_NAME;
                case INODE -> length >= 4 + INODE_HEAD && length <= 4 + superblock.inodeSize();
                case PAD -> true;
                case TAIL -> length >= 8;
                case HEAD -> length == 8;
                default -> false;
            };
        }

        private void readValue(int tag, ByteBuffer value) throws DiskFormatException {
            switch (tag) {
                case ADD_RANGE -> {
                    addInode(value.getInt(0));
                    int count = value.getShort(8) & 0xFFFF;
                    addRange(value.getInt(12) & 0xFFFF_FFFFL | (value.getShort(10) & 0xFFFFL) << 32,
                            count > FileBlocks.MAX_WRITTEN ? count - FileBlocks.MAX_WRITTEN : count);
                }
                case DEL_RANGE -> addInode(value.getInt(0));
                case CREAT, LINK, UNLINK -> {
                    addInode(value.getInt(0));
                    addInode(value.getInt(4));
                }
                case INODE -> {
                    addInode(value.getInt(0));
                    byte[] body = new byte[INODE_HEAD];
                    value.get(4, body);
                    requireRoom(bodies.size());
                    bodies.add(ByteBuffer.wrap(body).order(ByteOrder.LITTLE_ENDIAN));
                }
                default -> { }
            }
        }

        private void addInode(int number) throws UnsupportedException {
            long inode = number & 0xFFFF_FFFFL;
            if (inode < 1 || inode > superblock.inodeCount()) {
                damage = new CorruptException("ext journal, fast commits: inode number (run e2fsck -f in the guest)", -1,
                        "1 to " + superblock.inodeCount(), inode);
                return;
            }
            requireRoom(inodes.size());
            inodes.add(inode);
        }

        private void addRange(long start, int count) throws UnsupportedException {
            if (count < 1 || start < Math.max(1, superblock.firstDataBlock()) || start > superblock.blockCount() - count) {
                damage = new CorruptException("ext journal, fast commits: added blocks (run e2fsck -f in the guest)", -1,
                        "1 or more blocks from 1 to " + (superblock.blockCount() - 1), count + " from " + start);
                return;
            }
            requireRoom(ranges.size());
            ranges.add(new long[] {start, count});
        }

        private static void requireRoom(int size) throws UnsupportedException {
            if (size >= LIMIT) {
                throw new UnsupportedException("the file system's fast commits name more than " + LIMIT + " changes, more than "
                        + "can be held: start the guest and shut it down cleanly");
            }
        }
    }
}
