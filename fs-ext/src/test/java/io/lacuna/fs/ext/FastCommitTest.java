package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Fast commits carry no bitmaps: what they add is marked free on the disk and after the replay, and is in use all the same. */
class FastCommitTest {

    private static final int ADD_RANGE = 1;
    private static final int DEL_RANGE = 2;
    private static final int CREAT = 3;
    private static final int INODE = 6;
    private static final int PAD = 7;
    private static final int TAIL = 8;
    private static final int HEAD = 9;

    /** Number of the transaction that is not complete. */
    private static final int NEXT = 8;
    private static final int FILE = 13;

    private static ExtImage image;

    private JournalMaker maker;
    private ByteArrayOutputStream records;
    private int checksum;

    @BeforeAll
    static void make(@TempDir Path directory) throws IOException {
        image = ExtImage.make(directory, "9M", "-t", "ext4", "-b", "1024", "-g", "1024", "-G", "4", "-J", "size=2");
    }

    @BeforeEach
    void log() {
        maker = new JournalMaker(image.copy(), 3, true, 0x20, 1, NEXT - 1);
        maker.log(8000, maker.block(1, false)).commit();
        records = new ByteArrayOutputStream();
        checksum = 0;
    }

    private FastCommitTest record(int tag, byte[] value) {
        ByteBuffer record = ByteBuffer.allocate(4 + value.length).order(ByteOrder.LITTLE_ENDIAN);
        record.putShort((short) tag).putShort((short) value.length).put(value);
        checksum = ExtImage.crc32c(checksum, record.array(), 0, record.capacity());
        records.writeBytes(record.array());
        return this;
    }

