package io.lacuna.fs.ext;

import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Writes a log into the journal of a small file system, in each of its forms, and keeps a model of what a replay makes of it.
 * Checksums come from the slow code of {@link ExtImage}.
 */
final class JournalMaker {

    static final int ESCAPE = 1;
    static final int SAME_UUID = 2;
    static final int LAST = 8;
    private static final int MAGIC = 0xC03B_3998;

    final ExtImage image;
    private final int checksums;
    private final boolean wide;
    private final int blockSize;
    private final int first = 1;
    private final int end;
    private int position;
    int transaction;
    long time = 1_700_000_000L;
    private final List<byte[]> contents = new ArrayList<>();
    private final List<Long> numbers = new ArrayList<>();
    private final List<Long> revokes = new ArrayList<>();
    /** Block to its last logged content, and to the transactions that logged and revoked it. */
    final Map<Long, byte[]> model = new TreeMap<>();
    private int crc32 = ~0;

    /** Byte of the image of what was written last: descriptor, first logged block, revoke block, commit block. */
    int descriptorAt;
    int loggedAt;
    int revokeAt;
    int commitAt;

    /**
     * @param image made by mke2fs; changed
     * @param checksums 0 none, 1 COMPAT_CHECKSUM, 2 and 3 CSUM_V2 and CSUM_V3
     * @param incompat further features of the journal
     * @param start block of the journal that the log begins at
     */
    JournalMaker(ExtImage image, int checksums, boolean wide, int incompat, int start, int sequence) {
        this.image = image;
        this.checksums = checksums;
        this.wide = wide;
        blockSize = image.blockSize();
        position = start;
        transaction = sequence;
        image.superblock32(0x60, image.s32(1024 + 0x60) | 4);
        image.journal32(0x24, checksums == 1 ? 1 : 0);
        image.journal32(0x28, incompat | 1 | (wide ? 2 : 0) | (checksums == 2 ? 8 : checksums == 3 ? 16 : 0));
        image.journal32(0x50, checksums > 1 ? 0x0400_0000 : 0);
        image.journal32(0x54, 0);
        image.journal32(0x18, sequence).journal32(0x1C, start);
        int length = Integer.reverseBytes(image.s32(image.journalSuperblock() + 0x10));
        end = length - ((incompat & 0x20) != 0 ? 256 : 0);
        fixSuperblock();
    }

    JournalMaker fixSuperblock() {
        if (checksums > 1) {
            image.fixJournal();
        }
        return this;
    }

    JournalMaker log(long block, byte[] content) {
        numbers.add(block);
        contents.add(content.clone());
        return this;
    }

    /** @return a block of one byte, but for the magic number if it is to be escaped */
    byte[] block(int fill, boolean escaped) {
        byte[] content = new byte[blockSize];
        Arrays.fill(content, (byte) fill);
        if (escaped) {
            ByteBuffer.wrap(content).putInt(0, MAGIC);
        }
        return content;
    }

    JournalMaker revoke(long... blocks) {
        for (long block : blocks) {
            revokes.add(block);
        }
        return this;
    }

    JournalMaker commit() {
        writeOpen(0);
        writeCommit();
        return this;
    }

    /** Writes descriptor and revoke blocks of the transaction, and nothing that completes it. */
    JournalMaker writeOpen(int extraFlags) {
        if (!revokes.isEmpty()) {
            ByteBuffer b = ByteBuffer.wrap(new byte[blockSize]);
            header(b, 5);
            b.putInt(12, 16 + revokes.size() * (wide ? 8 : 4));
            for (int i = 0; i < revokes.size(); i++) {
                if (wide) {
                    b.putLong(16 + 8 * i, revokes.get(i));
                } else {
                    b.putInt(16 + 4 * i, (int) (long) revokes.get(i));
                }
            }
            tail(b);
            revokeAt = write(b.array());
        }
        if (!numbers.isEmpty()) {
            writeDescriptor(extraFlags);
        }
        return this;
    }

