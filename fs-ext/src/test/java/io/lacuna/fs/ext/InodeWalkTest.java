package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** All inodes of file systems of all kinds: what they claim must be what debugfs finds behind every used block. */
class InodeWalkTest {

    private static final VolumeOptions CROSS_CHECK = new VolumeOptions(false, true);

    @TempDir
    static Path directory;
    private static Path content;

    /** Maps of all depths, links, a large folder, devices; whole pages of random bytes with holes between them. */
    @BeforeAll
    static void prepare() throws IOException {
        Tools.require("mke2fs", "debugfs", "dumpe2fs", "e2fsck");
        content = makeContent(directory);
    }

    static Path makeContent(Path directory) throws IOException {
        Path content = Files.createDirectory(directory.resolve("content"));
        Random random = new Random(1);
        sparse(content.resolve("alternating"), random, 500, 8192);
        sparse(content.resolve("far"), random, 3, 90 << 20);
        sparse(content.resolve("middle"), random, 3, 3 << 20);
        for (int i = 0; i < 9; i++) {
            byte[] bytes = new byte[1 + i * i * i * 300];
            random.nextBytes(bytes);
            Files.write(content.resolve("file" + i), bytes);
        }
        Path folder = Files.createDirectory(content.resolve("folder"));
        for (int i = 0; i < 150; i++) {
            Files.createFile(folder.resolve("an empty file whose name is rather long, number " + i));
        }
        Files.createSymbolicLink(content.resolve("fast"), Path.of("file1"));
        Files.createSymbolicLink(content.resolve("slow"), Path.of("x".repeat(200)));
        Files.createSymbolicLink(content.resolve("inline"), Path.of("y".repeat(70)));
        Tools.shell("cd \"$1\"; mkfifo pipe; ! [ $(id -u) = 0 ] || mknod device c 255 65535; head -c 700 /dev/urandom > "
                + "../attribute; head -c 6000 /dev/urandom > ../large", content);
        return content;
    }

    private static void sparse(Path place, Random random, int pieces, long distance) throws IOException {
        byte[] page = new byte[4096];
        try (RandomAccessFile file = new RandomAccessFile(place.toFile(), "rw")) {
            for (int i = 0; i < pieces; i++) {
                random.nextBytes(page);
                file.seek(i * distance);
                file.write(page);
            }
        }
    }

    private static Path make(String size, String options) {
        Path image = directory.resolve("volume.img");
        Tools.shell("rm -f \"$1\"; mke2fs -q -F -d \"$4\" $3 \"$1\" $2", image, size, options, content);
        Path script = directory.resolve("script");
        // Extended attributes in a block of their own, and a deleted file.
        Tools.shell("""
                printf '%s\n' "ea_set -f $3/attribute /file8 user.one" "ea_set -f $3/attribute /folder user.two" \
                    "ea_set -f $3/attribute /slow user.three" "ea_set -f $3/large /file5 user.four" "rm file6" > "$2"
                debugfs -w -f "$2" "$1" > /dev/null 2>&1""", image, script, directory);
        return image;
    }

    /** Only the bitmap of the inodes tells of such a file, which icheck does not look at. */
    private static void openAndDelete(Path image, String name) {
        Tools.okWithInput("set_inode_field " + name + " links_count 0\n", "debugfs", "-w", "-f", "-", image.toString());
    }

    private static FreeSpace crossChecked(BlockSource source) throws IOException {
        return new ExtProbe().open(source, CROSS_CHECK).freeSpace();
    }

    /** @return every used block that debugfs finds in an inode, with that inode */
    private static Map<Long, Long> claimed(Path image, ExtentSet free, int blockSize, long blocks) {
        StringBuilder request = new StringBuilder();
        int asked = 0;
        for (long block = 0; block < blocks; block++) {
            if (!free.intersects(block * blockSize, blockSize)) {
                // It reads lines of at most 8 KiB.
                request.append(asked++ % 1000 == 0 ? "\nicheck " : " ").append(block);
            }
        }
        // Its status is the number of blocks that it could not find.
        String answer = Tools.runWithInput(request.append('\n').toString(), "debugfs", "-f", "-", image.toString()).output();
        Map<Long, Long> inodes = new TreeMap<>();
        Matcher line = Pattern.compile("(?m)^(\\d+)\t(\\d+)$").matcher(answer);
        while (line.find()) {
            inodes.put(Long.parseLong(line.group(1)), Long.parseLong(line.group(2)));
        }
        return inodes;
    }

