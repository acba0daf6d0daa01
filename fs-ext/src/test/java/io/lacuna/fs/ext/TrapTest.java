package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The places where a wrong guess frees a live block. Each test fails if its guard is taken out. */
class TrapTest {

    private static final int BLOCK_UNINIT = 2;

    private static ExtImage ext4;
    private static ExtImage ext3;
    private static ExtImage ext2;
    private static ExtImage bigalloc;

    @BeforeAll
    static void make(@TempDir Path directory) throws IOException {
        ext4 = ExtImage.make(directory, "12M", "-t", "ext4", "-b", "1024", "-g", "1024", "-G", "4", "-J", "size=1");
        ext3 = ExtImage.make(directory, "8990K", "-t", "ext3", "-b", "1024", "-g", "1024", "-J", "size=1");
        ext2 = ExtImage.make(directory, "2M", "-t", "ext2", "-b", "1024", "-g", "512");
        bigalloc = ExtImage.make(directory, "9M", "-t", "ext4", "-b", "1024", "-O", "bigalloc", "-C", "4096", "-J", "size=1");
    }

    private static ExtImage markUninitialised(ExtImage image, int group) {
        int flags = image.descriptor(group) + 0x12;
        return image.put16(flags, image.u16(flags) | BLOCK_UNINIT);
    }

    /** @return a group above 0 with a bitmap that holds data of files */
    private static int withBitmap(ExtImage image) {
        for (int group = 1; group < image.groups(); group++) {
            if (!image.isUninitialised(group)) {
                return group;
            }
        }
        throw new AssertionError("no group but the first has a bitmap");
    }

    @Test
    void blockUninitWithoutChecksumsDoesNotCount() throws IOException {
        // No journal: what is more than bitmaps, inode table and the copies in groups 1 and 3 is data of files.
        int tableBlocks = ext2.s32(1024 + 0x28) * ext2.u16(1024 + 0x58) / 1024;
        int copies = 2 + ext2.u16(1024 + 0xCE);
        int found = 0;
        for (int group = 1; group < ext2.groups() - 1; group++) {
            int own = 2 + tableBlocks + (group == 2 ? 0 : copies);
            if (512 - ext2.u16(ext2.descriptor(group) + 0x0C) > own) {
                found++;
                ExtImage image = markUninitialised(ext2.copy(), group);
                assertEquals(ext2.freeSpace().free(), image.freeSpace().free());
                // Not even where the count speaks for it: then nothing can be trusted.
                String reason = image.put16(image.descriptor(group) + 0x0C, 512 - own).refusal();
                assertTrue(reason.contains("free count"), reason);
            }
        }
        assertTrue(found > 0, "no data in any group but the first");
    }

    @Test
    void blockUninitOnItsOwnDoesNotCountWithAWrongChecksum() throws IOException {
        String reason = markUninitialised(ext4.copy(), withBitmap(ext4)).refusal();
        assertTrue(reason.contains("descriptor checksum"), reason);
    }

    @Test
    void blockUninitInGroupZeroDoesNotCount() throws IOException {
        assertEquals(ext4.freeSpace().free(), markUninitialised(ext4.copy(), 0).fixGroup(0).freeSpace().free());
    }

    @Test
    void anUninitialisedGroupKeepsItsSuperblockCopy() throws IOException {
        // SPARSE_SUPER: copies in groups 0, 1, 3, 5, 7 and 9, of which some were never used for anything else.
        int found = 0;
        ExtentSet free = ext4.freeSpace().free();
        for (int group : new int[] {3, 5, 7, 9}) {
            if (ext4.isUninitialised(group)) {
                found++;
                long start = (1 + group * 1024L) * 1024;
                int used = 1024 - ext4.u16(ext4.descriptor(group) + 0x0C);
                assertTrue(used > 2, "superblock, descriptors and room for more of them");
                assertFalse(free.intersects(start, used * 1024L));
                assertTrue(free.contains(start + used * 1024L, (1024L - used) * 1024));
            }
        }
        assertTrue(found > 0);
    }

