package io.lacuna.diskimage.vhd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.Holdings;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.NearbyLinks;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.BitSet;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.lifecycle.AfterContainer;
import net.jqwik.api.lifecycle.BeforeContainer;

/** Random disks, dynamic and differencing, with random free space, in every mode. */
class VhdProperties {

    private static Path directory;

    @BeforeContainer
    static void make() throws IOException {
        directory = Files.createTempDirectory("vhd");
    }

    @AfterContainer
    static void clean() throws IOException {
        try (var files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    private static int[] someBlocks(int count, Random random) {
        int[] blocks = IntStream.range(0, count).filter(block -> random.nextInt(4) != 0).toArray();
        for (int i = blocks.length - 1; i > 0; i--) {
            int other = random.nextInt(i + 1);
            int block = blocks[i];
            blocks[i] = blocks[other];
            blocks[other] = block;
        }
        return blocks;
    }

    private static ExtentSet someRanges(int size, Random random) {
        ExtentSet.Builder ranges = ExtentSet.builder();
        int unit = random.nextBoolean() ? 512 : 4096;
        for (int at = random.nextInt(9) * unit; at < size;) {
            int length = Math.min(size - at, (1 + random.nextInt(random.nextBoolean() ? 5 : 30)) * unit);
            ranges.add(at, length);
            at += length + (1 + random.nextInt(12)) * unit;
        }
        return ranges.build();
    }

    @Property(tries = 150)
    void liveBytesStayWhateverTheDiskLooksLike(@ForAll long seed, @ForAll ReclaimMode mode,
            @ForAll @IntRange(min = 12, max = 16) int blockBits, @ForAll boolean differencing,
            @ForAll @IntRange(max = 40) int gap) throws IOException {
        Random random = new Random(seed);
        int block = 1 << blockBits;
        int size = block * (1 + random.nextInt(11)) + random.nextInt(block / 512) * 512;
        int count = (size + block - 1) / block;
        byte[] base = VhdMaker.pattern(size, 1);
        VhdMaker maker = VhdMaker.dynamic(base, someBlocks(count, random));
        maker.blockSize = block;
        if (differencing) {
            maker.write(directory.resolve("base.vhd"));
            BitSet own = new BitSet();
            for (Extent range : someRanges(size, random)) {
                own.set((int) (range.offset() / 512), (int) (range.end() / 512));
            }
            maker = VhdMaker.differencing("base.vhd", VhdMaker.pattern(size, 2), own, someBlocks(count, random));
            maker.blockSize = block;
        }
        maker.gapSectors = gap;
        maker.firstGap = random.nextInt(20);
        ExtentSet free = someRanges(size, random);
        MemoryHostFile file = new MemoryHostFile(directory.resolve("image.vhd"), maker.bytes());
        long length = file.size();
        byte[] after;
        try (DiskImage disk = Runs.FORMAT.open(file, new NearbyLinks(directory, Runs.FORMAT, true))) {
            byte[] before = Runs.byLacuna(disk);
            if (differencing) {
                try (DiskImage parent = Runs.open(directory.resolve("base.vhd"), false)) {
                    Holdings.checkOwn(disk, before, Runs.byLacuna(parent));
                }
            }
            Deallocation plan = disk.plan(Runs.request(free, mode));
            disk.apply(plan, Progress.NONE);
            after = Runs.byLacuna(disk);
            Runs.assertAccounts(plan, free);
            Runs.assertLive(before, after, free, plan.reclaimable());
            Deallocation second = disk.plan(Runs.request(free, mode));
            assertTrue(second.isEmpty(), () -> "a second run finds " + second.remarks() + second.reclaimable());
            assertTrue(file.size() <= length && (mode != ReclaimMode.PUNCH || file.size() == length), "never longer");
        }
        Runs.assertStructure(file.bytes());
        MemoryHostFile again = new MemoryHostFile(directory.resolve("image.vhd"), file.bytes().clone());
        try (DiskImage disk = Runs.FORMAT.open(again, new NearbyLinks(directory, Runs.FORMAT, true))) {
            assertArrayEquals(after, Runs.byLacuna(disk));
            assertEquals(size, disk.virtualSize());
        }
    }
}