    private static void requireSameAsDebugfs(Path image) throws IOException {
        try (FileSource source = new FileSource(image)) {
            Superblock superblock = Superblock.read(source);
            FreeSpace plain = new ExtProbe().open(source).freeSpace();
            int blockSize = superblock.blockSize();
            Map<Long, Long> claimed = claimed(image, plain.free(), blockSize, superblock.blockCount());
            // The copies of the blocks that are kept for more descriptors: the file system's own, with or without that inode.
            claimed.entrySet().removeIf(one -> one.getValue() == 7 && one.getKey() >= superblock.groupStart(1));
            openAndDelete(image, "file7");
            FreeSpace space = crossChecked(source);
            assertEquals(plain.free(), space.free());
            InodeWalk.Summary summary = new InodeWalk(source, superblock, space.free()).run();
            assertTrue(claimed.size() > 60, claimed.size() + " blocks of inodes");
            assertEquals((long) claimed.size() * blockSize, summary.bytes());
            List<String> more = space.evidence().subList(plain.evidence().size(), space.evidence().size());
            assertTrue(more.get(0).equals("cross-checked: " + summary.inodes() + " inodes with " + summary.extents()
                    + " extents, " + summary.bytes() + " bytes, none of them free"), more.toString());
            assertTrue(more.get(1).matches("the cross-check took \\d+ ms") && more.size() == 2, more.toString());

            // Each of them, if it were free, would be found, and said whose it is; a sample, with the ends of all runs in it.
            long before = -2;
            int step = 0;
            for (Map.Entry<Long, Long> one : claimed.entrySet()) {
                long block = one.getKey();
                if (block != before + 1 && step % 3 == 0 || step % 97 == 0) {
                    ExtentSet free = space.free().union(ExtentSet.ofRange(block * blockSize, blockSize));
                    CorruptException e = assertThrows(CorruptException.class,
                            () -> new InodeWalk(source, superblock, free).run(), () -> "block " + block);
                    assertTrue(e.reason().contains(" of inode " + one.getValue() + ", "), one + ": " + e.reason());
                    assertEquals(true, e.reason().contains("(run e2fsck -f in the guest)"));
                }
                before = block;
                step++;
            }
            // And nothing else is claimed.
            ExtentSet.Builder others = ExtentSet.builder();
            for (long block = 0; block < superblock.blockCount(); block++) {
                if (!claimed.containsKey(block)) {
                    others.add(block * blockSize, blockSize);
                }
            }
            assertEquals(summary, new InodeWalk(source, superblock, others.build()).run());
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            20M  | -t ext2 -b 1024
            20M  | -t ext2 -b 1024 -r 0
            20M  | -t ext2 -b 2048 -I 128
            40M  | -t ext2 -b 4096 -o hurd -I 128 -O ^64bit
            90M  | -t ext2 -b 65536
            20M  | -t ext3 -b 1024 -g 1024
            40M  | -t ext3 -b 4096
            20M  | -t ext4 -b 1024 -g 1024 -G 4
            40M  | -t ext4 -b 4096
            40M  | -t ext4 -b 4096 -O ^64bit,^metadata_csum,uninit_bg -g 1024
            40M  | -t ext4 -b 4096 -O ^metadata_csum,^uninit_bg,^extents,^64bit
            40M  | -t ext4 -b 4096 -O metadata_csum_seed,quota,project,orphan_file,ea_inode,large_dir,inline_data
            40M  | -t ext4 -b 1024 -I 512 -O meta_bg,^resize_inode -g 512
            40M  | -t ext4 -b 1024 -O bigalloc -C 4096
            90M  | -t ext4 -b 4096 -O bigalloc,quota -C 65536
            90M  | -t ext4 -b 65536
            """)
    void claimsAreThoseThatDebugfsFinds(String size, String options) throws IOException {
        Path image = make(size, options);
        requireSameAsDebugfs(image);
        Files.delete(image);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            64M | -t ext4 -b 1024 -g 4096
            64M | -t ext4 -O bigalloc -C 16384
            48M | -t ext3 -b 1024
            48M | -t ext4 -b 1024 -O inline_data,ea_inode
            """)
    void claimsOfWhatTheKernelWroteToo(String size, String options) throws IOException {
        Tools.requireLoopDevices();
        Path image = directory.resolve("kernel.img");
        Tools.shell("rm -f \"$1\"; mke2fs -q -F $3 \"$1\" $2; mkdir -p \"$1.mnt\"", image, size, options);
        String written = """
                unshare -m bash -euc '
                mount -o loop "$1" "$1.mnt"; cd "$1.mnt"
                for i in $(seq 40); do mkdir -p "d$((i % 5))"; head -c $((i * 9000)) /dev/urandom > "d$((i % 5))/f$i"; done
                for i in $(seq 60); do
                    head -c 3000 /dev/urandom >> one; sync -f one; head -c 5000 /dev/urandom >> two; sync -f two
                done
                rm d?/f*[37]
                fallocate -l 3M big || true
                fallocate -p -o 512K -l 1M big || true
                fallocate -n -o 8M -l 1M big || true
                dd if=/dev/urandom of=one conv=notrunc bs=1024 seek=40000 count=3 status=none
                ln -s $(head -c 150 /dev/zero | tr "\\0" s) link; ln -s short fast
                cd /; umount "$1.mnt"' bash "$1"
                """;
        Tools.shell(written, image);
        requireSameAsDebugfs(image);
        Files.delete(image);
    }

    /** Set free with e2fsprogs, checksums and counts made right by it: all that the bitmaps have for themselves agrees. */
    @ParameterizedTest
    @CsvSource({"ext2,-b 1024", "ext3,-b 1024", "ext4,-b 1024", "ext4,-b 4096"})
    void trapABlockInUseThatABitmapCallsFree(String type, String options) throws IOException {
        Path image = make("30M", "-t " + type + " " + options);
        String blocks = Tools.ok("debugfs", "-R", "blocks /file8", image.toString()).strip();
        String lastLine = blocks.substring(blocks.lastIndexOf('\n') + 1);
        long block = Long.parseLong(lastLine.split(" ")[3]);
        long inode = Long.parseLong(Tools.shell("debugfs -R 'stat /file8' \"$1\" 2>/dev/null | sed -n 's/^Inode: "
                + "*\\([0-9]*\\).*/\\1/p'",
                image).strip());
        String stats = Tools.shell("dumpe2fs \"$1\" 2>/dev/null | sed -n '/^Group 0:/,/^Group 1:/s/^  \\([0-9]*\\) free "
                + "blocks.*/\\1/p' | head -1",
                image).strip();
        String script = "freeb " + block + "\nset_bg 0 free_blocks_count " + (Long.parseLong(stats) + 1) + "\n"
                + (type.equals("ext4") ? "set_bg 0 checksum calc\n" : "");
        Tools.okWithInput(script, "debugfs", "-w", "-f", "-", image.toString());
        try (FileSource source = new FileSource(image)) {
            FreeSpace fooled = new ExtProbe().open(source).freeSpace();
            long blockSize = fooled.free().isEmpty() ? 0 : new ExtProbe().open(source).clusterSize();
            assertTrue(fooled.free().contains(block * blockSize, blockSize), "block " + block + " is not free");
            CorruptException e = assertThrows(CorruptException.class, () -> crossChecked(source));
            assertTrue(e.reason().contains(" of inode " + inode + ", content from byte "), e.reason());
        }
        if (!type.equals("ext2")) {
            // Where Linux may have replayed fast commits, this is what it leaves: nobody has to ask.
            Tools.ok("tune2fs", "-O", "fast_commit", image.toString());
            try (FileSource source = new FileSource(image)) {
                CorruptException e = assertThrows(CorruptException.class, () -> new ExtProbe().open(source).freeSpace());
                assertTrue(e.reason().contains(" of inode " + inode + ", content from byte "), e.reason());
            }
        }
        Files.delete(image);
    }

    /** The bitmap of the inodes tells of a file that is open and deleted; the list of orphans may, too. */
    @Test
    void trapAnOrphanIsInUse() throws IOException {
        Path file = make("20M", "-t ext2 -b 1024");
        openAndDelete(file, "file7");
        ExtImage image = new ExtImage(Files.readAllBytes(file));
        String dump = Tools.ok("debugfs", "-R", "stat /file7", directory.resolve("volume.img").toString());
        Matcher inode = Pattern.compile("Inode: (\\d+)").matcher(dump);
        Matcher first = Pattern.compile("\\(0-11\\):(\\d+)").matcher(dump);
        assertTrue(inode.find() && first.find(), dump);
        int number = Integer.parseInt(inode.group(1));
        image.markFree(Long.parseLong(first.group(1)));
        assertTrue(dump.contains("Links: 0"), dump);
        assertTrue(refusal(image).contains("of inode " + number + ", content"), refusal(image));

        int group = (number - 1) / image.s32(1024 + 0x28);
        int index = (number - 1) % image.s32(1024 + 0x28);
        int bitmap = image.s32(image.descriptor(group) + 4) * 1024;
        image.bytes[bitmap + index / 8] &= (byte) ~(1 << index % 8);
        assertTrue(crossChecked(source(image)).free().totalBytes() > 0);
        image.superblock32(0xE8, number);
        assertTrue(refusal(image).contains("of inode " + number + ", content"), refusal(image));
        // A list that goes on to itself ends, too.
        image.superblock32(0xE8, 12).put32(image.s32(image.descriptor(0) + 8) * 1024 + 11 * image.u16(1024 + 0x58) + 0x14, 12);
        assertTrue(refusal(image).contains("list of orphaned inodes"), refusal(image));
        image.superblock32(0xE8, -1);
        assertTrue(refusal(image).contains("list of orphaned inodes"), refusal(image));
    }

    private static BlockSource source(ExtImage image) {
        return new io.lacuna.fixtures.ByteArraySource(image.bytes);
    }

    private static String refusal(ExtImage image) {
        return assertThrows(CorruptException.class, () -> crossChecked(source(image))).reason();
    }

    /** The used part of the inode tables, and the blocks that map files: neither the content nor what was never used. */
    @Test
    void costFollowsTheInodes() throws IOException {
        Path image = directory.resolve("large.img");
        Tools.shell("rm -f \"$1\"; mke2fs -q -F -t ext4 -d \"$2\" -E lazy_itable_init=1,lazy_journal_init=1,nodiscard \"$1\" 64G",
                image,
                content);
        try (FileSource plain = new FileSource(image); FileSource checked = new FileSource(image)) {
            new ExtProbe().open(plain).freeSpace();
            crossChecked(checked);
            long descriptors = 64 * 8 * 64;
            long more = checked.bytesRead() - plain.bytesRead() - descriptors;
            assertTrue(more < 200 * 256 + 30 * 4096, more + " bytes more");
            assertTrue(checked.reads() - plain.reads() < 40, checked.reads() - plain.reads() + " reads more");
        }
        Files.delete(image);
    }

    /** Ours: a forged file system cannot make the work the product of files and maps. */
    @Test
    void aMapThatIsMetAgainAndAgainIsNoticed() {
        List<Integer> rounds = new ArrayList<>();
        for (int distinct : new int[] {1, 1000, 40_000, 400_000}) {
            SeenBlocks blocks = new SeenBlocks(Long.MAX_VALUE);
            int round = 0;
            boolean isNew = true;
            for (; isNew && round < 20; round++) {
                for (long block = 1; isNew && block <= distinct; block++) {
                    isNew = blocks.isNew(block * 3);
                }
            }
            rounds.add(round);
        }
        assertTrue(rounds.stream().allMatch(round -> round == 2), rounds.toString());
        SeenBlocks few = new SeenBlocks(2);
        assertEquals(List.of(true, true, false), List.of(few.isNew(1), few.isNew(2), few.isNew(3)));
    }
}