    @Test
    void anUninitialisedGroupKeepsOtherGroupsBitmapsAndInodeTables() throws IOException {
        // FLEX_BG: group 4 holds the bitmaps and inode tables of groups 4 to 7. Say that its bitmap was never written.
        ExtImage image = markUninitialised(ext4.copy(), 4);
        int tableBlocks = image.s32(1024 + 0x28) * image.u16(1024 + 0x58) / 1024;
        int own = 4 * (2 + tableBlocks);
        for (int group = 4; group < 8; group++) {
            assertEquals(4, (image.s32(image.descriptor(group)) - 1) / 1024, "group of the block bitmap");
        }
        image.put16(image.descriptor(4) + 0x0C, 1024 - own).fixGroup(4);
        ExtentSet free = image.freeSpace().free();
        for (int group = 4; group < 8; group++) {
            assertFalse(free.intersects(image.blockBitmap(group), 1024));
            assertFalse(free.intersects(image.s32(image.descriptor(group) + 4) * 1024L, 1024));
            assertFalse(free.intersects(image.s32(image.descriptor(group) + 8) * 1024L, tableBlocks * 1024L));
        }
        // And if its descriptor counts them as free, no number in it can be trusted.
        String reason = image.put16(image.descriptor(4) + 0x0C, 1024).fixGroup(4).refusal();
        assertTrue(reason.contains("group without bitmap"), reason);
    }

    @Test
    void theFreeCountOfEveryGroupWithoutBitmapCounts() throws IOException {
        int withCopies = 0;
        int without = 0;
        for (int group = 1; group < ext4.groups(); group++) {
            int free = ext4.u16(ext4.descriptor(group) + 0x0C);
            if (!ext4.isUninitialised(group)) {
                continue;
            }
            for (int wrong : new int[] {free - 1, free + 1, 0, 1024}) {
                if (wrong != free && wrong <= 1024) {
                    String reason = ext4.copy().put16(ext4.descriptor(group) + 0x0C, wrong).fixGroup(group).refusal();
                    assertTrue(reason.contains("free count of a group without bitmap"), group + ", " + wrong + ": " + reason);
                }
            }
            withCopies += free < 1024 ? 1 : 0;
            without += free == 1024 ? 1 : 0;
        }
        assertTrue(withCopies > 0 && without > 0, withCopies + " " + without);
    }

    @Test
    void ext4WithoutJournalThatWasNotUnmounted(@TempDir Path directory) throws IOException {
        ExtImage image = ExtImage.make(directory, "9M", "-t", "ext4", "-O", "^has_journal");
        assertTrue(image.freeSpace().free().totalBytes() > 0);
        String reason = image.superblock16(0x3A, 0).refusal();
        assertTrue(reason.contains("not cleanly unmounted"), reason);
    }

    @Test
    void oneKilobyteBlocksWithBigalloc() throws IOException {
        ExtentSet free = bigalloc.freeSpace().free();
        // Block 0 in use, superblock in block 1, descriptors from block 2 on; all of cluster 0.
        assertFalse(free.intersects(0, 4096));
        assertEquals(0, bigalloc.firstDataBlock());
        // Cluster 0 is the file system's own, although group 0's first block is the boot block.
        String reason = bigalloc.copy().markFree(0).refusal();
        assertTrue(reason.contains("own blocks"), reason);
        // The other clusters start at multiples of 4 KiB from block 0, not from block 1.
        assertEquals(free, free.inwardTo(4096));
    }

    @Test
    void aBitmapThatMarksOwnBlocksFree() throws IOException {
        int tableBlocks = ext4.s32(1024 + 0x28) * ext4.u16(1024 + 0x58) / 1024;
        int journal = ext4.journalSuperblock() / 1024;
        int withCopy = ext3.groups() > 3 ? 3 : 1;
        int copy = 1 + withCopy * 1024;
        int reserved = ext3.u16(1024 + 0xCE);
        assertTrue(reserved > 0);
        requireOwn(ext4, 1, "superblock");
        requireOwn(ext4, 2, "descriptors");
        requireOwn(ext4, 2 + ext4.u16(1024 + 0xCE), "last block reserved for descriptors");
        requireOwn(ext3, copy, "copy of the superblock");
        requireOwn(ext3, copy + 1, "copy of the descriptors");
        requireOwn(ext3, copy + 1 + reserved, "last reserved block of a copy");
        requireOwn(ext4, ext4.s32(ext4.descriptor(2)), "block bitmap of a group that lies in another one");
        requireOwn(ext4, ext4.s32(ext4.descriptor(2) + 4), "inode bitmap");
        requireOwn(ext4, ext4.s32(ext4.descriptor(3) + 8) + tableBlocks - 1, "last block of an inode table");
        requireOwn(ext4, journal, "journal superblock");
        requireOwn(ext4, journal + 700, "journal");
        int indirect = ext3.s32(ext3.journalInode() + 0x28 + 12 * 4);
        requireOwn(ext3, indirect, "indirect block of the journal");
        requireOwn(ext3, ext3.s32(indirect * 1024 + 200), "journal block behind an indirect one");
    }

