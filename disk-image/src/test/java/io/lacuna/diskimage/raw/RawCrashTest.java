package io.lacuna.diskimage.raw;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.CrashFile;
import io.lacuna.fixtures.FaultRuns;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Cuts a run before every punch and sync, loses and reorders what was not durable, and has each call fail. */
class RawCrashTest {

    private static final int BLOCK = 4096;
    private static final RawFormat FORMAT = new RawFormat();
    private static final ExtentSet FREE = ExtentSet.ofRange(0, 3 * BLOCK).union(ExtentSet.ofRange(5 * BLOCK + 100, 9 * BLOCK))
            .union(ExtentSet.ofRange(20 * BLOCK, 700)).union(ExtentSet.ofRange(30 * BLOCK, 7 * BLOCK))
            .union(ExtentSet.ofRange(60 * BLOCK, 4 * BLOCK + 512));

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path image;
    private byte[] content;

    private void make() throws IOException {
        image = directory.resolve("disk.raw");
        content = new byte[64 * BLOCK + 512];
        new Random(3).nextBytes(content);
        for (int i = 0; i < content.length; i++) {
            content[i] |= 1;
        }
        Files.write(image, content);
    }

    private DiskImage open(CrashFile.Log log) throws IOException {
        return FORMAT.open(new CrashFile(new MemoryHostFile(image, Files.readAllBytes(image)), log), links());
    }

    private ImageLinks links() {
        return new NearbyLinks(directory, FORMAT, true);
    }

    private static DeallocationRequest request() {
        return new DeallocationRequest(FREE, ReclaimMode.PUNCH, 0, 0, false);
    }

    @Test
    void losesNoByteWhereverItIsCut() throws IOException {
        make();
        CrashFile.Log log = new CrashFile.Log();
        ExtentSet reclaimed;
        try (DiskImage disk = open(log)) {
            var plan = disk.plan(request());
            reclaimed = plan.reclaimable();
            disk.apply(plan, Progress.NONE);
        }
        assertEquals(0, log.writes(), "nothing is written but holes");
        assertTrue(log.steps() >= 4 && log.syncs() >= 1, "something to cut");
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            for (CrashFile.Loss loss : CrashFile.Loss.values()) {
                Files.write(directory.resolve("copy"), content);
                log.play(cut, loss, cut, directory.resolve("copy"));
                Files.move(directory.resolve("copy"), image, StandardCopyOption.REPLACE_EXISTING);
                if (seen.add(Arrays.hashCode(Files.readAllBytes(image)))) {
                    assertRecovers(reclaimed, "cut at " + cut + ", lost " + loss);
                }
            }
        }
        assertTrue(seen.size() > 3, "something to cut");
    }

    private void assertRecovers(ExtentSet reclaimed, String where) throws IOException {
        try (DiskImage disk = open(new CrashFile.Log())) {
            assertLive(disk, ExtentSet.EMPTY, where);
            disk.apply(disk.plan(request()), Progress.NONE);
            assertLive(disk, reclaimed, where);
            assertTrue(disk.plan(request()).isEmpty(), () -> where + ": a third run finds nothing");
        }
    }

    private void assertLive(DiskImage disk, ExtentSet zeros, String where) throws IOException {
        ByteBuffer now = ByteBuffer.allocate(content.length);
        disk.guest().read(0, now);
        for (Extent live : ExtentSet.ofRange(0, content.length).minus(FREE)) {
            assertEquals(-1, Arrays.mismatch(content, (int) live.offset(), (int) live.end(), now.array(), (int) live.offset(),
                    (int) live.end()), where);
        }
        for (Extent zero : zeros) {
            assertEquals(-1, Arrays.mismatch(new byte[(int) zero.length()], 0, (int) zero.length(), now.array(),
                    (int) zero.offset(),
                    (int) zero.end()), where);
        }
    }

    @Test
    void aCallThatFailsLosesNothing() throws IOException {
        make();
        int runs = FaultRuns.everyCallFails(files -> FORMAT.open(files.file(image), links()), request(), where -> { }, image);
        assertTrue(runs >= 10, runs + " runs");
    }
}
