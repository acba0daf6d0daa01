package io.lacuna.diskimage.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** One image of ten blocks with a gap after each second one, all full of bytes; the order of what is done to it. */
class BlockWriterTest {

    private static final int BLOCK = 8192;
    private static final int START = 4096;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private StrictHostFile file;
    private ModelImage image;
    private Path journal;

    @BeforeEach
    void makeImage() throws IOException {
        long[] places = new long[10];
        for (int i = 0; i < places.length; i++) {
            places[i] = START + (i + i / 2) * (long) BLOCK;
        }
        byte[] bytes = new byte[START + 14 * BLOCK + ModelImage.FOOTER.length()];
        Arrays.fill(bytes, (byte) 7);
        Path path = Files.write(directory.resolve("image"), new byte[0]);
        file = new StrictHostFile(path, bytes, 4096, true);
        image = new ModelImage(List.of(file), 10 * BLOCK, BLOCK, 0, 512, START, ExtentSet.EMPTY, false, places);
        journal = directory.resolve("image.lacuna-journal");
    }

    private Deallocation run(ReclaimMode mode, boolean repair, ExtentSet free) throws IOException {
        Deallocation plan = image.plan(new DeallocationRequest(free, mode, 0, 0, repair));
        image.calls.clear();
        image.apply(plan, Progress.NONE);
        return plan;
    }

    private static ExtentSet blocks(int from, int to) {
        return ExtentSet.ofRange((long) from * BLOCK, (long) (to - from) * BLOCK);
    }

    @Test
    void deallocatesInOrderAndLeavesWhatNothingRefersTo() throws IOException {
        Deallocation plan = run(ReclaimMode.DEALLOCATE, false, blocks(2, 4));
        assertEquals(List.of("begin", "unmap", "end"), image.calls);
        assertEquals(2 * BLOCK, plan.plannedBytes());
        assertEquals(0, plan.unreferencedBytes());
        assertEquals(START + 14 * BLOCK + ModelImage.FOOTER.length(), file.size());
    }

    @Test
    void takesBackWhatACutRunLeft() throws IOException {
        Deallocation plan = run(ReclaimMode.DEALLOCATE, true, ExtentSet.EMPTY);
        assertEquals(4 * BLOCK, plan.unreferencedBytes());
        assertEquals(4 * BLOCK, plan.plannedBytes());
        assertFalse(plan.changesTables());
        assertTrue(image.plan(new DeallocationRequest(ExtentSet.EMPTY, ReclaimMode.DEALLOCATE, 0, 0, true)).isEmpty());
    }

    @Test
    void compactsInOrder() throws IOException {
        Deallocation plan = run(ReclaimMode.COMPACT, false, blocks(0, 2));
        assertEquals(List.of("begin", "unmap", "claim", "remap", "release", "shorten", "end"), image.calls);
        assertEquals(START + 8 * BLOCK + ModelImage.FOOTER.length(), file.size());
        assertEquals(6 * BLOCK, plan.plannedBytes());
        assertEquals(4 * BLOCK, plan.unreferencedBytes());
        assertEquals(4, image.movedBlocks, "those behind the new end");
        assertFalse(Files.exists(journal));
    }

    @Test
    void fillsUnpunchedGapsWithoutAskingForSpace() throws IOException {
        file.resetCounters();
        long before = file.hostBytes();
        run(ReclaimMode.COMPACT, false, blocks(0, 2));
        assertEquals(before, file.peak());
        assertEquals(4 * BLOCK + ModelImage.FOOTER.length(), file.written());
    }

    @Test
    void theJournalStandsWhileBlocksMove() throws IOException {
        List<Boolean> seen = new ArrayList<>();
        Deallocation plan = image.plan(new DeallocationRequest(blocks(0, 2), ReclaimMode.COMPACT, 0, 0, false));
        image.apply(plan, (done, total) -> seen.add(Files.exists(journal)));
        assertFalse(seen.isEmpty());
        assertFalse(seen.contains(false));
        assertFalse(Files.exists(journal));
    }