    private static void requireOwn(ExtImage image, long block, String what) throws IOException {
        String reason = image.copy().markFree(block).refusal();
        assertTrue(reason.contains("own blocks"), what + ": " + reason);
    }

    @Test
    void aBitmapThatMarksTheMountProtectionFree(@TempDir Path directory) throws IOException {
        ExtImage image = new ExtImage(Files.readAllBytes(ExtImage.protect(
                ExtImage.makeFile(directory, "9M", "-t", "ext4", "-b", "1024"))));
        requireOwn(image, image.s32(1024 + 0x168), "MMP block");
    }

    @Test
    void aClearBitBehindTheLastBlockFreesNothing() throws IOException {
        int last = ext3.groups() - 1;
        ExtImage image = ext3.copy();
        int bits = image.s32(1024 + 4) - 1 - last * 1024;
        assertTrue(bits < 1024 && bits % 64 != 0 && bits % 8 != 0);
        for (int bit = bits + 1; bit < 8192; bit += 2) {
            image.bytes[image.blockBitmap(last) + bit / 8] &= (byte) ~(1 << bit % 8);
        }
        assertEquals(ext3.freeSpace().free(), image.freeSpace().free());
        // Nor is it an error if a set bit stands for nothing in a group with fewer blocks than the bitmap has bits.
        Arrays.fill(image.bytes, image.blockBitmap(2) + 1024 / 8, image.blockBitmap(2) + 1024, (byte) 0);
        assertEquals(ext3.freeSpace().free(), image.freeSpace().free());
    }

    @Test
    void aLastClusterThatTheEndCutsShort() throws IOException {
        // One block fewer: as many clusters and bits as before, but of the last cluster only three blocks.
        ExtentSet free = bigalloc.freeSpace().free();
        long blocks = bigalloc.s32(1024 + 4);
        assertTrue(blocks % 4 == 0 && free.contains((blocks - 4) * 1024, 4096));
        ExtentSet cut = bigalloc.copy().superblock32(4, (int) blocks - 1).freeSpace().free();
        assertEquals(free.minus(ExtentSet.ofRange((blocks - 1) * 1024, 1024)), cut);
    }

    @Test
    void whatLiesBehindTheFileSystemIsNotFree() throws IOException {
        byte[] larger = Arrays.copyOf(ext4.bytes, ext4.bytes.length + (5 << 20));
        ExtentSet free = new ExtProbe().open(new ByteArraySource(larger)).freeSpace().free();
        assertEquals(ext4.freeSpace().free(), free);
        assertEquals(ext4.bytes.length, new ExtProbe().open(new ByteArraySource(larger)).length());
    }

    @Test
    void smallDescriptorsKeepTheLowHalfOfTheBitmapChecksum(@TempDir Path directory) throws IOException {
        ExtImage image = ExtImage.make(directory, "9M", "-t", "ext4", "-b", "1024", "-O", "^64bit");
        assertEquals(32, image.descriptorSize());
        assertTrue(image.freeSpace().evidence().contains("bitmap checksums verified"));
        int group = withBitmap(image);
        String reason = image.put16(image.descriptor(group) + 0x18, image.u16(image.descriptor(group) + 0x18) ^ 1)
                .fixGroupUnread(group).refusal();
        assertTrue(reason.contains("block bitmap checksum"), reason);
    }

    @Test
    void theHighHalfOfTheBitmapChecksumCounts() throws IOException {
        int group = withBitmap(ext4);
        String reason = ext4.copy().put16(ext4.descriptor(group) + 0x38, ext4.u16(ext4.descriptor(group) + 0x38) ^ 1)
                .fixGroupUnread(group).refusal();
        assertTrue(reason.contains("block bitmap checksum"), reason);
    }

    @Test
    void aSetBitIsNeverFree() throws IOException {
        for (ExtImage image : new ExtImage[] {ext4, ext3, bigalloc}) {
            ExtentSet free = image.freeSpace().free();
            for (long block = image.firstDataBlock(); block < image.s32(1024 + 4); block++) {
                int group = (int) ((block - image.firstDataBlock()) / image.blocksPerGroup());
                if (!image.isUninitialised(group)) {
                    assertEquals(!image.isUsed(block), free.intersects(block * 1024, 1024), "block " + block);
                }
            }
        }
    }
}
