package io.lacuna.diskimage.vdi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.block.StrictHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What would lose data, or leave an image that VirtualBox stumbles over. */
class VdiTrapsTest {

    private static final long FREE = VdiBuilder.FREE;
    private static final long ZERO = VdiBuilder.ZERO;
    private static final int MIB = 1 << 20;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private StrictHostFile file(VdiBuilder builder, boolean punchable) {
        return new StrictHostFile(directory.resolve("image.vdi"), builder.bytes(), 4096, punchable);
    }

    private static Deallocation run(StrictHostFile file, ReclaimMode mode, ExtentSet free) throws IOException {
        try (DiskImage disk = VdiImages.open(file)) {
            byte[] before = VdiImages.guest(disk);
            Deallocation plan = disk.plan(VdiImages.request(mode, free));
            VdiImages.assertAccounts(plan, free);
            disk.apply(plan, Progress.NONE);
            VdiImages.assertLive(before, VdiImages.guest(disk), free, plan.reclaimable(), mode.toString());
            assertTrue(disk.plan(VdiImages.request(mode, free)).isEmpty());
            return plan;
        }
    }

    private static int entry(StrictHostFile file, int block) {
        ByteBuffer bytes = ByteBuffer.wrap(file.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        return bytes.getInt(bytes.getInt(340) + 4 * block);
    }

    @Test
    void aFreedBlockOfAChildReadsAsZerosAndNotAsTheParent() throws IOException {
        VdiBuilder base = VdiBuilder.of(4096, 4 * 4096, 0, 1, 2, 3);
        base.write(directory.resolve("base.vdi"));
        VdiBuilder builder = VdiBuilder.of(4096, 4 * 4096, 0, 1, FREE, 2).childOf(base);
        builder.write(directory.resolve("image.vdi"));
        StrictHostFile child = file(builder, true);
        Deallocation plan = run(child, ReclaimMode.DEALLOCATE, ExtentSet.ofRange(4096, 4096));
        assertEquals(ExtentSet.ofRange(4096, 4096), plan.reclaimable());
        assertEquals((int) ZERO, entry(child, 1));
        assertEquals((int) FREE, entry(child, 2), "what was never written goes on showing the parent");
    }

    @Test
    void aFreedBlockOfABaseIsNone() throws IOException {
        StrictHostFile file = file(VdiBuilder.of(4096, 4 * 4096, 0, 1, ZERO, 2), true);
        run(file, ReclaimMode.DEALLOCATE, ExtentSet.ofRange(4096, 4096));
        assertEquals((int) FREE, entry(file, 1));
        assertEquals((int) ZERO, entry(file, 2));
        assertEquals(1, entry(file, 3), "the last block has filled the gap");
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void twoBlocksInOneSlotAreRefusedWhereOneIsFree(ReclaimMode mode) throws IOException {
        StrictHostFile file = file(VdiBuilder.of(4096, 4 * 4096, 0, 1, 1, 2), true);
        byte[] before = file.bytes().clone();
        try (DiskImage disk = VdiImages.open(file)) {
            assertThrows(CorruptException.class,
                    () -> disk.plan(VdiImages.request(mode, ExtentSet.ofRange(4096, 4096))));
        }
        assertArrayEquals(before, file.bytes());
    }

    @Test
    void twoLiveBlocksInOneSlotAreRefusedWhereBlocksMove() throws IOException {
        StrictHostFile file = file(VdiBuilder.of(4096, 4 * 4096, 0, 2, 2, 1), true);
        try (DiskImage disk = VdiImages.open(file)) {
            assertThrows(CorruptException.class,
                    () -> disk.plan(VdiImages.request(ReclaimMode.DEALLOCATE, ExtentSet.ofRange(0, 4096))));
            disk.plan(VdiImages.request(ReclaimMode.PUNCH, ExtentSet.ofRange(0, 4096)));
        }
    }

    @Test
    void blocksBehindTheDisksEndAreMovedAndNeverFreed() throws IOException {
        VdiBuilder builder = VdiBuilder.of(4096, 2 * 4096 + 512, 0, 1, 2, 3, 4);
        StrictHostFile file = file(builder, true);
        run(file, ReclaimMode.DEALLOCATE, ExtentSet.ofRange(0, 2 * 4096 + 512));
        VdiImages.assertWithoutHoles(file.bytes());
        byte[] before = builder.bytes();
        for (int block = 3; block < 5; block++) {
            int at = 1024 + entry(file, block) * 4096;
            assertArrayEquals(Arrays.copyOfRange(before, 1024 + block * 4096, 1024 + (block + 1) * 4096),
                    Arrays.copyOfRange(file.bytes(), at, at + 4096));
        }
        assertEquals(1024 + 2 * 4096, file.size());
    }

    @Test
    void aCounterThatIsTooLowIsPutRightBeforeAWriterOverwritesABlock() throws IOException {
        VdiBuilder builder = VdiBuilder.of(4096, 4 * 4096, 0, 1, 2, 3);
        builder.allocated = 1;
        builder.slots = 6;
        StrictHostFile file = file(builder, true);
        run(file, ReclaimMode.DEALLOCATE, ExtentSet.ofRange(4096, 4096));
        VdiImages.assertWithoutHoles(file.bytes());
    }

    @Test
    void leavesNoHoleWhereOthersLeftSome() throws IOException {
        VdiBuilder builder = VdiBuilder.of(4096, 6 * 4096, 9, FREE, 4, ZERO, 5, 17);
        builder.allocated = 20;
        builder.slots = 20;
        StrictHostFile file = file(builder, true);
        Deallocation plan = run(file, ReclaimMode.DEALLOCATE, ExtentSet.EMPTY);
        VdiImages.assertWithoutHoles(file.bytes());
        assertTrue(plan.unreferencedBytes() > 14 * 4096, "what nothing referred to is told");
    }

    @Test
    void movesOnlyWhatLiesBehindTheNewEndAndOfThatOnlyLiveBytes() throws IOException {
        // Slots 0 to 9 in order; blocks 1 and 2 go, so that 8 and 9 move, of which a quarter is live.
        VdiBuilder builder = VdiBuilder.of(MIB, 10 * MIB, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9).likeVirtualBox();
        StrictHostFile file = file(builder, true);
        file.resetCounters();
        ExtentSet free = VdiImages.kib(1024, 3072, 8448, 9216, 9472, 10240);
        run(file, ReclaimMode.COMPACT, free);
        assertEquals(2 * MIB + 8L * MIB, file.size());
        long tables = 2 * 4 + 2 * 4 + 4;
        assertTrue(file.written() <= 2 * 256 * 1024 + tables, "written " + file.written());
    }

    @Test
    void nothingIsWrittenWhereNothingMoves() throws IOException {
        StrictHostFile file = file(VdiBuilder.of(MIB, 4 * MIB, 0, 1, 2, 3).likeVirtualBox(), true);
        file.resetCounters();
        run(file, ReclaimMode.COMPACT, VdiImages.kib(3072, 4096));
        assertEquals(4 + 4, file.written(), "a map entry and the counter");
        assertEquals(5L * MIB, file.size());
    }

    @Test
    void needsNoMoreThanABlockAndAMebibyteOfSpaceForATime() throws IOException {
        VdiBuilder builder = VdiBuilder.of(MIB, 24 * MIB).likeVirtualBox();
        builder.map = new long[24];
        for (int i = 0; i < 24; i++) {
            builder.map[i] = i;
        }
        StrictHostFile file = file(builder, true);
        // Punched before, so that the gaps have no storage and every block that moves needs some.
        ExtentSet free = VdiImages.kib(0, 12 * 1024);
        run(file, ReclaimMode.PUNCH, free);
        long before = file.hostBytes();
        file.resetCounters();
        run(file, ReclaimMode.COMPACT, free);
        assertEquals(14L * MIB, file.size());
        assertTrue(file.peak() - before <= 2 * MIB, "took " + (file.peak() - before));
        assertTrue(file.hostBytes() <= before);
    }

    @Test
    void worksWhereTheHostCannotPunchAndTellsWhatStays() throws IOException {
        VdiBuilder builder = VdiBuilder.of(MIB, 6 * MIB, 0, 1, 2, 3, 4, 5).likeVirtualBox();
        ExtentSet free = VdiImages.kib(0, 2048, 3500, 4096);
        for (ReclaimMode mode : new ReclaimMode[] {ReclaimMode.DEALLOCATE, ReclaimMode.COMPACT}) {
            StrictHostFile file = file(builder, false);
            file.resetCounters();
            Deallocation plan = run(file, mode, free);
            assertEquals(2 * (2 * 4) + 4 + 2 * MIB, file.written(), "two map writes, the counter, two whole blocks");
            assertEquals(6L * MIB, file.size(), mode.toString());
            assertEquals(2L * MIB, plan.plannedBytes());
            assertEquals(VdiImages.kib(0, 2048), plan.reclaimable());
            assertEquals("the host cannot punch holes", plan.retained().get(0).why());
            assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("cannot punch holes")),
                    plan.remarks().toString());
            VdiImages.assertWithoutHoles(file.bytes());
        }
        StrictHostFile file = file(builder, false);
        try (DiskImage disk = VdiImages.open(file)) {
            assertThrows(UnsupportedException.class, () -> disk.plan(VdiImages.request(ReclaimMode.PUNCH, free)));
        }
    }

    @Test
    void keepsShortRangesAndCoarseHoles() throws IOException {
        VdiBuilder builder = VdiBuilder.of(MIB, 6 * MIB, 0, 1, 2, 3, 4, 5).likeVirtualBox();
        StrictHostFile file = file(builder, true);
        ExtentSet free = VdiImages.kib(0, 64, 200, 600, 2048, 3072);
        try (DiskImage disk = VdiImages.open(file)) {
            byte[] before = VdiImages.guest(disk);
            Deallocation plan = disk.plan(new DeallocationRequest(free, ReclaimMode.PUNCH, 128 << 10, 65 << 10, false));
            assertEquals(VdiImages.kib(256, 512, 2048, 3072), plan.reclaimable());
            VdiImages.assertAccounts(plan, free);
            disk.apply(plan, Progress.NONE);
            VdiImages.assertLive(before, VdiImages.guest(disk), free, plan.reclaimable(), "punched");
            assertFalse(plan.changesTables());
        }
    }
}
