package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * A volume as it reads once its journal is replayed: blocks that the journal has are read from the journal. Holds where they
 * lie, not what is in them.
 */
final class ReplayedVolume implements BlockSource {

    /** Beside the block of the journal: its first four bytes are the journal's magic number, which it could not hold. */
    static final int ESCAPED = 1 << 31;

    private final BlockSource volume;
    private final FileBlocks journal;
    private final int blockSize;
    private final JournalEntries replayed;

    /**
     * @param replayed by block; the value is the block of the journal, and {@link #ESCAPED}
     */
    ReplayedVolume(BlockSource volume, FileBlocks journal, int blockSize, JournalEntries replayed) {
        this.volume = volume;
        this.journal = journal;
        this.blockSize = blockSize;
        this.replayed = replayed;
    }

    @Override
    public long size() {
        return volume.size();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        int position = target.position();
        int limit = target.limit();
        long end = offset + target.remaining();
        volume.read(offset, target);
        for (int i = replayed.firstFrom(offset / blockSize); i < replayed.count(); i++) {
            long start = replayed.block(i) * blockSize;
            if (start >= end) {
                break;
            }
            long from = Math.max(start, offset);
            target.position(position + (int) (from - offset))
                    .limit(position + (int) (Math.min(start + blockSize, end) - offset));
            readReplayed(replayed.value(i), (int) (from - start), target);
            target.limit(limit);
        }
        target.position(limit);
    }

    private void readReplayed(int value, int from, ByteBuffer target) throws IOException {
        int at = target.position();
        volume.read(journal.blockOf(value & ~ESCAPED) * blockSize + from, target);
        if ((value & ESCAPED) != 0) {
            for (int i = from; i < 4 && at < target.limit(); i++) {
                target.put(at++, (byte) (JournalSuperblock.MAGIC >>> 24 - 8 * i));
            }
        }
    }

    @Override
    public void prefetch(long offset, long length) {
        volume.prefetch(offset, length);
    }
}
