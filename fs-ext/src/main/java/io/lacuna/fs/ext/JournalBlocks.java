package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads the journal block by block, in larger pieces where its blocks lie side by side. */
final class JournalBlocks {

    /** Ours. */
    private static final int READ_BYTES = 1 << 18;

    private final BlockSource volume;
    private final FileBlocks blocks;
    private final int blockSize;
    private final ByteBuffer piece;
    /** The blocks of the journal that the piece holds: from this one on, and how many. */
    private long first;
    private int count;

    JournalBlocks(BlockSource volume, Journal journal) {
        this.volume = volume;
        blocks = journal.blocks();
        blockSize = journal.superblock().blockSize();
        piece = ByteBuffer.allocate(Math.max(READ_BYTES, blockSize)).order(ByteOrder.BIG_ENDIAN);
    }

    /**
     * @param logical block of the journal, counted from 0 and inside of it
     * @return its bytes, big-endian, good until the next call
     */
    ByteBuffer read(long logical) throws IOException {
        if (logical < first || logical >= first + count) {
            fill(logical);
        }
        return piece.slice((int) (logical - first) * blockSize, blockSize).order(ByteOrder.BIG_ENDIAN);
    }

    private void fill(long logical) throws IOException {
        int most = (int) Math.min(piece.capacity() / blockSize, blocks.length() - logical);
        long start = blocks.blockOf(logical);
        int n = 1;
        while (n < most && blocks.blockOf(logical + n) == start + n) {
            n++;
        }
        count = 0;
        piece.clear().limit(n * blockSize);
        volume.read(start * blockSize, piece);
        piece.clear();
        first = logical;
        count = n;
    }
}