    private void writeDescriptor(int extraFlags) {
        ByteBuffer b = ByteBuffer.wrap(new byte[blockSize]);
        header(b, 1);
        int at = 12;
        List<byte[]> stored = new ArrayList<>();
        for (int i = 0; i < numbers.size(); i++) {
            byte[] content = contents.get(i).clone();
            int flags = extraFlags | (i > 0 ? SAME_UUID : 0) | (i == numbers.size() - 1 ? LAST : 0);
            if (ByteBuffer.wrap(content).getInt(0) == MAGIC) {
                ByteBuffer.wrap(content).putInt(0, 0);
                flags |= ESCAPE;
            }
            stored.add(content);
            b.putInt(at, (int) (long) numbers.get(i));
            int checksum = dataChecksum(content);
            if (checksums == 3) {
                b.putInt(at + 4, flags).putInt(at + 8, wide ? (int) (numbers.get(i) >> 32) : 0).putInt(at + 12, checksum);
                at += 16;
            } else {
                b.putShort(at + 4, (short) (checksums == 2 ? checksum : 0)).putShort(at + 6, (short) flags);
                if (wide) {
                    b.putInt(at + 8, (int) (numbers.get(i) >> 32));
                }
                at += 8 + (wide ? 4 : 0) + (checksums == 2 ? 2 : 0);
            }
            if (i == 0) {
                System.arraycopy(image.bytes, image.journalSuperblock() + 0x30, b.array(), at, 16);
                at += 16;
            }
        }
        tail(b);
        crc32 = crc32(crc32, b.array());
        descriptorAt = write(b.array());
        for (int i = 0; i < stored.size(); i++) {
            crc32 = crc32(crc32, stored.get(i));
            int place = write(stored.get(i));
            loggedAt = i == 0 ? place : loggedAt;
        }
    }

    JournalMaker writeCommit() {
        for (int i = 0; i < numbers.size(); i++) {
            model.put(numbers.get(i), contents.get(i));
        }
        revokes.forEach(model::remove);
        ByteBuffer b = ByteBuffer.wrap(new byte[blockSize]);
        header(b, 2);
        b.putLong(48, time++);
        if (checksums == 1) {
            b.put(12, (byte) 1).put(13, (byte) 4).putInt(16, crc32);
        } else if (checksums > 1) {
            b.putInt(16, ExtImage.crc32c(seed(), b.array(), 0, blockSize));
        }
        commitAt = write(b.array());
        crc32 = ~0;
        transaction++;
        numbers.clear();
        contents.clear();
        revokes.clear();
        return this;
    }

    private void header(ByteBuffer b, int type) {
        b.putInt(0, MAGIC).putInt(4, type).putInt(8, transaction);
    }

    private void tail(ByteBuffer b) {
        if (checksums > 1) {
            b.putInt(blockSize - 4, ExtImage.crc32c(seed(), b.array(), 0, blockSize));
        }
    }

    /** Makes the checksum of a descriptor or revoke block right. */
    JournalMaker fixTail(int at) {
        ByteBuffer b = ByteBuffer.wrap(image.bytes, at, blockSize).slice();
        b.putInt(blockSize - 4, 0);
        b.putInt(blockSize - 4, ExtImage.crc32c(seed(), image.bytes, at, blockSize));
        return this;
    }

    private int dataChecksum(byte[] content) {
        byte[] sequence = ByteBuffer.allocate(4).putInt(transaction).array();
        return ExtImage.crc32c(ExtImage.crc32c(seed(), sequence, 0, 4), content, 0, blockSize);
    }

    private int seed() {
        return ExtImage.crc32c(~0, image.bytes, image.journalSuperblock() + 0x30, 16);
    }

    private int write(byte[] content) {
        int at = image.journalBlock(position);
        System.arraycopy(content, 0, image.bytes, at, blockSize);
        position++;
        if (position == end) {
            position = first;
        }
        return at;
    }

    /** @return byte of the image with a block of the fast commits, counted from 0: the block behind the log stays empty */
    int fastCommitAt(int block) {
        return image.journalBlock(end + 1 + block);
    }

    private static int crc32(int seed, byte[] bytes) {
        int register = seed;
        for (byte b : bytes) {
            register ^= b << 24;
            for (int bit = 0; bit < 8; bit++) {
                register = register < 0 ? register << 1 ^ 0x04C1_1DB7 : register << 1;
            }
        }
        return register;
    }

    Replay replay() throws IOException {
        ByteArraySource source = new ByteArraySource(image.bytes);
        Superblock superblock = Superblock.read(source);
        return Replay.of(source, superblock, Journal.read(source, superblock));
    }

    FreeSpace freeSpace() throws IOException {
        return new ExtProbe().open(new ByteArraySource(image.bytes), CrashedVolume.REPLAY).freeSpace();
    }

    /** @return the volume after the replay, as the model has it */
    byte[] expected() {
        byte[] expected = image.bytes.clone();
        model.forEach((block, content) -> System.arraycopy(content, 0, expected, (int) (block * blockSize), blockSize));
        return expected;
    }
}
