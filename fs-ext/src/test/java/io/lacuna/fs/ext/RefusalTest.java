package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** One test for each check: a sound file system, one thing made wrong, all checksums made right again, the right refusal. */
class RefusalTest {

    private static ExtImage ext4;
    private static ExtImage ext2;
    private static ExtImage mmp;
    private static ExtImage bigalloc;

    @BeforeAll
    static void make(@TempDir Path directory) throws IOException {
        ext4 = ExtImage.make(directory, "9M", "-t", "ext4", "-b", "1024", "-g", "1024", "-G", "4", "-J", "size=1", "-O",
                "orphan_file");
        ext2 = ExtImage.make(directory, "2M", "-t", "ext2", "-b", "1024", "-g", "512");
        mmp = new ExtImage(Files.readAllBytes(ExtImage.protect(
                ExtImage.makeFile(directory, "9M", "-t", "ext4", "-b", "1024"))));
        bigalloc = ExtImage.make(directory, "9M", "-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "4096");
    }

    private static void refused(ExtImage image, String reason) throws IOException {
        String found = image.refusal();
        assertTrue(found.contains(reason), found);
    }

    /** The hashes cover free blocks; that the file system is smaller than its volume is otherwise no doubt. */
    @Test
    void hashTreeBehindTheFileSystem(@TempDir Path directory) throws IOException {
        Tools.require("veritysetup");
        int end = ext4.bytes.length;
        Path image = Files.write(directory.resolve("hashed"), Arrays.copyOf(ext4.bytes, end + (1 << 20)));
        Tools.ok("veritysetup", "format", "--hash-offset=" + end, "--data-block-size=1024", "--data-blocks=" + end / 1024,
                image.toString(), image.toString());
        refused(new ExtImage(Files.readAllBytes(image)), "dm-verity");
        byte[] longer = Arrays.copyOf(ext4.bytes, end + 8192);
        assertTrue(new ExtImage(longer).freeSpace().free().totalBytes() > 0);
        refused(new ExtImage(longer).copy().put32(end, 0xB001B001), "dm-verity");
        refused(new ExtImage(longer).copy().put32(end + 8192 - 64, 0x66425641), "dm-verity");
    }

    private static void refused(UnaryOperator<ExtImage> damage, String reason) throws IOException {
        refused(damage.apply(ext4.copy()), reason);
    }

    @Test
    void theSoundOnesAreRead() throws IOException {
        for (ExtImage image : new ExtImage[] {ext4, ext2, mmp, bigalloc}) {
            assertTrue(image.freeSpace().free().totalBytes() > 0);
        }
        // The repaired checksums are the right ones: nothing changes where nothing was damaged.
        ExtImage same = ext4.copy().fixSuperblock().fixGroup(0).fixGroup(5).fixJournalInode();
        assertEquals(-1, Arrays.mismatch(ext4.bytes, same.bytes));
    }

    @Test
    void noMagicIsNotRecognised() throws IOException {
        ExtImage image = ext4.copy().put16(1024 + 0x38, 0xEF54);
        assertEquals(Optional.empty(), new ExtProbe().recognise(new ByteArraySource(image.bytes)));
        refused(image, "magic");
        assertEquals(Optional.empty(), new ExtProbe().recognise(new ByteArraySource(new byte[2047])));
        assertThrows(CorruptException.class, () -> new ExtProbe().open(new ByteArraySource(new byte[2047])));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            0x60 | 0x00000001 | compression
            0x60 | 0x00001000 | dirdata
            0x60 | 0x00000020 | unknown bit 0x20
            0x60 | 0x00040000 | unknown bit 0x40000
            0x60 | 0x80000000 | unknown bit 0x80000000
            0x60 | 0x00000008 | is the journal of
            0x64 | 0x00000080 | snapshots
            0x64 | 0x00000800 | replica
            0x64 | 0x00001000 | built to be read only
            0x64 | 0x00004000 | shared_blocks
            0x64 | 0x00020000 | unknown bit 0x20000
            0x64 | 0x80000000 | unknown bit 0x80000000
            """)
    void featuresThatMayChangeWhatABitmapMeans(String field, String bit, String reason) throws IOException {
        int at = Integer.decode(field);
        refused(i -> i.superblock32(at, i.s32(1024 + at) | Integer.parseUnsignedInt(bit.substring(2), 16)), reason);
        // The same without checksums, where bits are all there is.
        ExtImage image = ext2.copy();
        refused(image.superblock32(at, image.s32(1024 + at) | Integer.parseUnsignedInt(bit.substring(2), 16)), reason);
    }

    @Test
    void anUnknownCompatibleFeatureIsOnlyRemarked() throws IOException {
        ExtImage image = ext4.copy();
        image.superblock32(0x5C, image.s32(1024 + 0x5C) | 0x4000_0000);
        assertEquals(ext4.freeSpace().free(), image.freeSpace().free());
        assertTrue(image.freeSpace().remarks().stream().anyMatch(remark -> remark.contains("compatible features")));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            0x0000 | not cleanly unmounted
            0x0002 | marked as having errors
            0x0003 | marked as having errors
            0x0005 | orphaned files were being recovered
            0x0021 | fast commits were being replayed
            0x0009 | unknown state
            """)
    void statesInDoubt(String state, String reason) throws IOException {
        refused(i -> i.superblock16(0x3A, Integer.decode(state)), reason);
        refused(ext2.copy().superblock16(0x3A, Integer.decode(state)), reason);
        UnsafeException thrown = assertThrows(UnsafeException.class,
                () -> ext2.copy().superblock16(0x3A, Integer.decode(state)).freeSpace());
        assertTrue(thrown.getMessage().contains("guest"), thrown.getMessage());
    }

    @Test
    void journalsToReplay() throws IOException {
        refused(i -> i.superblock32(0x60, i.s32(1024 + 0x60) | 4), "journal with changes");
        ExtImage image = ext2.copy();
        refused(image.superblock32(0x60, image.s32(1024 + 0x60) | 4), "a journal that it does not have");
        refused(i -> i.journal32(0x1C, 1).fixJournal(), "changes that are still to be replayed");
    }

    @Test
    void externalJournal() throws IOException {
        refused(i -> i.superblock32(0xE0, 0), "on another device");
        refused(i -> i.superblock32(0xE0, 0).superblock32(0xE4, 0x0801), "on another device");
        refused(i -> i.superblock32(0xD0, 1), "on another device");
    }

    @Test
    void journalErrors() throws IOException {
        refused(i -> i.journal32(0x20, -5).fixJournal(), "recorded an error (-5)");
        refused(i -> i.journal32(0x00, 0xC03B_3999).fixJournal(), "magic");
        refused(i -> i.journal32(0x04, 5).fixJournal(), "block type");
        refused(i -> i.journal32(0x0C, 4096).fixJournal(), "block size");
        refused(i -> i.journal32(0x10, 1025).fixJournal(), "length");
        refused(i -> i.journal32(0x10, 1).fixJournal(), "superblock: length");
        refused(i -> i.journal32(0x14, 0).fixJournal(), "first block of the log");
        refused(i -> i.journal32(0x14, 1024).fixJournal(), "first block of the log");
        refused(i -> i.journal32(0x1C, 4000).fixJournal(), "start of the log");
        refused(i -> i.journal32(0x28, 0x52).fixJournal(), "incompatible features");
        refused(i -> i.journal32(0x28, 0x1A).fixJournal(), "versions 2 and 3");
        refused(i -> i.journal32(0x2C, 1).fixJournal(), "read-only compatible features");
        refused(i -> i.journal32(0x28, 0x12).journal32(0x50, 0x0100_0000).fixJournal(), "checksum type");
        refused(i -> i.journal32(0x28, 0x12).journal32(0x50, 0x0400_0000).journal32(0xFC, 0), "checksum");
    }

    @Test
    void journalInode() throws IOException {
        refused(i -> i.superblock32(0xE0, 1 << 30), "inode number");
        refused(i -> i.put16(i.journalInode(), 0x41FF).fixJournalInode(), "a regular file");
        refused(i -> i.put16(i.journalInode() + 0x1A, 0).fixJournalInode(), "0 links");
        refused(i -> i.put32(i.journalInode() + 4, 0).fixJournalInode(), "size");
        refused(i -> i.put32(i.journalInode() + 0x6C, 0x4000_0000).fixJournalInode(), "size");
        refused(i -> i.put32(i.journalInode() + 4, i.s32(i.journalInode() + 4) + 4096).fixJournalInode(), "mapped blocks");
        refused(i -> i.put16(i.journalInode() + 0x7C, 0x1234), "checksum");
        refused(i -> i.put32(i.journalInode() + 0x20, 0x1008_0000).fixJournalInode(), "inline data");
        refused(i -> i.put16(i.journalInode() + 0x28, 0xF30B).fixJournalInode(), "extent tree magic");
        refused(i -> i.put16(i.journalInode() + 0x2A, 5).fixJournalInode(), "extent tree entries");
        refused(i -> i.put16(i.journalInode() + 0x2E, 6).fixJournalInode(), "extent tree depth");
        refused(i -> i.put16(i.journalInode() + 0x2E, 1).fixJournalInode(), "inode 8: block");
        refused(i -> i.put32(i.journalInode() + 0x34, 1).fixJournalInode(), "without a hole");
        refused(i -> i.put32(i.journalInode() + 0x3C, 9000).fixJournalInode(), "inode 8: block");
        refused(i -> i.put16(i.journalInode() + 0x3A, 1).fixJournalInode(), "inode 8: block");
        refused(i -> i.put16(i.journalInode() + 0x38, 0).fixJournalInode(), "0 from ");
        refused(i -> i.put32(i.journalInode() + 0x3C, 0).fixJournalInode(), " from 0");
        refused(i -> i.put32(i.journalInode() + 4, 9217 * 1024).fixJournalInode(), "inode 8: size");
    }

    /** A journal whose extents are in a block of their own: the root, four entries of 12 bytes, names that block instead. */
    private static ExtImage withTreeBlock() {
        ExtImage image = ext4.copy();
        int root = image.journalInode() + 0x28;
        int entries = image.u16(root + 2);
        int block = treeBlock(image);
        image.markUsed(block);
        int at = block * 1024;
        System.arraycopy(image.bytes, root, image.bytes, at, 12 + 12 * entries);
        image.put16(at + 4, 84);
        image.put16(root + 2, 1).put16(root + 6, 1).put32(root + 12, 0).put32(root + 16, block).put32(root + 20, 0);
        return fixTreeBlock(image, block).fixJournalInode();
    }

    /** @return a free block of group 0 */
    private static int treeBlock(ExtImage image) {
        int block = image.blocksPerGroup();
        while (image.isUsed(block)) {
            block--;
        }
        return block;
    }

    private static ExtImage fixTreeBlock(ExtImage image, int block) {
        byte[] head = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putInt(8).putInt(image.s32(image.journalInode() + 0x64))
                .array();
        int tail = 12 + 84 * 12;
        return image.put32(block * 1024 + tail, ExtImage.crc32c(ExtImage.crc32c(image.seed(), head, 0, 8), image.bytes,
                block * 1024,
                tail));
    }

    private static void treeRefused(int field, int value, String reason) throws IOException {
        int block = treeBlock(ext4);
        ExtImage image = withTreeBlock();
        refused(fixTreeBlock(image.put16(block * 1024 + field, value), block), reason);
    }

    @Test
    void extentBlocksOfTheJournal() throws IOException {
        int block = treeBlock(ext4);
        assertEquals(ext4.freeSpace().free().minus(ExtentSet.ofRange(block * 1024L, 1024)), withTreeBlock().freeSpace().free());
        refused(withTreeBlock().markFree(block), "own blocks");
        refused(flip(withTreeBlock(), block * 1024 + 12 + 84 * 12, 1), "extent tree checksum");
        refused(flip(withTreeBlock(), block * 1024 + 12 + 4, 1), "extent tree checksum");
        treeRefused(0, 0xF30B, "extent tree magic");
        treeRefused(2, 85, "extent tree entries");
        treeRefused(6, 1, "extent tree depth");
        treeRefused(2, 0, "blocks behind it");
        treeRefused(12, 1, "without a hole");
        treeRefused(12 + 4, 0, "0 from ");
    }

    @Test
    void multipleMountProtection() throws IOException {
        int block = mmp.s32(1024 + 0x168) * 1024;
        for (int sequence : new int[] {0xE24D_4D50, 0x1234, 0}) {
            ExtImage image = mmp.copy().put32(block + 4, sequence);
            refused(image.put32(block + 0x3FC, ExtImage.crc32c(image.seed(), image.bytes, block, 0x3FC)),
                    "multiple mount protection");
        }
        refused(mmp.copy().put32(block + 0x3FC, 0), "MMP block: checksum");
        refused(mmp.copy().put32(block, 0), "MMP block: magic");
        refused(mmp.copy().superblock32(0x168, 1 << 20), "MMP block");
        refused(mmp.copy().superblock32(0x16C, 1 << 31), "MMP block");
    }

    @Test
    void superblockFields() throws IOException {
        refused(i -> i.put32(1024 + 0x3FC, 0), "ext superblock: checksum");
        refused(i -> i.superblock32(0x174, 0x0200_0000), "checksum type");
        refused(i -> i.superblock32(0x4C, 2), "revision");
        refused(i -> i.superblock16(0x5A, 3), "number of its group");
        refused(i -> i.superblock32(0x18, 7), "block size");
        refused(i -> i.superblock32(0x18, -1), "block size");
        refused(i -> i.superblock32(0x1C, 1), "cluster size");
        refused(bigalloc.copy().superblock32(0x1C, 21), "cluster size");
        refused(bigalloc.copy().superblock32(0x18, 3), "cluster size");
        refused(bigalloc.copy().superblock32(0x20, 8192), "blocks per group");
        refused(bigalloc.copy().superblock32(0x24, 8193), "clusters per group");
        refused(i -> i.superblock32(0x14, 0), "first data block");
        refused(bigalloc.copy().superblock32(0x14, 1), "first data block");
        refused(i -> i.superblock32(0x04, 9217), "larger than its volume");
        refused(i -> i.superblock32(0x150, 1), "larger than its volume");
        refused(i -> i.superblock32(0x150, 1 << 31), "larger than its volume");
        refused(i -> i.superblock32(0x04, 1), "block count");
        refused(i -> i.superblock32(0x20, 0), "blocks per group");
        refused(i -> i.superblock32(0x20, 8193), "blocks per group");
        refused(i -> i.superblock32(0x28, 0), "inodes per group");
        refused(i -> i.superblock32(0x28, 8193), "inodes per group");
        refused(i -> i.superblock16(0x58, 0), "inode size");
        refused(i -> i.superblock16(0x58, 64), "inode size");
        refused(i -> i.superblock16(0x58, 192), "inode size");
        refused(i -> i.superblock16(0x58, 2048), "inode size");
        refused(i -> i.superblock32(0x00, 8), "inode count");
        refused(i -> i.superblock16(0xFE, 32), "descriptor size");
        refused(i -> i.superblock16(0xFE, 96), "descriptor size");
        refused(i -> i.superblock16(0xFE, 2048), "descriptor size");
        refused(i -> i.superblock16(0xCE, 257), "reserved descriptor blocks");
        refused(i -> i.superblock32(0x60, i.s32(1024 + 0x60) | 0x10), "reserved descriptor blocks");
        refused(i -> i.superblock16(0xCE, 0).superblock32(0x60, i.s32(1024 + 0x60) | 0x10).superblock32(0x104, 2),
                "first meta block group");
    }

    /** More than the journal's entries have bits for. */
    @Test
    void tooManyBlocks() {
        byte[] superblock = ext2.copy().superblock32(0x60, 0x82).superblock32(0x150, 0x401).bytes;
        Bytes bytes = Bytes.littleEndian(ByteBuffer.wrap(superblock, 1024, 1024), 1024);
        UnsupportedException thrown = assertThrows(UnsupportedException.class, () -> Superblock.parse(bytes, Long.MAX_VALUE));
        assertTrue(thrown.getMessage().contains("block count"), thrown.getMessage());
    }

    @Test
    void tooManyGroups() {
        byte[] superblock = ext2.copy().superblock32(0x04, -1).superblock32(0x20, 8).bytes;
        Bytes bytes = Bytes.littleEndian(ByteBuffer.wrap(superblock, 1024, 1024), 1024);
        UnsupportedException thrown = assertThrows(UnsupportedException.class, () -> Superblock.parse(bytes, 1L << 42));
        assertTrue(thrown.getMessage().contains("block groups"), thrown.getMessage());
    }

    @Test
    void descriptors() throws IOException {
        refused(i -> i.put16(i.descriptor(3) + 0x1E, 0), "block group 3: descriptor checksum");
        refused(i -> i.put32(i.descriptor(3), 0).fixGroupUnread(3), "block group 3: block bitmap");
        refused(i -> i.put32(i.descriptor(3) + 0x20, 1).fixGroupUnread(3), "block group 3: block bitmap");
        refused(i -> i.put32(i.descriptor(3) + 4, 9216).fixGroupUnread(3), "block group 3: inode bitmap");
        refused(i -> i.put32(i.descriptor(3) + 8, 9215).fixGroupUnread(3), "block group 3: inode table");
        refused(i -> i.put32(i.descriptor(3) + 0x28, -1).fixGroupUnread(3), "block group 3: inode table");
        refused(i -> i.put16(i.descriptor(3) + 0x0C, 1025).fixGroup(3), "block group 3: free count");
        // Without FLEX_BG a group keeps to itself.
        refused(ext2.copy().put32(ext2.descriptor(1) + 4, ext2.s32(ext2.descriptor(0) + 4)), "block group 1: inode bitmap");
        // With FLEX_BG it need not, but no block has two uses.
        refused(i -> i.put32(i.descriptor(3) + 4, i.s32(i.descriptor(3))).fixGroup(3), "no block in two of them");
    }

    @Test
    void bitmaps() throws IOException {
        refused(i -> flip(i, i.blockBitmap(0) + 100, 1), "block group 0: block bitmap checksum");
        refused(flip(ext2.copy(), ext2.blockBitmap(1) + 40, 1), "block group 1: free count");
        refused(i -> flip(i, i.blockBitmap(0) + 100, 1).fixGroup(0), "block group 0: free count");
        int group = uninitialised(ext4);
        refused(i -> i.put16(i.descriptor(group) + 0x0C, i.u16(i.descriptor(group) + 0x0C) - 1).fixGroup(group),
                "group without bitmap");
    }

    @Test
    void aStaleTotalIsOnlyRemarked() throws IOException {
        ExtImage image = ext4.copy().superblock32(0x0C, 17);
        assertEquals(ext4.freeSpace().free(), image.freeSpace().free());
        assertTrue(image.freeSpace().remarks().stream().anyMatch(remark -> remark.contains("counts 17 free blocks")));
        assertTrue(ext4.freeSpace().remarks().isEmpty(), ext4.freeSpace().remarks().toString());
    }

    @Test
    void recordedErrorsAreOnlyRemarked() throws IOException {
        assertTrue(ext4.copy().superblock32(0x194, 3).freeSpace().remarks().toString().contains("recorded 3 error(s)"));
    }

    static ExtImage flip(ExtImage image, int at, int bits) {
        image.bytes[at] ^= (byte) bits;
        return image;
    }

    /** @return a group without bitmap that holds nothing of its own */
    static int uninitialised(ExtImage image) {
        for (int group = image.groups() - 2; group > 0; group--) {
            if (image.isUninitialised(group) && image.u16(image.descriptor(group) + 0x0C) == image.blocksPerGroup()) {
                return group;
            }
        }
        throw new AssertionError("no group without bitmap");
    }
}