    private static byte[] ints(int... values) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        for (int value : values) {
            bytes.putInt(value);
        }
        return bytes.array();
    }

    private FastCommitTest head(int transaction) {
        return record(HEAD, ints(0, transaction));
    }

    private FastCommitTest addRange(int inode, long block, int count) {
        return record(ADD_RANGE, ints(inode, 0, count, (int) block));
    }

    /** Ends the commit and fills its block. */
    private FastCommitTest tail(int transaction) {
        int length = 1024 - records.size() % 1024 - 4;
        ByteBuffer start = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        start.putShort((short) TAIL).putShort((short) length).putInt(transaction);
        checksum = ExtImage.crc32c(checksum, start.array(), 0, 8);
        records.writeBytes(start.array());
        records.writeBytes(ints(checksum));
        records.writeBytes(new byte[length - 8]);
        checksum = 0;
        return this;
    }

    private FastCommitTest write() {
        System.arraycopy(records.toByteArray(), 0, maker.image.bytes, maker.fastCommitAt(0), records.size());
        return this;
    }

    private ExtentSet free() throws IOException {
        return maker.freeSpace().free();
    }

    /** @return a free block with free blocks behind it */
    private long target() throws IOException {
        ExtentSet free = free();
        for (int i = 0; i < free.count(); i++) {
            if (free.end(i) - free.start(i) > 200 * 1024) {
                return free.start(i) / 1024 + 20;
            }
        }
        throw new AssertionError("no room");
    }

    private void refused(String reason) {
        DiskFormatException thrown = assertThrows(DiskFormatException.class, this::free, reason);
        assertTrue(thrown.getMessage().contains(reason), thrown.getMessage());
    }

    @Test
    void addedRangesAreInUse() throws IOException {
        long block = target();
        head(NEXT).addRange(FILE, block, 7).tail(NEXT);
        addRange(FILE, block + 30, 0x8000 + 5).record(DEL_RANGE, ints(FILE, 3, 1)).tail(NEXT).write();
        assertFalse(free().intersects(block * 1024, 7 * 1024));
        assertFalse(free().intersects((block + 30) * 1024, 5 * 1024), "not written, but allocated");
        assertTrue(free().contains((block + 7) * 1024, 1024));
        assertTrue(maker.freeSpace().evidence().get(0).endsWith("2 fast commits on 1 inode"),
                maker.freeSpace().evidence().toString());
    }

    @Test
    void inodesBringTheirExtents() throws IOException {
        long block = target();
        ByteBuffer inode = ByteBuffer.allocate(4 + 160).order(ByteOrder.LITTLE_ENDIAN);
        inode.putInt(0, FILE).putShort(4, (short) 0x81A4).putShort(4 + 0x1A, (short) 1).putInt(4 + 0x20, Inode.EXTENTS);
        inode.putInt(4 + 0x68, (int) block + 90);
        int root = 4 + 0x28;
        inode.putShort(root, (short) 0xF30A).putShort(root + 2, (short) 2).putShort(root + 4, (short) 4).putShort(root + 6,
                (short) 1);
        inode.putInt(root + 12 + 4, (int) block + 50).putInt(root + 24, 100).putInt(root + 24 + 4, (int) block + 60);
        // One child of the tree is on the disk, one never got there.
        int child = (int) (block + 50) * 1024;
        maker.image.put16(child, 0xF30A).put16(child + 2, 1).put16(child + 4, 84).put16(child + 6, 0);
        maker.image.put16(child + 12 + 4, 9).put32(child + 12 + 8, (int) block + 70);
        head(NEXT).record(INODE, inode.array()).record(CREAT, name(2, FILE)).tail(NEXT).write();
        for (long used : new long[] {50, 60, 70, 78, 90}) {
            assertFalse(free().intersects((block + used) * 1024, 1024), "block " + used);
        }
        assertTrue(free().contains((block + 79) * 1024, 1024));
    }

    private static byte[] name(int parent, int inode) {
        return ByteBuffer.allocate(10).order(ByteOrder.LITTLE_ENDIAN).putInt(parent).putInt(inode).put(new byte[] {'x',
                'y'}).array();
    }

    @Test
    void blocksOfTheInodeOnTheDiskAreInUse() throws IOException {
        long block = target();
        int inode = maker.image.inode(FILE);
        int root = inode + 0x28;
        maker.image.put16(root, 0xF30A).put16(root + 2, 1).put16(root + 4, 4).put16(root + 6, 0);
        maker.image.put32(root + 12, 0).put16(root + 16, 3).put16(root + 18, 0).put32(root + 20, (int) block).fixInode(FILE);
        head(NEXT).record(DEL_RANGE, ints(FILE, 0, 1)).tail(NEXT).write();
        assertFalse(free().intersects(block * 1024, 3 * 1024));
    }

    /** e2fsck 1.47 drops the journal if there are fast commits of another transaction; then the disk counts as it is. */
    @Test
    void blocksOfAFileThatTheJournalDeletesAreInUse() throws IOException {
        for (boolean fastCommits : new boolean[] {true, false}) {
            maker = new JournalMaker(image.copy(), 3, true, fastCommits ? 0x20 : 0, 1, NEXT - 1);
            int inode = maker.image.inode(FILE);
            int table = inode / 1024;
            maker.log(table, Arrays.copyOfRange(maker.image.bytes, table * 1024, (table + 1) * 1024)).commit();
            long block = target();
            int root = inode + 0x28;
            maker.image.put16(inode, 0x81A4).put16(inode + 0x1A, 1).put32(inode + 0x20, Inode.EXTENTS);
            maker.image.put16(root, 0xF30A).put16(root + 2, 1).put16(root + 4, 4).put16(root + 6, 0);
            maker.image.put32(root + 12, 0).put16(root + 16, 3).put16(root + 18, 0).put32(root + 20, (int) block).fixInode(FILE);
            assertEquals(!fastCommits, free().intersects(block * 1024, 3 * 1024));
            assertTrue(free().contains((block + 3) * 1024, 1024));
        }
    }

    /** Of an ext3 that became an ext4: there is no fast commit of it, and it is followed. */
    @Test
    void blocksOfAnOldFileThatTheJournalDeletesAreInUse() throws IOException {
        maker = new JournalMaker(image.copy(), 3, true, 0x20, 1, NEXT - 1);
        int inode = maker.image.inode(FILE);
        int table = inode / 1024;
        maker.log(table, Arrays.copyOfRange(maker.image.bytes, table * 1024, (table + 1) * 1024)).commit();
        int block = (int) target();
        int numbers = inode + 0x28;
        maker.image.put16(inode, 0x81A4).put16(inode + 0x1A, 1).put32(inode + 0x20, 0);
        maker.image.put32(numbers, block).put32(numbers + 4 * 12, block + 2).put32(numbers + 4 * 13, block + 4).fixInode(FILE);
        maker.image.put32((block + 2) * 1024 + 1020, block + 6);
        maker.image.put32((block + 4) * 1024, block + 8).put32((block + 8) * 1024 + 4, block + 10);
        for (int i = 0; i < 12; i++) {
            assertEquals(i % 2 == 0, !free().contains((block + i) * 1024L, 1024), "block " + i);
        }
    }

    @Test
    void filesWithoutExtentsAreRefused() {
        int inode = maker.image.inode(FILE);
        maker.image.put16(inode, 0x81A4).put16(inode + 0x1A, 1).put32(inode + 0x20, 0).put32(inode + 0x28, 0);
        head(NEXT).record(DEL_RANGE, ints(FILE, 0, 1)).tail(NEXT).write();
        refused("a file without extents");
    }

    @Test
    void longSymlinksWithoutExtentsAreRefused() throws IOException {
        int inode = maker.image.inode(FILE);
        maker.image.put16(inode, 0xA1FF).put16(inode + 0x1A, 1).put32(inode + 0x20, 0).put32(inode + 0x28, 0);
        head(NEXT).record(DEL_RANGE, ints(FILE, 0, 1)).tail(NEXT).write();
        maker.image.put32(inode + 4, 59).fixInode(FILE);
        assertFalse(free().isEmpty());
        maker.image.put32(inode + 4, 60).fixInode(FILE);
        refused("a file without extents");
    }

    @Test
    void thoseOfAnEarlierTransactionDoNotCount() throws IOException {
        long block = target();
        head(NEXT - 1).addRange(FILE, block, 7).tail(NEXT - 1).write();
        assertTrue(free().contains(block * 1024, 7 * 1024));
        assertFalse(maker.freeSpace().evidence().get(0).contains("fast commit"));
    }

    @Test
    void whatFollowsTheLastWholeOneEndsThem() throws IOException {
        long block = target();
        head(NEXT).addRange(FILE, block, 7).tail(NEXT);
        // Left from an earlier transaction.
        addRange(FILE, block + 30, 5).tail(NEXT - 1).write();
        assertTrue(maker.freeSpace().evidence().get(0).contains("1 fast commit on"));
        assertFalse(free().intersects(block * 1024, 7 * 1024));
        // Nothing is lost by keeping it.
        assertFalse(free().intersects((block + 30) * 1024, 5 * 1024));
    }

    @ParameterizedTest
    @CsvSource({"wrong checksum", "another transaction", "no end", "unknown tag", "length of a range", "length past the block",
        "length of the head"})
    void aFirstCommitThatIsNotWholeIsRefused(String what) throws IOException {
        long block = target();
        head(NEXT);
        switch (what) {
            case "wrong checksum" -> {
                addRange(FILE, block, 7);
                checksum++;
                tail(NEXT);
            }
            case "another transaction" -> addRange(FILE, block, 7).tail(NEXT + 1);
            case "no end" -> addRange(FILE, block, 7);
            case "unknown tag" -> record(10, new byte[4]).tail(NEXT);
            case "length of a range" -> record(ADD_RANGE, new byte[12]).tail(NEXT);
            case "length of the head" -> {
                records.reset();
                record(HEAD, ints(0, NEXT, 0)).addRange(FILE, block, 7).tail(NEXT);
            }
            default -> record(PAD, new byte[2000]).tail(NEXT);
        }
        write();
        refused("fast commits: the first one");
    }

    @Test
    void valuesThatCannotBe() {
        head(NEXT).addRange(FILE, 9000, 300).tail(NEXT).write();
        refused("added blocks");
        records.reset();
        head(NEXT).addRange(1 << 20, 9000, 3).tail(NEXT).write();
        refused("inode number");
        records.reset();
        head(NEXT).addRange(0, 9000, 3).tail(NEXT).write();
        refused("inode number");
        records.reset();
        record(HEAD, ints(1, NEXT)).tail(NEXT).write();
        refused("fast commits: features");
        records.reset();
        record(HEAD, ints(1, NEXT - 1)).tail(NEXT - 1).write();
        refused("fast commits: features");
    }

    /** The area begins a block behind the end of the log; whoever takes the block before it would see nothing there. */
    @Test
    void anotherPlaceOfTheirBeginningIsRefused() {
        head(NEXT).addRange(FILE, 8500, 3).tail(NEXT);
        System.arraycopy(records.toByteArray(), 0, maker.image.bytes, maker.fastCommitAt(-1), records.size());
        refused("a block earlier");
    }

    /** Linux then looks for an end behind the journal, and does not mount. */
    @Test
    void anAreaThatIsFullIsRefused() {
        head(NEXT).addRange(FILE, 8500, 3).tail(NEXT);
        while (records.size() < 255 * 1024) {
            addRange(FILE, 8500, 3).tail(NEXT);
        }
        for (int block = 0; block < 255; block++) {
            System.arraycopy(records.toByteArray(), block * 1024, maker.image.bytes, maker.fastCommitAt(block), 1024);
        }
        refused("to its last block");
    }

    @Test
    void withAnEmptyLogThereAreNone() throws IOException {
        maker.image.journal32(0x1C, 0).fixJournal();
        head(NEXT - 1).addRange(FILE, 8500, 3).tail(NEXT - 1).write();
        assertEquals(image.freeSpace().free(), free());
    }

    @Test
    void flippedFastCommits() throws IOException {
        long block = target();
        ExtentSet before = free();
        head(NEXT).addRange(FILE, block, 7).record(CREAT, name(2, FILE)).tail(NEXT).write();
        int refused = 0;
        for (int at = maker.fastCommitAt(0); at < maker.fastCommitAt(0) + 80; at++) {
            for (int bit = 0; bit < 8; bit++) {
                maker.image.bytes[at] ^= (byte) (1 << bit);
                try {
                    assertTrue(free().minus(before).isEmpty());
                } catch (DiskFormatException e) {
                    refused++;
                }
                maker.image.bytes[at] ^= (byte) (1 << bit);
            }
        }
        assertTrue(refused > 300, refused + " refused");
    }
}
