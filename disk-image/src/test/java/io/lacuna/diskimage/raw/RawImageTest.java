package io.lacuna.diskimage.raw;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.Deallocation.Retained;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.diskimage.OpenedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Real files on the file system of the temporary directory, which must punch 4 KiB blocks, as ext4, XFS and btrfs do. */
class RawImageTest {

    private static final int BLOCK = 4096;

    @TempDir
    Path folder;

    private Path path;
    private byte[] content;

    @BeforeEach
    void createDisk() throws IOException {
        createDisk(64 * BLOCK);
    }

    private void createDisk(int size) throws IOException {
        path = folder.resolve("disk.raw");
        content = new byte[size];
        new Random(size).nextBytes(content);
        Files.write(path, content);
    }

    private OpenedImage open(Access access) throws IOException {
        return DiskImages.open(path, new Options(access, "raw", List.of()));
    }

    private static DeallocationRequest request(ExtentSet free, long granularity, long minExtent) {
        return new DeallocationRequest(free, ReclaimMode.DEALLOCATE, granularity, minExtent, false);
    }

    private static DeallocationRequest request(ExtentSet free) {
        return request(free, 0, 0);
    }

    /** Plans with a dry run, then runs, and compares both with what the host and the file say afterwards. */
    private Deallocation reclaim(DeallocationRequest request) throws IOException {
        Deallocation dry;
        try (OpenedImage image = open(Access.PLAN)) {
            dry = image.image().plan(request);
        }
        long before;
        long after;
        Deallocation plan;
        try (OpenedImage image = open(Access.WRITE)) {
            plan = image.image().plan(request);
            assertEquals(dry.reclaimable(), plan.reclaimable());
            assertEquals(dry.retained(), plan.retained());
            assertEquals(dry.plannedBytes(), plan.plannedBytes());
            requirePartition(request.free(), plan);
            before = image.image().hostBytes();
            long[] heard = new long[2];
            image.image().apply(plan, (done, total) -> {
                assertTrue(done >= heard[0] && done <= total);
                heard[0] = done;
                heard[1] = total;
            });
            assertEquals(plan.plannedBytes(), heard[0]);
            assertEquals(plan.plannedBytes(), heard[1]);
            after = image.image().hostBytes();
            Deallocation again = image.image().plan(request);
            assertTrue(again.isEmpty(), "a second run has nothing to do");
            assertEquals(0, again.plannedBytes());
        }
        // A file in many pieces costs the host a block for the list of them.
        assertTrue(Math.abs(plan.plannedBytes() - (before - after)) <= BLOCK, plan.plannedBytes() + " " + (before - after));
        byte[] now = Files.readAllBytes(path);
        assertEquals(content.length, now.length);
        for (int i = 0; i < now.length; i++) {
            byte expected = plan.reclaimable().contains(i, 1) ? 0 : content[i];
            assertEquals(expected, now[i], "byte " + i);
        }
        return plan;
    }

    private static void requirePartition(ExtentSet free, Deallocation plan) {
        ExtentSet all = plan.reclaimable();
        for (Retained retained : plan.retained()) {
            assertFalse(retained.bytes().isEmpty());
            assertTrue(all.intersect(retained.bytes()).isEmpty(), retained.why());
            all = all.union(retained.bytes());
        }
        assertEquals(free, all);
    }

    private static ExtentSet retained(Deallocation plan, String why) {
        return plan.retained().stream().filter(part -> part.why().contains(why)).map(Retained::bytes).findFirst()
                .orElse(ExtentSet.EMPTY);
    }

    @Test
    void givesBackWholeBlocksAndKeepsTheRest() throws IOException {
        ExtentSet free = ExtentSet.builder().add(10, 3 * BLOCK).add(20 * BLOCK, 4 * BLOCK).add(30 * BLOCK + 1, 100).build();
        Deallocation plan = reclaim(request(free));
        assertEquals(ExtentSet.builder().add(BLOCK, 2 * BLOCK).add(20 * BLOCK, 4 * BLOCK).build(), plan.reclaimable());
        assertEquals(6 * BLOCK, plan.plannedBytes());
        assertEquals(free.minus(plan.reclaimable()), retained(plan, "whole block"));
        assertFalse(plan.changesTables());
        assertEquals(0, plan.unreferencedBytes());
    }

