package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.Tools;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Inodes and the maps of files with bytes wrong in them: the right answer or a refusal, nothing else, and soon. */
class InodeDamageTest {

    private static final VolumeOptions CROSS_CHECK = new VolumeOptions(false, true);
    private static final Duration LIMIT = Duration.ofMinutes(1);
    private static final int SUPERBLOCK = 1024;

    /** Checksums, extents without checksums, block numbers. */
    private static ExtImage[] images;
    private static int alternating;
    private static int far;

    @BeforeAll
    static void make(@TempDir Path directory) throws IOException {
        Tools.require("mke2fs", "debugfs");
        Path content = InodeWalkTest.makeContent(directory);
        String[] options = {"-t ext4 -b 1024 -J size=1", "-t ext4 -b 1024 -J size=1 -O ^metadata_csum,uninit_bg",
            "-t ext2 -b 1024"};
        images = new ExtImage[options.length];
        for (int i = 0; i < options.length; i++) {
            Path image = directory.resolve("image" + i);
            Tools.shell("mke2fs -q -F -d \"$2\" " + options[i] + " \"$1\" 12M", image, content);
            images[i] = new ExtImage(Files.readAllBytes(image));
            alternating = inode(image, "alternating");
            far = inode(image, "far");
        }
    }

    private static int inode(Path image, String name) {
        return Integer.parseInt(Tools.shell("debugfs -R \"stat /$2\" \"$1\" 2>/dev/null | sed -n 's/^Inode: *\\([0-9]*\\).*/\\1/p'",
                image,
                name).strip());
    }

    private static int place(ExtImage image, int inode) {
        return image.s32(image.descriptor(0) + 8) * 1024 + (inode - 1) * image.u16(SUPERBLOCK + 0x58);
    }

    private static ExtentSet free(BlockSource source) throws IOException {
        return new ExtProbe().open(source, CROSS_CHECK).freeSpace().free();
    }

    /** @return whether the damage was noticed */
    private static boolean noticed(BlockSource source, ExtentSet free, String where) {
        try {
            assertEquals(ExtentSet.EMPTY, free(source).minus(free), where);
            return false;
        } catch (DiskFormatException | EOFException expected) {
            return true;
        } catch (Exception e) {
            throw new AssertionError(where, e);
        }
    }

    private static int flips(ExtImage image, int from, int length, int step) throws IOException {
        ExtentSet free = free(new ByteArraySource(image.bytes));
        ExtImage damaged = image.copy();
        return assertTimeoutPreemptively(LIMIT, () -> {
            int noticed = 0;
            for (int at = from; at < from + length; at += step) {
                for (int bits : new int[] {0x01, 0x80, 0xFF}) {
                    damaged.bytes[at] ^= (byte) bits;
                    noticed += noticed(new ByteArraySource(damaged.bytes), free, "byte " + at + " ^ " + bits) ? 1 : 0;
                    damaged.bytes[at] ^= (byte) bits;
                }
            }
            return noticed;
        });
    }

    @Test
    void flippedInodes() throws IOException {
        for (ExtImage image : images) {
            for (int inode : new int[] {2, 7, alternating, far}) {
                int noticed = flips(image, place(image, inode), 0x84, 1);
                assertTrue(noticed > (image.hasMetadataChecksums() ? 3 * 0x80 : 20), noticed + " of inode " + inode);
            }
        }
    }

    @Test
    void flippedMaps() throws IOException {
        for (ExtImage image : images) {
            boolean extents = (image.s32(SUPERBLOCK + 0x60) & 0x40) != 0;
            int at = place(image, alternating) + 0x28;
            int map = image.s32(extents ? at + 12 + 4 : at + 13 * 4) * 1024;
            int noticed = flips(image, map, 1024, 7);
            assertTrue(noticed > (image.hasMetadataChecksums() ? 300 : 15), noticed + " of the map");
            int below = image.s32(extents ? map + 12 + 4 : map) * 1024;
            flips(image, below, 1024, 11);
        }
    }

    @Test
    void noise() throws IOException {
        Random random = new Random(7);
        for (ExtImage image : images) {
            ExtentSet free = free(new ByteArraySource(image.bytes));
            ExtImage damaged = image.copy();
            int at = place(image, 11);
            int length = 30 * image.u16(SUPERBLOCK + 0x58);
            assertTimeoutPreemptively(LIMIT, () -> {
                for (int round = 0; round < 700; round++) {
                    System.arraycopy(image.bytes, at, damaged.bytes, at, length);
                    for (int i = random.nextInt(6); i >= 0; i--) {
                        int kind = random.nextInt(3);
                        damaged.bytes[at + random.nextInt(length)] = kind == 0 ? (byte) random.nextInt() : (byte) (kind - 2);
                    }
                    noticed(new ByteArraySource(damaged.bytes), free, "round " + round);
                }
            });
        }
    }

