package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.Tools;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Logs of every form, whole, cut and damaged, written by code of the tests' own and by debugfs. */
class ReplayTest {

    /** Blocks of a file system with 9 MiB that belong to no metadata. */
    private static final long A = 8000;
    private static final long B = 8001;
    private static final long C = 8100;

    private static ExtImage ext4;

    @TempDir
    Path directory;

    @BeforeAll
    static void make(@TempDir Path directory) throws IOException {
        ext4 = ExtImage.make(directory, "9M", "-t", "ext4", "-b", "1024", "-g", "1024", "-G", "4", "-J", "size=1");
    }

    private static JournalMaker maker(int checksums, boolean wide) {
        return new JournalMaker(ext4.copy(), checksums, wide, 0, 1, 7);
    }

    private static byte[] bytes(BlockSource source) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) source.size());
        source.read(0, bytes);
        return bytes.array();
    }

    private static void refused(JournalMaker maker, String reason) {
        DiskFormatException thrown = assertThrows(DiskFormatException.class, maker::freeSpace, reason);
        assertTrue(thrown.getMessage().contains(reason), thrown.getMessage());
    }

    /** Three transactions with escaped, revoked and overwritten blocks. */
    private static JournalMaker three(JournalMaker maker) {
        maker.log(A, maker.block(1, false)).log(B, maker.block(2, true)).log(C, maker.block(3, false)).commit();
        maker.log(A, maker.block(4, true)).log(C + 1, maker.block(5, false)).revoke(C).commit();
        maker.log(B, maker.block(6, false)).log(C, maker.block(7, true)).commit();
        return maker;
    }

    @ParameterizedTest
    @CsvSource({"0,false", "0,true", "1,false", "1,true", "2,false", "2,true", "3,false", "3,true"})
    void everyFormReadsAsWrittenAndAsDebugfsReplaysIt(int checksums, boolean wide) throws IOException {
        JournalMaker maker = three(maker(checksums, wide));
        Replay replay = maker.replay();
        assertArrayEquals(maker.expected(), bytes(replay.volume()));
        assertEquals(3, replay.transactions());
        assertEquals(4, replay.blocks());
        assertEquals(0, replay.revokedBlocks());
        assertTrue(replay.evidence().startsWith("journal replayed in memory: 3 transactions, 4 blocks"), replay.evidence());

        Tools.require("debugfs");
        Path file = directory.resolve("replayed.img");
        Files.write(file, maker.image.bytes);
        Tools.ok("debugfs", "-w", "-R", "journal_run", file.toString());
        byte[] replayed = Files.readAllBytes(file);
        byte[] expected = maker.expected();
        for (long block : maker.model.keySet()) {
            int at = (int) block * 1024;
            assertArrayEquals(Arrays.copyOfRange(expected, at, at + 1024), Arrays.copyOfRange(replayed, at, at + 1024), "" + block);
        }
    }

    /** Another writer: debugfs, with each kind of checksums it can write. */
    @ParameterizedTest
    @CsvSource({"ext3,''", "ext4,''", "'ext4 -O ^64bit',''", "ext4,-c", "ext4,'-c -v 2'", "ext4,'-c -v 3'",
        "'ext4 -O ^64bit','-c -v 3'",
        "'ext4 -O ^64bit','-c -v 2'", "'ext4 -O ^metadata_csum,^64bit',-c"})
    void readsWhatDebugfsLogs(String type, String checksums) throws IOException {
        Tools.require("debugfs", "mke2fs");
        Path file = directory.resolve("logged.img");
        Path content = directory.resolve("content");
        byte[] blocks = new byte[3 * 1024];
        Arrays.fill(blocks, (byte) 0x5B);
        ByteBuffer.wrap(blocks).putInt(1024, JournalSuperblock.MAGIC);
        Files.write(content, blocks);
        // Of a transaction with revokes it writes another checksum of version 1 than kernel and e2fsck expect.
        boolean version1 = type.contains("^metadata_csum") && checksums.equals("-c");
        Path script = directory.resolve("script");
        Files.writeString(script, "jo " + checksums + "\njw -b 8000,8001,8002 " + content + (version1 ? "" : "\njw -r 8002")
                + "\njc\n");
        Tools.shell("mke2fs -q -F -t $2 -b 1024 -J size=1 \"$1\" 9M; debugfs -w -f \"$3\" \"$1\"", file, type, script);
        ExtImage image = new ExtImage(Files.readAllBytes(file));
        ByteArraySource source = new ByteArraySource(image.bytes);
        Superblock superblock = Superblock.read(source);
        Replay replay = Replay.of(source, superblock, Journal.read(source, superblock));
        byte[] expected = image.bytes.clone();
        System.arraycopy(blocks, 0, expected, 8000 * 1024, version1 ? 3072 : 2048);
        assertArrayEquals(expected, bytes(replay.volume()));
        assertEquals(version1 ? 1 : 2, replay.transactions());
        assertEquals(version1 ? 0 : 1, replay.revokedBlocks());
        // The revoked one as well.
        assertTrue(replay.named().contains(8002 * 1024, 1024));
        assertFalse(new ExtProbe().open(source, CrashedVolume.REPLAY).freeSpace().free().intersects(8000 * 1024, 3 * 1024));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 500, 1018, 1020, 1021, 1022, 1023})
    void theLogWrapsAround(int start) throws IOException {
        for (int checksums = 0; checksums < 4; checksums++) {
            JournalMaker maker = three(new JournalMaker(ext4.copy(), checksums, true, 0, start, -2));
            assertArrayEquals(maker.expected(), bytes(maker.replay().volume()));
            // From the number 0xFFFFFFFE on: it wraps around, too.
            assertEquals(1, maker.transaction);
        }
    }

    @Test
    void aRevokeHidesUpToItsOwnTransactionAndNotLater() throws IOException {
        JournalMaker maker = maker(3, true);
        maker.log(A, maker.block(1, false)).log(B, maker.block(2, false)).commit();
        maker.log(C, maker.block(3, false)).revoke(A, C).commit();
        maker.log(B, maker.block(4, false)).commit();
        maker.revoke(B).commit();
        assertEquals(0, maker.model.size());
        Replay replay = maker.replay();
        assertArrayEquals(maker.image.bytes, bytes(replay.volume()));
        assertEquals(3, replay.revokedBlocks());
        maker.log(A, maker.block(5, false)).commit();
        assertArrayEquals(maker.expected(), bytes(maker.replay().volume()));
        assertEquals(2, maker.replay().revokedBlocks());
    }

    @Test
    void aTransactionWithoutCommitBlockIsNotReplayed() throws IOException {
        for (int checksums = 0; checksums < 4; checksums++) {
            JournalMaker maker = three(maker(checksums, true));
            byte[] expected = maker.expected();
            maker.log(A + 20, maker.block(9, false)).revoke(A).writeOpen(0);
            // Not that it could be looked at as free, though.
            assertTrue(maker.replay().named().contains((A + 20) * 1024, 1024));
            byte[] found = bytes(maker.replay().volume());
            for (long block : new long[] {A, B, C, A + 20}) {
                assertArrayEquals(Arrays.copyOfRange(expected, (int) block * 1024, (int) block * 1024 + 1024),
                        Arrays.copyOfRange(found, (int) block * 1024, (int) block * 1024 + 1024));
            }
            assertEquals(3, maker.replay().transactions());
        }
    }

    @Test
    void anEmptyLogChangesNothing() throws IOException {
        JournalMaker maker = new JournalMaker(ext4.copy(), 3, true, 0, 0, 7);
        assertEquals(ext4.freeSpace().free(), maker.freeSpace().free());
        assertTrue(maker.freeSpace().evidence().contains("journal replayed in memory: 0 transactions, 0 blocks"));
    }

    @Test
    void damageInTheMiddleIsRefused() {
        for (int checksums = 2; checksums <= 3; checksums++) {
            JournalMaker maker = three(maker(checksums, true));
            RefusalTest.flip(maker.image, maker.loggedAt + 100, 1);
            refused(maker, "transaction 9: checksum of block 8001");
            RefusalTest.flip(maker.image, maker.loggedAt + 100, 1);
            RefusalTest.flip(maker.image, maker.descriptorAt + 900, 1);
            refused(maker, "transaction 9: checksum");
            RefusalTest.flip(maker.image, maker.descriptorAt + 900, 1);
            RefusalTest.flip(maker.image, maker.revokeAt + 900, 1);
            refused(maker, "transaction 8: checksum");
            RefusalTest.flip(maker.image, maker.revokeAt + 900, 1);
            RefusalTest.flip(maker.image, maker.commitAt + 900, 1);
            refused(maker, "transaction 9: checksum");
        }
        JournalMaker maker = three(maker(1, true));
        RefusalTest.flip(maker.image, maker.loggedAt + 100, 1);
        refused(maker, "transaction 9: checksum");
    }

    @Test
    void whatIsOlderThanTheLogIsItsEnd() throws IOException {
        for (int checksums = 1; checksums < 4; checksums++) {
            JournalMaker maker = three(maker(checksums, true));
            byte[] expected = maker.expected();
            maker.time -= 1000;
            maker.log(A, maker.block(9, false)).commit();
            RefusalTest.flip(maker.image, checksums == 1 ? maker.loggedAt : maker.descriptorAt + 900, 1);
            byte[] found = bytes(maker.replay().volume());
            assertArrayEquals(Arrays.copyOfRange(expected, (int) A * 1024, (int) A * 1024 + 1024),
                    Arrays.copyOfRange(found, (int) A * 1024, (int) A * 1024 + 1024));
            assertEquals(3, maker.replay().transactions());
        }
    }

    @Test
    void anInterruptedAsynchronousCommitIsTheEnd() throws IOException {
        for (int checksums = 1; checksums < 4; checksums++) {
            JournalMaker maker = three(new JournalMaker(ext4.copy(), checksums, true, 4, 1, 7));
            RefusalTest.flip(maker.image, checksums == 1 ? maker.loggedAt + 9 : maker.commitAt + 24, 1);
            assertEquals(2, maker.replay().transactions());
            // One more behind it: this is damage.
            maker.log(A, maker.block(9, false)).commit();
            refused(maker, "transaction 10: place");
            // And if that is not whole either, Linux takes the one before it for whole.
            RefusalTest.flip(maker.image, checksums == 1 ? maker.loggedAt + 9 : maker.commitAt + 24, 1);
            refused(maker, "transaction 10: place");
        }
    }

    /** Newer kernels replay such a transaction, older ones do not. */
    @Test
    void trapACommitBlockThatWasWrittenInPartIsRefused() {
        for (int checksums = 2; checksums < 4; checksums++) {
            JournalMaker maker = three(new JournalMaker(ext4.copy(), checksums, true, 4, 1, 7));
            RefusalTest.flip(maker.image, maker.commitAt + 60, 1);
            refused(maker, "written in part");
        }
    }

    /** Another kernel, or e2fsck, may find it complete. */
    @Test
    void trapWhatABitmapOfACutTransactionCallsUsedIsInUse() throws IOException {
        for (boolean committed : new boolean[] {true, false}) {
            JournalMaker maker = three(new JournalMaker(ext4.copy(), 3, true, 4, 1, 7));
            ExtentSet before = maker.freeSpace().free();
            assertTrue(before.contains(8150 * 1024, 8 * 1024) && before.contains(6500 * 1024, 1024), before.toString());
            maker.log(maker.image.s32(maker.image.descriptor(7)), maker.block(0xFF, false));
            if (committed) {
                RefusalTest.flip(maker.commit().image, maker.commitAt + 24, 1);
            } else {
                maker.writeOpen(0);
            }
            ExtentSet after = maker.freeSpace().free();
            assertEquals(3, maker.replay().transactions());
            assertFalse(after.intersects(8150 * 1024, 8 * 1024));
            assertTrue(after.contains(6500 * 1024, 1024));
        }
    }

    @Test
    void tagsThatCannotBe() {
        for (int checksums = 0; checksums < 4; checksums++) {
            refused(maker(checksums, true).log(9216, new byte[1024]).commit(), "transaction 7: block");
            refused(maker(checksums, true).log(1L << 40, new byte[1024]).commit(), "transaction 7: block");
            refused(maker(checksums, true).log(-1, new byte[1024]).commit(), "transaction 7: block");
            refused(maker(checksums, true).revoke(9216).commit(), "transaction 7: revoked block");
            refused(maker(checksums, true).revoke(1L << 60).commit(), "transaction 7: revoked block");
            refused(maker(checksums, true).log(A, new byte[1024]).writeOpen(0x10).writeCommit(), "flags of block 8000");
            refused(maker(checksums, true).log(A, new byte[1024]).writeOpen(4).writeCommit(), "flags of block 8000");
            int journal = ext4.journalSuperblock() / 1024;
            refused(maker(checksums, true).log(journal + 17, new byte[1024]).commit(), "one outside of the journal");
            JournalMaker maker = maker(checksums, true).revoke(A).commit();
            ByteBuffer.wrap(maker.image.bytes).putInt(maker.revokeAt + 12, 1025);
            refused(checksums > 1 ? maker.fixTail(maker.revokeAt) : maker, "length of a revoke block");
        }
    }

    @Test
    void aTransactionLongerThanTheLog() {
        JournalMaker maker = maker(0, false);
        // Descriptors whose tags have no end, one behind the other.
        for (int block = 1; block < 1024; block++) {
            int at = maker.image.journalBlock(block);
            ByteBuffer.wrap(maker.image.bytes).putInt(at, JournalSuperblock.MAGIC).putInt(at + 4, 1).putInt(at + 8, 7);
            for (int tag = at + 12; tag + 8 <= at + 1024; tag += 8) {
                ByteBuffer.wrap(maker.image.bytes).putInt(tag, (int) A).putInt(tag + 4, 2);
            }
        }
        refused(maker, "transaction 7: length");
    }

    @Test
    void journalsThatNoGuestWouldReplay() {
        JournalMaker maker = three(maker(3, true));
        maker.image.journal32(0x24, 1);
        refused(maker.fixSuperblock(), "versions 1 and 3");
        maker.image.journal32(0x24, 2);
        refused(maker.fixSuperblock(), "compatible features");
        maker.image.journal32(0x24, 0).journal32(0x20, -5);
        refused(maker.fixSuperblock(), "recorded an error (-5)");
        maker.image.journal32(0x20, 0).journal32(0x10, 1023);
        refused(maker.fixSuperblock(), "length of the log");
        maker.image.journal32(0x10, 1024).journal32(0x28, 0x40);
        refused(maker.fixSuperblock(), "incompatible features");
    }

    @Test
    void fileSystemsThatAreInDoubtForAnotherReason() throws IOException {
        JournalMaker maker = three(maker(3, true));
        ExtImage image = maker.image;
        int incompat = image.s32(1024 + 0x60);
        image.superblock32(0x60, incompat & ~4);
        refused(maker, "although the file system does not say so");
        image.superblock32(0x60, incompat | 0x100);
        assertTrue(assertThrows(DiskFormatException.class, maker::freeSpace).getMessage().contains("MMP"));
        image.superblock32(0x60, incompat).superblock32(0xE0, 0);
        refused(maker, "on another device");
        image.superblock32(0xE0, 8).superblock16(0x3A, 3);
        refused(maker, "marked as having errors");
        image.superblock16(0x3A, 0);
        refused(maker, "not cleanly unmounted");
        image.superblock16(0x3A, 1).superblock32(0x5C, image.s32(1024 + 0x5C) & ~4);
        refused(maker, "a journal that it does not have");
    }

    /** A pending MMP is refused even if no node seems to hold it. */
    @Test
    void multipleMountProtectionIsRefused() throws IOException {
        Tools.require("tune2fs");
        Path file = ExtImage.protect(ExtImage.makeFile(directory, "9M", "-t", "ext4", "-b", "1024", "-J", "size=1"));
        refused(new JournalMaker(new ExtImage(Files.readAllBytes(file)), 3, true, 0, 0, 7), "mounted by several machines (mmp)");
    }

    /** The superblock in the journal counts as well. */
    @ParameterizedTest
    @CsvSource({"0x3A,3,marked as having errors", "0x3A,0,not cleanly unmounted", "0x04,9215,change of its size",
        "0x3FC,1,ext superblock: checksum", "0x64,0x20000,unknown bit 0x20000"})
    void superblocksInTheJournal(String field, String value, String reason) {
        JournalMaker maker = maker(3, true);
        ExtImage after = maker.image.copy();
        int at = Integer.decode(field);
        int bits = Integer.decode(value);
        after.superblock32(at, at == 0x3A ? after.s32(1024 + at) & ~0xFFFF | bits
                : at == 0x64 ? after.s32(1024 + at) | bits : bits);
        if (at == 0x3FC) {
            after.put32(1024 + at, bits);
        }
        refused(maker.log(1, Arrays.copyOfRange(after.bytes, 1024, 2048)).commit(), reason);
    }

    @Test
    void withoutTheOptionTheMessageSaysWhenItIsRight() throws IOException {
        String reason = three(maker(3, true)).image.refusal();
        assertTrue(reason.contains("--replay-journal") && reason.contains("will boot") && reason.contains("will not resume")
                && reason.contains("snapshot"), reason);
    }

    /** The trap of "free after only" and of "free before only". */
    @Test
    void onlyWhatIsFreeBeforeAndAfterIsFree() throws IOException {
        ExtImage later = ext4.copy();
        int group = usedGroup(later);
        long usedBlock = firstBlock(later, group, true);
        long freeBlock = firstBlock(later, group, false);
        later.markFree(usedBlock);
        markUsed(later, freeBlock);
        JournalMaker maker = maker(3, true);
        log(maker, later, group);
        ExtentSet free = maker.freeSpace().free();
        assertFalse(free.intersects(usedBlock * 1024, 1024), "free only after");
        assertFalse(free.intersects(freeBlock * 1024, 1024), "free only before");
        ExtentSet.Builder two = ExtentSet.builder();
        two.add(freeBlock * 1024, 1024);
        ExtentSet named = maker.replay().named();
        assertEquals(ext4.freeSpace().free().minus(two.build()).minus(named), free);
    }

    /** On the disk free, after the replay free, but not in between: a part of the disk may be of that moment. */
    @Test
    void whatATransactionInTheMiddleUsesStays() throws IOException {
        ExtImage middle = ext4.copy();
        int group = usedGroup(middle);
        long block = firstBlock(middle, group, false);
        markUsed(middle, block);
        JournalMaker maker = maker(3, true);
        log(maker, middle, group);
        log(maker, ext4.copy(), group);
        assertTrue(ext4.freeSpace().free().contains(block * 1024, 1024));
        assertFalse(maker.freeSpace().free().intersects(block * 1024, 1024));
    }

    @Test
    void whatTheJournalNamesIsNeverFree() throws IOException {
        long block = firstBlock(ext4, usedGroup(ext4), false);
        JournalMaker maker = maker(3, true);
        maker.log(block, new byte[1024]).revoke(block + 1).commit();
        assertTrue(ext4.freeSpace().free().contains(block * 1024, 2048), "not free to begin with");
        assertFalse(maker.freeSpace().free().intersects(block * 1024, 2048));
    }

    /** After the replay every check holds that a clean file system has to pass. */
    @Test
    void aReplayedBitmapIsProved() {
        ExtImage later = ext4.copy();
        int group = usedGroup(later);
        long block = firstBlock(later, group, true);
        JournalMaker maker = maker(3, true);
        later.markFree(block);
        maker.log(later.blockBitmap(group) / 1024, content(later, later.blockBitmap(group) / 1024)).commit();
        refused(maker, "block bitmap checksum");
        ExtImage own = ext4.copy().markFree(ext4.s32(ext4.descriptor(0) + 8));
        refused(log(maker(3, true), own, 0), "own blocks");
    }

    private static JournalMaker log(JournalMaker maker, ExtImage state, int group) {
        int bitmap = state.blockBitmap(group) / 1024;
        return maker.log(bitmap, content(state, bitmap)).log(state.descriptor(group) / 1024,
                content(state, state.descriptor(group) / 1024)).commit();
    }

    private static byte[] content(ExtImage image, int block) {
        return Arrays.copyOfRange(image.bytes, block * 1024, block * 1024 + 1024);
    }

    private static int usedGroup(ExtImage image) {
        for (int group = 1; group < image.groups(); group++) {
            if (!image.isUninitialised(group) && firstBlock(image, group, false) > 0 && firstBlock(image, group, true) > 0) {
                return group;
            }
        }
        throw new AssertionError("no group with used and free blocks");
    }

    /** @return a block in the middle of used or free ones; 0 if there is none */
    static long firstBlock(ExtImage image, int group, boolean used) {
        long start = image.firstDataBlock() + (long) group * image.blocksPerGroup();
        for (long block = start + 300; block < start + image.blocksPerGroup() - 2; block++) {
            if (image.isUsed(block) == used && image.isUsed(block + 1) == used) {
                return block;
            }
        }
        return 0;
    }

    private static void markUsed(ExtImage image, long block) {
        int group = (int) ((block - image.firstDataBlock()) / image.blocksPerGroup());
        int bit = (int) ((block - image.firstDataBlock()) % image.blocksPerGroup());
        image.bytes[image.blockBitmap(group) + bit / 8] |= (byte) (1 << bit % 8);
        int count = image.descriptor(group) + 0x0C;
        image.put16(count, image.u16(count) - 1).fixGroup(group);
    }

    /** Any flipped byte of the log: another end of it, or a refusal, and never a byte freed that the disk calls used. */
    @Test
    void flippedLogs() throws IOException {
        for (int checksums = 0; checksums < 4; checksums++) {
            ExtImage later = ext4.copy();
            int group = usedGroup(later);
            markUsed(later, firstBlock(later, group, false));
            JournalMaker maker = log(maker(checksums, true), later, group);
            ExtentSet before = ext4.freeSpace().free();
            int refused = 0;
            // The journal's superblock, descriptor, two blocks and the commit block.
            for (int i = 0; i < 5 * 1024; i += i % 1024 < 128 ? 1 : 37) {
                int at = maker.image.journalBlock(i / 1024) + i % 1024;
                for (int bits : new int[] {0x01, 0x80, 0xFF}) {
                    maker.image.bytes[at] ^= (byte) bits;
                    try {
                        assertTrue(maker.freeSpace().free().minus(before).isEmpty(), "byte " + at);
                    } catch (DiskFormatException e) {
                        refused++;
                    }
                    maker.image.bytes[at] ^= (byte) bits;
                }
            }
            assertTrue(refused > 100, refused + " refused");
        }
    }

    @Test
    void truncatedVolumes() {
        byte[] bytes = three(maker(3, true)).image.bytes;
        for (int length = 0; length < bytes.length; length += length < 8192 ? 64 : 50_021) {
            ByteArraySource source = new ByteArraySource(Arrays.copyOf(bytes, length));
            assertThrows(DiskFormatException.class, () -> new ExtProbe().open(source, CrashedVolume.REPLAY));
        }
    }

    /** Says that all is there, and fails where it is not. */
    private record CutOff(byte[] bytes, int available) implements BlockSource {
        @Override
        public long size() {
            return bytes.length;
        }

        @Override
        public void read(long offset, ByteBuffer target) throws IOException {
            BlockSource.requireInside(offset, target.remaining(), available);
            target.put(bytes, (int) offset, target.remaining());
        }
    }

    @Test
    void volumesThatEndWhileTheyAreRead() throws IOException {
        byte[] bytes = three(maker(3, true)).image.bytes;
        int ended = 0;
        for (int length = 4096; length < bytes.length; length += 20_021) {
            try {
                new ExtProbe().open(new CutOff(bytes, length), CrashedVolume.REPLAY).freeSpace();
            } catch (EOFException | DiskFormatException e) {
                ended++;
            }
        }
        assertTrue(ended > 50, ended + " of " + bytes.length / 20_021);
    }

    @Test
    void theFirstKindOfChecksumsIsCrc32Mpeg2() {
        assertEquals(0x0376_E6E7, Crc32BigEndian.update(~0, ByteBuffer.wrap("123456789".getBytes(StandardCharsets.US_ASCII))));
    }
}
