package io.lacuna.fs.ext;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The superblock of a JBD2 journal: 1024 bytes at the start of the journal's first block, big-endian, alone in ext. Source:
 * kernel documentation {@code filesystems/ext4/journal}.
 *
 * @param version 1 or 2; version 1 has no features
 * @param blockSize bytes
 * @param maxLength blocks of the journal, this one included
 * @param first block of the journal that the log begins at
 * @param sequence number of the first transaction in the log
 * @param start block of the journal with that transaction; 0 if the log is empty
 * @param errno error that stopped the journal; 0 if none
 * @param compat JBD2 compatible features
 * @param incompat JBD2 incompatible features
 * @param fastCommitBlocks blocks at the end of the journal for fast commits; 0 without the feature
 * @param uuid s_uuid
 */
record JournalSuperblock(int version, int blockSize, long maxLength, long first, long sequence, long start, int errno,
        int compat, int incompat, long fastCommitBlocks, Superblock.Uuid uuid) {

    static final int SIZE = 1024;
    static final int MAGIC = 0xC03B_3998;

    /** Compatible: commit blocks have a CRC-32 of their transaction, the first kind of checksums. */
    static final int CHECKSUM = 0x01;

    static final int REVOKE = 0x01;
    static final int SIXTY_FOUR_BIT = 0x02;
    static final int ASYNC_COMMIT = 0x04;
    static final int CSUM_V2 = 0x08;
    static final int CSUM_V3 = 0x10;
    static final int FAST_COMMIT = 0x20;
    private static final int KNOWN_INCOMPAT = 0x3F;

    /** Less is no journal to the kernel and to e2fsck (JBD2_MIN_JOURNAL_BLOCKS). */
    private static final int MIN_BLOCKS = 1024;

    private static final int CRC32C = 4;
    private static final int CHECKSUM_AT = 0xFC;
    /** What a journal has for fast commits where s_num_fc_blks is 0. */
    private static final int DEFAULT_FAST_COMMIT_BLOCKS = 256;

    /**
     * @param b big-endian, at least the 1024 bytes
     * @param blockSize bytes of the file system's blocks, which the journal's must equal
     * @param available blocks that the journal's inode has
     * @throws DiskFormatException if it is none, or none that fits
     */
    static JournalSuperblock parse(Bytes b, int blockSize, long available) throws DiskFormatException {
        if (b.s32(0x00) != MAGIC) {
            throw corrupt(b, "magic", 0x00, Superblock.hex(MAGIC),
                    Superblock.hex(b.s32(0x00)));
        }
        int blockType = b.s32(0x04);
        if (blockType != 3 && blockType != 4) {
            throw b.unsupported("ext journal superblock: block type", 0x04, "3 or 4", blockType);
        }
        int version = blockType - 2;
        int compat = version == 1 ? 0 : b.s32(0x24);
        int incompat = version == 1 ? 0 : b.s32(0x28);
        if ((incompat & ~KNOWN_INCOMPAT) != 0) {
            throw b.unsupported("ext journal superblock: incompatible features", 0x28, "none but "
                    + Superblock.hex(KNOWN_INCOMPAT), Superblock.hex(incompat));
        }
        if (version == 2 && b.s32(0x2C) != 0) {
            throw b.unsupported("ext journal superblock: read-only compatible features", 0x2C, "none",
                    Superblock.hex(b.s32(0x2C)));
        }
        verifyChecksum(b, incompat);
        if (b.u32(0x0C) != blockSize) {
            throw corrupt(b, "block size", 0x0C, "that of the file system, " + blockSize, b.u32(0x0C));
        }
        long maxLength = b.u32(0x10);
        if (maxLength < 2 || maxLength > available) {
            throw corrupt(b, "length", 0x10, "2 to " + available + " blocks", maxLength);
        }
        long fastCommits = (incompat & FAST_COMMIT) == 0 ? 0 : b.u32(0x54) == 0 ? DEFAULT_FAST_COMMIT_BLOCKS : b.u32(0x54);
        long logEnd = maxLength - fastCommits;
        long first = b.u32(0x14);
        if (first < 1 || first >= logEnd) {
            throw corrupt(b, "first block of the log", 0x14, "1 to " + (logEnd - 1), first);
        }
        long start = b.u32(0x1C);
        if (start != 0 && (start < first || start >= logEnd)) {
            throw corrupt(b, "start of the log", 0x1C, "0, or " + first + " to " + (logEnd - 1), start);
        }
        return new JournalSuperblock(version, blockSize, maxLength, first, b.u32(0x18), start, b.s32(0x20), compat, incompat,
                fastCommits, new Superblock.Uuid(b.s64(0x30), b.s64(0x38)));
    }

    private static void verifyChecksum(Bytes b, int incompat) throws DiskFormatException {
        if ((incompat & (CSUM_V2 | CSUM_V3)) == 0) {
            return;
        }
        if ((incompat & CSUM_V2) != 0 && (incompat & CSUM_V3) != 0) {
            throw corrupt(b, "incompatible features", 0x28, "one kind of checksums", "versions 2 and 3");
        }
        if (b.u8(0x50) != CRC32C) {
            throw b.unsupported("ext journal superblock: checksum type", 0x50, "4 (crc32c)", b.u8(0x50));
        }
        byte[] text = b.copy(0, SIZE);
        ByteBuffer.wrap(text).order(ByteOrder.BIG_ENDIAN).putInt(CHECKSUM_AT, 0);
        int computed = Crc32c.update(~0, text, 0, SIZE);
        if (computed != b.s32(CHECKSUM_AT)) {
            throw corrupt(b, "checksum", CHECKSUM_AT,
                    Superblock.hex(computed), Superblock.hex(b.s32(CHECKSUM_AT)));
        }
    }

    private static CorruptException corrupt(Bytes b, String field, int at, String expected, Object found) {
        return b.corrupt("ext journal superblock: " + field + " (run e2fsck -f in the guest)", at, expected, found);
    }

    /** @param feature one of the incompatible ones above */
    boolean has(int feature) {
        return (incompat & feature) != 0;
    }

    /** @return whether descriptor, revoke and commit blocks and the blocks they log have CRC-32C checksums of their own */
    boolean hasBlockChecksums() {
        return has(CSUM_V2 | CSUM_V3);
    }

    /** @return register with which those checksums begin */
    int checksumSeed() {
        ByteBuffer bytes = ByteBuffer.allocate(16).order(ByteOrder.BIG_ENDIAN);
        return Crc32c.update(~0, bytes.putLong(0, uuid.first()).putLong(8, uuid.second()));
    }

    /** @return block of the journal behind the log; with fast commits their area begins there */
    long logEnd() {
        return maxLength - fastCommitBlocks;
    }

    /**
     * @throws DiskFormatException if the journal knows of an error, or is none that a guest would replay
     */
    void requireReplayable() throws DiskFormatException {
        requireNoError();
        if ((compat & ~CHECKSUM) != 0) {
            throw new UnsupportedException("ext journal superblock: compatible features (a newer Lacuna may know them)", -1,
                    "none but " + Superblock.hex(CHECKSUM), Superblock.hex(compat));
        }
        if (hasBlockChecksums() && (compat & CHECKSUM) != 0) {
            throw new CorruptException("ext journal superblock: features (run e2fsck -f in the guest)", -1,
                    "one kind of checksums", "versions 1 and " + (has(CSUM_V2) ? 2 : 3));
        }
        if (logEnd() < MIN_BLOCKS) {
            throw new CorruptException("ext journal superblock: length of the log (run e2fsck -f in the guest)", -1,
                    "at least " + MIN_BLOCKS + " blocks", logEnd());
        }
    }

    /** @return whether nothing is left to be replayed */
    boolean isEmpty() {
        return start == 0;
    }

    /** @throws UnsafeException if a replay of the journal would change the file system, or the journal knows of an error */
    void requireEmpty() throws UnsafeException {
        requireNoError();
        if (!isEmpty()) {
            throw new UnsafeException("the file system's journal has changes that are still to be replayed, although the file "
                    + "system does not say so: start the guest and shut it down cleanly, or run e2fsck -f in it");
        }
    }

    private void requireNoError() throws UnsafeException {
        if (errno != 0) {
            throw new UnsafeException("the file system's journal recorded an error (" + errno
                    + "): run e2fsck -f in the guest");
        }
    }
}
