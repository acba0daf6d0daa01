package io.lacuna.fs.ext;

import java.nio.ByteBuffer;

/**
 * The tags of a descriptor block, big-endian, from byte 12 on: which block of the file system each of the blocks behind the
 * descriptor is. 8 bytes (block number, 16-bit checksum or 0, flags), with CSUM_V2 2 more, with 64BIT 4 more for the high half of
 * the block number; with CSUM_V3 16 (block number, flags, high half, checksum). A UUID of 16 bytes follows each that does not share
 * that of the one before. Source: kernel documentation {@code filesystems/ext4/journal}.
 */
final class JournalTags {

    static final int HEADER = 12;
    /** Bytes at the end of a descriptor or revoke block with the block's checksum, if there are such checksums. */
    static final int TAIL = 4;

    private static final int ESCAPE = 0x1;
    private static final int SAME_UUID = 0x2;
    private static final int DELETED = 0x4;
    private static final int LAST = 0x8;
    private static final int UUID = 16;

    private final boolean wide;
    private final boolean version3;
    private final int size;
    private final int end;
    private ByteBuffer block;
    private int next;
    private int at;
    private int flags;

    JournalTags(JournalSuperblock journal) {
        wide = journal.has(JournalSuperblock.SIXTY_FOUR_BIT);
        version3 = journal.has(JournalSuperblock.CSUM_V3);
        size = version3 ? 16 : 8 + (journal.has(JournalSuperblock.CSUM_V2) ? 2 : 0) + (wide ? 4 : 0);
        end = journal.blockSize() - (journal.hasBlockChecksums() ? TAIL : 0);
    }

    /** Begins with a descriptor block, whose bytes stay as they are while its tags are read. */
    void begin(ByteBuffer descriptor) {
        block = descriptor;
        next = HEADER;
        flags = 0;
    }

    /** @return whether there is another tag, which is the one asked about from now on */
    boolean next() {
        if ((flags & LAST) != 0 || next + size > end) {
            return false;
        }
        at = next;
        flags = block.getShort(at + 6) & 0xFFFF;
        next += size + ((flags & SAME_UUID) == 0 ? UUID : 0);
        return true;
    }

    /** @return block of the file system; a large number may be negative */
    long blockNumber() {
        long low = block.getInt(at) & 0xFFFF_FFFFL;
        return wide ? low | (long) block.getInt(at + 8) << 32 : low;
    }

    boolean isEscaped() {
        return (flags & ESCAPE) != 0;
    }

    /** @return whether it has flags that mean nothing to us, or one that no kernel ever wrote */
    boolean hasUnknownFlags() {
        int all = version3 ? block.getInt(at + 4) : flags;
        return (all & ~(ESCAPE | SAME_UUID | LAST)) != 0 || (all & DELETED) != 0;
    }

    /** @param computed CRC-32C of transaction number and block, which version 2 keeps the low half of */
    boolean hasChecksum(int computed) {
        return version3 ? block.getInt(at + 12) == computed : block.getShort(at + 4) == (short) computed;
    }
}