    @Test
    void givesBackTheWholeDisk() throws IOException {
        assertEquals(64 * BLOCK, reclaim(request(ExtentSet.ofRange(0, 64 * BLOCK))).plannedBytes());
    }

    @Test
    void givesBackTheLastBlockOfAFileOfOddSize() throws IOException {
        createDisk(10 * BLOCK + 77);
        Deallocation plan = reclaim(request(ExtentSet.ofRange(8 * BLOCK, 2 * BLOCK + 77)));
        assertEquals(3 * BLOCK, plan.plannedBytes());
        assertEquals(2 * BLOCK + 77, plan.reclaimable().totalBytes());
    }

    @Test
    void keepsTheLastBlockIfAByteOfItIsNotFree() throws IOException {
        createDisk(10 * BLOCK + 77);
        for (ExtentSet free : List.of(ExtentSet.ofRange(10 * BLOCK, 76), ExtentSet.ofRange(10 * BLOCK + 1, 76))) {
            Deallocation plan = reclaim(request(free));
            assertTrue(plan.isEmpty());
            assertEquals(free, retained(plan, "whole block"));
        }
    }

    @Test
    void aHoleOfTheHostIsNotReclaimable() throws IOException {
        try (var file = new java.io.RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(20 * BLOCK);
            file.setLength(64 * BLOCK);
        }
        Arrays.fill(content, 20 * BLOCK, content.length, (byte) 0);
        Deallocation plan = reclaim(request(ExtentSet.ofRange(18 * BLOCK, 10 * BLOCK)));
        assertEquals(ExtentSet.ofRange(18 * BLOCK, 2 * BLOCK), plan.reclaimable());
        assertEquals(ExtentSet.ofRange(20 * BLOCK, 8 * BLOCK), retained(plan, "hole"));
    }

    @Test
    void punchesAcrossFreeHolesInOneCallAndNeverAcrossLiveBytes() throws IOException {
        reclaim(request(ExtentSet.ofRange(4 * BLOCK, 4 * BLOCK)));
        Arrays.fill(content, 4 * BLOCK, 8 * BLOCK, (byte) 0);
        ExtentSet free = ExtentSet.builder().add(0, 12 * BLOCK).add(13 * BLOCK, BLOCK).build();
        try (OpenedImage image = open(Access.PLAN)) {
            RawPlan plan = (RawPlan) image.image().plan(request(free));
            assertEquals(free, plan.holes());
            assertEquals(9 * BLOCK, plan.plannedBytes());
        }
        reclaim(request(free));
    }

    @Test
    void holesAtTheEndsOfAFreeRangeAreNotPunched() throws IOException {
        reclaim(request(ExtentSet.builder().add(0, 4 * BLOCK).add(10 * BLOCK, 4 * BLOCK).build()));
        try (OpenedImage image = open(Access.PLAN)) {
            RawPlan plan = (RawPlan) image.image().plan(request(ExtentSet.ofRange(0, 14 * BLOCK)));
            assertEquals(ExtentSet.ofRange(4 * BLOCK, 6 * BLOCK), plan.holes());
        }
    }

    @Test
    void respectsTheAskedGranularity() throws IOException {
        ExtentSet free = ExtentSet.ofRange(3 * BLOCK, 30 * BLOCK);
        Deallocation plan = reclaim(request(free, 8 * BLOCK, 0));
        assertEquals(ExtentSet.ofRange(8 * BLOCK, 24 * BLOCK), plan.reclaimable());
        assertEquals(6 * BLOCK, retained(plan, "granularity asked for").totalBytes());
    }

    @Test
    void roundsAnOddGranularityUp() throws IOException {
        Deallocation plan = reclaim(request(ExtentSet.ofRange(0, 30 * BLOCK), BLOCK + 1, 0));
        assertEquals(ExtentSet.ofRange(0, 30 * BLOCK), plan.reclaimable());
        assertTrue(plan.remarks().toString().contains("8192"), plan.remarks().toString());
    }

