package io.lacuna.fs.ext;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** ext2 to ext4: the volume, its bitmaps, its journal, its files. */
class ExtFuzzTest {

    /** More are not sealed, for the slow checksums of {@link ExtImage} would take too long. */
    private static final int MAX_GROUPS = 16;
    private static final int MAX_BLOCKS_PER_GROUP = 1 << 16;
    private static final int RECOVER = 4;
    /** Descriptors lie elsewhere then. */
    private static final int META_BG = 0x10;
    private static final FuzzedImages IMAGES = new FuzzedImages();

    @BeforeAll
    static void make(@TempDir Path scratch) throws IOException {
        ExtImage[] made = {
            ExtImage.make(scratch, "5M", "-t", "ext4", "-b", "1024", "-g", "1024", "-G", "4", "-J", "size=1"),
            ExtImage.make(scratch, "5M", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg", "-J", "size=1"),
            ExtImage.make(scratch, "5M", "-t", "ext3", "-b", "1024", "-g", "1024", "-J", "size=1"),
            ExtImage.make(scratch, "2M", "-t", "ext2", "-b", "1024", "-g", "512"),
            ExtImage.make(scratch, "5M", "-t", "ext4", "-b", "1024", "-O", "bigalloc,^has_journal,^metadata_csum", "-C", "2048"),
        };
        for (ExtImage image : made) {
            add(image, new int[0]);
        }
        for (int checksums : new int[] {0, 3}) {
            JournalMaker maker = new JournalMaker(made[1].copy(), checksums, checksums == 3, 0, 1, 7);
            maker.log(1500, maker.block(1, false)).log(1501, maker.block(2, true)).revoke(1700).commit();
            int[] first = {maker.descriptorAt, 64, maker.revokeAt, 64, maker.commitAt, 64};
            maker.log(1500, maker.block(4, true)).commit();
            add(maker.image, first);
        }
        IMAGES.addCorpus(scratch, ExtFuzzTest::seal, "lde-testdata/test.ext2", "lde-testdata/test.ext3", "lde-testdata/test.ext4",
                "e2fsprogs/f_extents2.gz", "e2fsprogs/j_corrupt_descr_tid.gz", "e2fsprogs/j_corrupt_commit_tid.gz",
                "e2fsprogs/f_inlinedata_repair.gz", "e2fsprogs/f_bigalloc_symlink_with_xattr.gz",
                "jnode/ext4__ext4-meta-bg.dd.gz", "syzkaller/ext4_25.img.gz", "syzkaller/ext4_33.img.gz",
                "syzkaller/ext4_57.img.gz");
    }

    private static void add(ExtImage image, int[] log) {
        List<Integer> regions = new ArrayList<>(List.of(ExtImage.SUPERBLOCK, 1024, image.descriptor(0),
                image.groups() * image.descriptorSize(), image.s32(image.descriptor(0) + 8) * image.blockSize(), 32 * 256,
                image.blockBitmap(0), 128, image.s32(image.descriptor(0) + 4) * image.blockSize(), 16));
        if (image.s32(ExtImage.SUPERBLOCK + 0xE0) != 0) {
            regions.addAll(List.of(image.journalSuperblock(), 1024, image.journalInode(), 256));
        }
        for (int number : log) {
            regions.add(number);
        }
        IMAGES.add(image.bytes, ExtFuzzTest::seal, regions.stream().mapToInt(Integer::intValue).toArray());
    }

    private static void seal(byte[] bytes) {
        ExtImage image = new ExtImage(bytes);
        image.fixSuperblock();
        if (image.blocksPerGroup() <= MAX_BLOCKS_PER_GROUP) {
            int groups = Math.min(image.groups(), MAX_GROUPS);
            for (int group = 0; group < groups; group++) {
                image.fixGroup(group);
            }
        }
        if (image.s32(ExtImage.SUPERBLOCK + 0xE0) != 0) {
            image.fixJournalInode();
            if (image.s32(image.journalSuperblock() + 0x50) != 0) {
                image.fixJournal();
            }
        }
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(ExtFuzzTest.class, "volumes", this::volumes);
    }

    @Tag("fuzz")
    @FuzzTest
    void volumes(byte[] input) {
        IMAGES.check(input, (image, number, options) -> {
            ExtProbe probe = new ExtProbe();
            ByteArraySource volume = new ByteArraySource(image);
            probe.recognise(volume);
            FreeSpace space = probe.open(volume, new VolumeOptions((options & 2) == 0, (options & 1) == 0)).freeSpace();
            requireFree(new ExtImage(image), space.free());
        });
    }

    /** A second reading of bitmaps and descriptors, as the disk has them; what a replay leaves free was free there. */
    private static void requireFree(ExtImage image, ExtentSet free) {
        if (!free.minus(ExtentSet.ofRange(0, image.bytes.length)).isEmpty()) {
            throw new AssertionError("free behind the end: " + free);
        }
        if ((image.s32(ExtImage.SUPERBLOCK + 0x60) & META_BG) != 0) {
            return;
        }
        int size = image.blockSize();
        for (Extent extent : free) {
            for (long block = extent.offset() / size; block * size < extent.end(); block++) {
                boolean hasBit = !image.isUninitialised(image.group(block));
                if (block < image.firstDataBlock() || hasBit && image.isUsed(block)) {
                    throw new AssertionError("block " + block + " is free and marked used");
                }
            }
        }
        if ((image.s32(ExtImage.SUPERBLOCK + 0x60) & RECOVER) != 0) {
            return;
        }
        long inodeTable = (long) image.s32(ExtImage.SUPERBLOCK + 0x28) * image.u16(ExtImage.SUPERBLOCK + 0x58);
        ExtentSet.Builder own = ExtentSet.builder().add(ExtImage.SUPERBLOCK, 1024);
        own.add(image.descriptor(0), (long) image.groups() * image.descriptorSize());
        for (int group = 0; group < image.groups(); group++) {
            int at = image.descriptor(group);
            own.add((long) image.s32(at) * size, size).add((long) image.s32(at + 4) * size, size);
            own.add((long) image.s32(at + 8) * size, inodeTable);
        }
        ExtentSet wrong = own.build().intersect(free);
        if (!wrong.isEmpty()) {
            throw new AssertionError("the file system's own bytes are free: " + wrong);
        }
    }
}