    @Test
    void cutOff() throws IOException {
        for (ExtImage image : images) {
            ExtentSet free = free(new ByteArraySource(image.bytes));
            for (int length = 0; length < image.bytes.length; length += 200_003) {
                int available = length;
                noticed(new BlockSource() {
                    @Override
                    public long size() {
                        return image.bytes.length;
                    }

                    @Override
                    public void read(long offset, ByteBuffer target) throws IOException {
                        BlockSource.requireInside(offset, target.remaining(), available);
                        target.put(image.bytes, (int) offset, target.remaining());
                    }
                }, free, "cut at " + length);
            }
        }
    }

    private static String refusal(ExtImage image) {
        return assertThrows(DiskFormatException.class, () -> free(new ByteArraySource(image.bytes))).reason();
    }

    @Test
    void aTreeThatLeadsBackIntoItself() {
        ExtImage image = images[1].copy();
        int index = image.s32(place(image, alternating) + 0x28 + 12 + 4);
        assertEquals(0xF30A, image.u16(index * 1024));
        assertEquals(2, image.u16(place(image, alternating) + 0x28 + 6));
        image.put32(index * 1024 + 12 + 4, index);
        assertTrue(refusal(image).contains("inode " + alternating + ": extent tree: block"), refusal(image));
        image = images[2].copy();
        int numbers = image.s32(place(image, far) + 0x28 + 14 * 4);
        image.put32(numbers * 1024, numbers);
        assertTrue(refusal(image).contains("inode " + far + ": indirect block: block"), refusal(image));
    }

    @Test
    void aMapThatTwoFilesShare() {
        ExtImage image = images[2].copy();
        int map = image.s32(place(image, alternating) + 0x28 + 13 * 4);
        image.put32(place(image, far) + 0x28 + 13 * 4, map);
        assertTrue(refusal(image).contains("indirect block: block"), refusal(image));
    }

    @Test
    void whatATreeMustKeepTo() {
        int root = place(images[1], alternating) + 0x28;
        int leafEntry = images[1].s32(images[1].s32(root + 12 + 4) * 1024 + 12 + 4) * 1024;
        record Change(int at, int size, long value, String words) {
        }
        for (Change change : new Change[] {
            new Change(root, 2, 0xF30B, "extent tree magic"), new Change(root + 2, 2, 5, "extent tree entries"),
            new Change(root + 4, 2, 5, "extent tree entries"), new Change(root + 6, 2, 6, "extent tree depth"),
            new Change(root + 6, 2, 1, "extent tree depth"), new Change(root + 12, 4, 5, "extent tree: blocks of the file"),
            new Change(root + 12 + 4, 4, 1 << 20, ": block"), new Change(root + 12 + 4, 4, 0, ": block"),
            new Change(leafEntry + 24, 4, 0, "extent tree: blocks of the file"),
            new Change(leafEntry + 12 + 4, 2, 9, "extent tree: blocks of the file"),
            new Change(leafEntry + 12 + 4, 2, 0, ": block"), new Change(leafEntry + 12 + 6, 2, 1, ": block"),
            new Change(leafEntry + 12 + 8, 4, 12 * 1024 - 1, ": block"), new Change(leafEntry + 12 + 8, 4, 0, ": block")}) {
            ExtImage image = images[1].copy();
            if (change.size() == 2) {
                image.put16(change.at(), (int) change.value());
            } else {
                image.put32(change.at(), (int) change.value());
            }
            String reason = refusal(image);
            assertTrue(reason.contains("inode " + alternating + ": ") && reason.contains(change.words()), change + ": " + reason);
        }
    }

    @Test
    void flagsAndTypesThatCannotBe() {
        int at = place(images[1], alternating);
        assertTrue(refusal(images[1].copy().put32(at + 0x20, 0x1008_0000)).contains("flags"));
        assertTrue(refusal(images[1].copy().put32(at + 0x20, 0x1000_0000)).contains("flags"));
        assertTrue(refusal(images[1].copy().put16(at, 0x3000)).contains("type"));
        assertTrue(refusal(images[1].copy().put32(at + 0x68, 1 << 20)).contains(": block"));
    }
}
