package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every truncation and every flipped byte of a structure ends in the right answer or in a refusal, and in nothing else. */
class DamageTest {

    private static ExtImage[] images;

    @BeforeAll
    static void make(@TempDir Path directory) throws IOException {
        images = new ExtImage[] {
            ExtImage.make(directory, "5M", "-t", "ext4", "-b", "1024", "-g", "1024", "-G", "4", "-J", "size=1"),
            ExtImage.make(directory, "5M", "-t", "ext4", "-b", "1024", "-g", "1024", "-O", "^metadata_csum,^64bit,uninit_bg",
                    "-J", "size=1"),
            ExtImage.make(directory, "5M", "-t", "ext3", "-b", "1024", "-g", "1024", "-J", "size=1"),
            ExtImage.make(directory, "2M", "-t", "ext2", "-b", "1024", "-g", "512"),
            ExtImage.make(directory, "5M", "-t", "ext4", "-b", "1024", "-O", "bigalloc,^has_journal,^metadata_csum", "-C", "2048"),
        };
    }

    /** @return whether the damage was noticed */
    private static boolean noticed(BlockSource source, ExtentSet free, String where) throws IOException {
        new ExtProbe().recognise(source);
        try {
            ExtentSet found = new ExtProbe().open(source).freeSpace().free();
            if (!free.equals(found)) {
                // A file system that is smaller, or that keeps more for itself, is as safe as the right answer.
                assertTrue(found.minus(free).isEmpty(), where + " frees " + found.minus(free));
            }
            return false;
        } catch (DiskFormatException e) {
            assertTrue(e.getMessage().length() > 10);
            return true;
        }
    }

    private static int flips(ExtImage image, int from, int length) throws IOException {
        ExtentSet free = image.freeSpace().free();
        ExtImage damaged = image.copy();
        int noticed = 0;
        for (int at = from; at < from + length; at++) {
            for (int bits : new int[] {0x01, 0x80, 0xFF}) {
                damaged.bytes[at] ^= (byte) bits;
                noticed += noticed(new ByteArraySource(damaged.bytes), free, "byte " + at + " ^ " + bits) ? 1 : 0;
                damaged.bytes[at] ^= (byte) bits;
            }
        }
        return noticed;
    }

    @Test
    void flippedSuperblock() throws IOException {
        for (ExtImage image : images) {
            int noticed = flips(image, 1024, 1024);
            if (image.hasMetadataChecksums()) {
                assertEquals(3 * 1024, noticed);
            }
        }
    }

    @Test
    void flippedSuperblockBehindARightChecksum() throws IOException {
        ExtImage image = images[0];
        ExtentSet free = image.freeSpace().free();
        for (int at = 1024; at < 1024 + 0x3FC; at++) {
            for (int bits : new int[] {0x01, 0x80, 0xFF}) {
                ExtImage damaged = image.copy();
                damaged.bytes[at] ^= (byte) bits;
                noticed(new ByteArraySource(damaged.fixSuperblock().bytes), free, "byte " + at + " ^ " + bits);
            }
        }
    }

    @Test
    void flippedDescriptors() throws IOException {
        for (ExtImage image : images) {
            int length = image.groups() * image.descriptorSize();
            int noticed = flips(image, image.descriptor(0), length);
            if ((image.s32(1024 + 0x64) & 0x410) != 0) {
                assertEquals(3 * length, noticed);
            }
        }
    }

    @Test
    void flippedDescriptorsBehindARightChecksum() throws IOException {
        ExtImage image = images[0];
        ExtentSet free = image.freeSpace().free();
        for (int group = 0; group < image.groups(); group++) {
            for (int at = image.descriptor(group); at < image.descriptor(group) + 64; at++) {
                for (int bits : new int[] {0x01, 0x80, 0xFF}) {
                    ExtImage damaged = image.copy();
                    damaged.bytes[at] ^= (byte) bits;
                    // BLOCK_UNINIT gone: the bitmap, whatever it holds, is read and has to fit the counts.
                    noticed(new ByteArraySource(damaged.fixGroupUnread(group).bytes), free, "byte " + at + " ^ " + bits);
                }
            }
        }
    }

    @Test
    void flippedBitmaps() throws IOException {
        for (ExtImage image : images) {
            int used = image.blocksPerGroup() / image.clusterRatio() / 8;
            for (int group = 0; group < 2; group++) {
                if (!image.isUninitialised(group)) {
                    boolean whole = group < image.groups() - 1;
                    int length = Math.min(used, 128);
                    int noticed = flips(image, image.blockBitmap(group), length);
                    assertTrue(!whole || noticed >= 2 * length, noticed + " of " + 3 * length);
                }
            }
        }
    }

    @Test
    void flippedJournal() throws IOException {
        for (ExtImage image : Arrays.copyOf(images, 3)) {
            flips(image, image.journalSuperblock(), 1024);
            int noticed = flips(image, image.journalInode(), image.u16(1024 + 0x58));
            assertTrue(noticed > 60, noticed + " of the journal's inode");
        }
        ExtImage ext3 = images[2];
        int indirect = ext3.s32(ext3.journalInode() + 0x28 + 12 * 4) * 1024;
        assertTrue(flips(ext3, indirect, 1024) > 2000);
    }

    @Test
    void truncatedVolumes() throws IOException {
        for (ExtImage image : images) {
            for (int length = 0; length < image.bytes.length; length += length < 8192 ? 64 : 50_021) {
                ByteArraySource source = new ByteArraySource(Arrays.copyOf(image.bytes, length));
                int at = length;
                new ExtProbe().recognise(source);
                assertThrows(DiskFormatException.class, () -> new ExtProbe().open(source), () -> "length " + at);
            }
        }
    }

    /** Says that all is there, and fails where it is not: a disk that is cut off while it is read. */
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
        for (ExtImage image : images) {
            ExtentSet free = image.freeSpace().free();
            for (int length = 0; length < image.bytes.length; length += length < 8192 ? 64 : 50_021) {
                try {
                    noticed(new CutOff(image.bytes, length), free, "cut at " + length);
                } catch (EOFException asItShouldBe) {
                    continue;
                }
            }
        }
    }

    @Test
    void truncatedStructures() throws IOException {
        ExtImage image = images[0].copy().journal32(0x28, 0x12).journal32(0x50, 0x0400_0000).fixJournal();
        ByteBuffer superblock = ByteBuffer.wrap(image.bytes, 1024, 1024).slice();
        ByteBuffer journal = ByteBuffer.wrap(image.bytes, image.journalSuperblock(), 1024).slice();
        Superblock.parse(Bytes.littleEndian(superblock, 1024), image.bytes.length);
        JournalSuperblock.parse(Bytes.bigEndian(journal, 0), 1024, 1024);
        for (int length = 0; length < 1024; length++) {
            Bytes shortSuperblock = Bytes.littleEndian(superblock.limit(length), 1024);
            assertThrows(DiskFormatException.class, () -> Superblock.parse(shortSuperblock, image.bytes.length));
            Bytes shortJournal = Bytes.bigEndian(journal.limit(length), 0);
            assertThrows(DiskFormatException.class, () -> JournalSuperblock.parse(shortJournal, 1024, 1024));
        }
    }
}
