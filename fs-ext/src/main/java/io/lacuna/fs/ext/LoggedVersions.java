package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Every version of a block that the transactions of a journal hold. A bitmap of the middle of the log is on no disk, but
 * inodes of that moment can be, for a checkpoint writes blocks in any order: what such a bitmap calls used must stay for as
 * long as someone may look at the disk without a replay, or with one that stops early.
 */
final class LoggedVersions {

    private final BlockSource volume;
    private final FileBlocks journal;
    private final JournalEntries logged;
    private final ByteBuffer block;

    /**
     * @param volume without the replay
     * @param logged in the order of the blocks, as {@link ReplayedVolume} has it but with all versions
     */
    LoggedVersions(BlockSource volume, FileBlocks journal, int blockSize, JournalEntries logged) {
        this.volume = volume;
        this.journal = journal;
        this.logged = logged;
        block = ByteBuffer.allocate(blockSize).order(ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * Sets all bits that are set in any version of a bitmap.
     *
     * @param number its block
     * @return how many there are
     */
    int addTo(long[] bitmap, long number) throws IOException {
        int first = logged.firstFrom(number);
        int i = first;
        for (; i < logged.count() && logged.block(i) == number; i++) {
            int value = logged.value(i);
            volume.read(journal.blockOf(value & ~ReplayedVolume.ESCAPED) * block.capacity(), block.clear());
            if ((value & ReplayedVolume.ESCAPED) != 0) {
                block.putInt(0, Integer.reverseBytes(JournalSuperblock.MAGIC));
            }
            for (int word = 0; word < bitmap.length; word++) {
                bitmap[word] |= block.getLong(8 * word);
            }
        }
        return i - first;
    }

    /** @return how many versions of blocks there are */
    int count() {
        return logged.count();
    }
}