    @Test
    void aGranularityBelowTheHostsIsTheHosts() throws IOException {
        assertEquals(BLOCK, reclaim(request(ExtentSet.ofRange(1, 2 * BLOCK), 512, 0)).plannedBytes());
    }

    @Test
    void leavesShortRangesAlone() throws IOException {
        ExtentSet free = ExtentSet.builder().add(0, 3 * BLOCK).add(10 * BLOCK, 4 * BLOCK).build();
        Deallocation plan = reclaim(request(free, 0, 4 * BLOCK));
        assertEquals(ExtentSet.ofRange(10 * BLOCK, 4 * BLOCK), plan.reclaimable());
        assertEquals(ExtentSet.ofRange(0, 3 * BLOCK), retained(plan, "shorter"));
    }

    @Test
    void anEmptyPlanTouchesNothing() throws IOException {
        Object changed = Files.getAttribute(path, "unix:ctime");
        try (OpenedImage image = open(Access.WRITE)) {
            Deallocation plan = image.image().plan(request(ExtentSet.ofRange(1, 100)));
            assertTrue(plan.isEmpty());
            image.image().apply(plan, Progress.NONE);
        }
        assertEquals(changed, Files.getAttribute(path, "unix:ctime"));
        assertArrayEquals(content, Files.readAllBytes(path));
    }

    @Test
    void planningTouchesNothing() throws IOException {
        Object changed = Files.getAttribute(path, "unix:ctime");
        Object folderChanged = Files.getAttribute(folder, "unix:ctime");
        try (OpenedImage image = open(Access.PLAN)) {
            assertFalse(image.image().plan(request(ExtentSet.ofRange(0, 10 * BLOCK))).isEmpty());
        }
        assertEquals(changed, Files.getAttribute(path, "unix:ctime"));
        assertEquals(folderChanged, Files.getAttribute(folder, "unix:ctime"));
        assertArrayEquals(content, Files.readAllBytes(path));
    }

    @Test
    void preallocatedBlocksAreGivenBackToo() throws IOException {
        Files.delete(path);
        io.lacuna.fixtures.Tools.shell("fallocate -l $2 \"$1\"", path, 64 * BLOCK);
        Arrays.fill(content, (byte) 0);
        assertEquals(64 * BLOCK, reclaim(request(ExtentSet.ofRange(0, 64 * BLOCK))).plannedBytes());
    }

    @Test
    void takesOnlyItsOwnPlans() throws IOException {
        try (OpenedImage first = open(Access.PLAN); OpenedImage second = open(Access.PLAN)) {
            Deallocation plan = first.image().plan(request(ExtentSet.ofRange(0, BLOCK)));
            assertThrows(IllegalArgumentException.class, () -> second.image().apply(plan, Progress.NONE));
            assertThrows(IllegalArgumentException.class,
                    () -> first.image().plan(request(ExtentSet.ofRange(64 * BLOCK, 1))));
            assertThrows(IOException.class, () -> first.image().apply(plan, Progress.NONE));
        }
        assertArrayEquals(content, Files.readAllBytes(path));
    }

    @Test
    void anyFreeSpaceOnAnyMapComesOutExactly() throws IOException {
        Random random = new Random(20);
        for (int round = 0; round < 60; round++) {
            createDisk(40 * BLOCK + random.nextInt(2) * random.nextInt(BLOCK));
            ExtentSet holes = randomSet(random);
            try (OpenedImage image = open(Access.WRITE)) {
                image.image().apply(image.image().plan(request(holes)), Progress.NONE);
            }
            content = Files.readAllBytes(path);
            reclaim(request(randomSet(random), (long) BLOCK << random.nextInt(3), random.nextInt(2) * 3L * BLOCK));
        }
    }

    private ExtentSet randomSet(Random random) {
        ExtentSet.Builder set = ExtentSet.builder();
        for (int i = random.nextInt(12); i > 0; i--) {
            int start = random.nextInt(content.length);
            boolean aligned = random.nextBoolean();
            int length = Math.min(random.nextInt(10 * BLOCK), content.length - start);
            set.add(aligned ? start - start % BLOCK : start, random.nextInt(6) == 0 ? content.length - start : length);
        }
        return set.build();
    }
}