    private void cutCompaction() throws IOException {
        Deallocation plan = image.plan(new DeallocationRequest(blocks(0, 2), ReclaimMode.COMPACT, 0, 0, false));
        assertThrows(IllegalStateException.class, () -> image.apply(plan, (done, total) -> {
            throw new IllegalStateException("cut");
        }));
        assertTrue(Files.exists(journal));
    }

    @Test
    void aCutCompactionIsToldAndFinished() throws IOException {
        byte[] before = image.content();
        cutCompaction();
        CompactionJournal found = CompactionJournal.of(file, "model", image.size);
        assertTrue(found.notice().contains("0 of 4"), found.notice());
        run(ReclaimMode.PUNCH, false, ExtentSet.EMPTY);
        assertTrue(Files.exists(journal), "punching is not what finishes it");
        // The next run may find nothing free any more.
        Deallocation plan = run(ReclaimMode.COMPACT, false, ExtentSet.EMPTY);
        assertTrue(plan.changesTables());
        assertEquals(START + 8 * BLOCK + ModelImage.FOOTER.length(), file.size());
        assertFalse(Files.exists(journal));
        Arrays.fill(before, 0, 2 * BLOCK, (byte) 0);
        assertArrayEquals(before, image.content());
    }

    @Test
    void aCutCompactionCanEndInDeallocation() throws IOException {
        cutCompaction();
        Deallocation plan = run(ReclaimMode.DEALLOCATE, false, ExtentSet.EMPTY);
        assertEquals(6 * BLOCK, plan.unreferencedBytes());
        assertFalse(Files.exists(journal));
    }

    @Test
    void aJournalWithNothingLeftToDoIsTakenDown() throws IOException {
        run(ReclaimMode.COMPACT, false, blocks(0, 2));
        CompactionJournal stale = CompactionJournal.of(file, "model", image.size);
        stale.create(ReclaimMode.COMPACT, 4);
        stale.release();
        Deallocation plan = image.plan(new DeallocationRequest(blocks(0, 2), ReclaimMode.COMPACT, 0, 0, false));
        assertFalse(plan.isEmpty());
        image.calls.clear();
        file.resetCounters();
        image.apply(plan, Progress.NONE);
        assertEquals(List.of(), image.calls);
        assertEquals(0, file.written());
        assertFalse(Files.exists(journal));
    }

    @Test
    void whatCannotBeUnmappedIsPunchedAndStillMoves() throws IOException {
        image.obstacle = "this format has no zeros";
        Deallocation plan = run(ReclaimMode.COMPACT, false, blocks(0, 2));
        assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("has no zeros")));
        assertEquals(START + 10 * BLOCK + ModelImage.FOOTER.length(), file.size());
        assertEquals(2 * BLOCK + 4 * BLOCK, plan.plannedBytes());
    }

    @Test
    void refusesAPlanOfAnotherImage() throws IOException {
        Deallocation plan = image.plan(new DeallocationRequest(blocks(0, 2), ReclaimMode.PUNCH, 0, 0, false));
        ModelImage other = new ModelImage(image.files, image.size, BLOCK, 0, 512, START, ExtentSet.EMPTY, false, image.places);
        assertThrows(IllegalArgumentException.class, () -> other.apply(plan, Progress.NONE));
    }

    @Test
    void freeSpaceBehindTheDiskIsNoneOfOurs() throws IOException {
        ExtentSet free = ExtentSet.ofRange(9 * BLOCK, 3 * BLOCK);
        Deallocation plan = image.plan(new DeallocationRequest(free, ReclaimMode.PUNCH, 0, 0, false));
        assertEquals(FreeParts.OUTSIDE, plan.retained().get(0).why());
        assertEquals(2 * BLOCK, plan.retained().get(0).bytes().totalBytes());
    }

    @Test
    void largeHolesAskedForKeepLoneBlocks() throws IOException {
        DeallocationRequest request = new DeallocationRequest(blocks(0, 1).union(blocks(2, 4)), ReclaimMode.DEALLOCATE, 2 * BLOCK,
                0,
                false);
        Deallocation plan = image.plan(request);
        // Blocks 2 and 3 lie at 28672 to 45056, of which a hole of 16384 at its own multiple is no more than a part.
        assertEquals(ExtentSet.EMPTY, plan.reclaimable());
        assertTrue(plan.isEmpty());
    }
}
