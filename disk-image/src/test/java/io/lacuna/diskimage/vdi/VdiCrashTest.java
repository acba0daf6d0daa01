package io.lacuna.diskimage.vdi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.StrictHostFile;
import io.lacuna.fixtures.CrashFile;
import io.lacuna.fixtures.FaultRuns;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Cuts a run before every step, loses, reorders and tears what was not durable, and lets the guest and a second run judge. */
class VdiCrashTest {

    private static final int HOST_BLOCK = 512;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private static VdiBuilder builder(String kind, Random random) {
        if (kind.equals("many batches")) {
            return VdiBuilder.of(512 << 10, 8 * 512 << 10, 0, 1, 2, 3, 4, 5, 6, 7);
        }
        int blocks = 24;
        VdiBuilder builder = VdiBuilder.of(8192, blocks * 8192 - 1536);
        builder.dataOffset = 1536;
        Integer[] order = new Integer[blocks + 4];
        for (int i = 0; i < order.length; i++) {
            order[i] = i;
        }
        java.util.Collections.shuffle(Arrays.asList(order), random);
        builder.map = new long[blocks + 1];
        int next = 0;
        for (int i = 0; i < builder.map.length; i++) {
            builder.map[i] = i % 7 == 3 ? i % 2 == 0 ? VdiBuilder.FREE : VdiBuilder.ZERO
                    : kind.equals("holes") ? order[i] : next++;
        }
        if (kind.equals("holes")) {
            builder.slots = blocks + 5;
            builder.allocated = blocks + 5;
        }
        return builder;
    }

    private DiskImage open(Path image, CrashFile.Log log) throws IOException {
        StrictHostFile file = new StrictHostFile(image, Files.readAllBytes(image), HOST_BLOCK, true);
        return VdiImages.open(log == null ? file : new CrashFile(file, log));
    }

    @ParameterizedTest
    @CsvSource({"dynamic, DEALLOCATE", "holes, COMPACT", "differencing, DEALLOCATE", "dynamic, PUNCH", "many batches, COMPACT"})
    void losesNoByteWhereverItIsCut(String kind, ReclaimMode mode) throws IOException {
        Path image = directory.resolve("image.vdi");
        VdiBuilder builder = builder(kind, new Random(7));
        if (kind.equals("differencing")) {
            VdiBuilder base = builder("dynamic", new Random(8));
            base.write(directory.resolve("base.vdi"));
            builder.childOf(base);
        }
        builder.write(image);
        ExtentSet free = kind.equals("many batches") ? VdiImages.kib(0, 2048, 2600, 3000)
                : VdiImages.kib(4, 20, 30, 31, 40, 80, 101, 139, 150, 152);
        byte[] original = Files.readAllBytes(image);
        if (kind.equals("many batches")) {
            // Punched before, each move needs storage.
            StrictHostFile file = new StrictHostFile(image, original, HOST_BLOCK, true);
            try (DiskImage disk = VdiImages.open(file)) {
                disk.apply(disk.plan(VdiImages.request(ReclaimMode.PUNCH, free)), Progress.NONE);
            }
            Files.write(image, file.bytes());
        }
        Path beforeFile = Files.copy(image, directory.resolve("before"));
        CrashFile.Log log = new CrashFile.Log();
        byte[] before;
        ExtentSet reclaimed;
        try (DiskImage disk = open(image, log)) {
            before = VdiImages.guest(disk);
            var plan = disk.plan(VdiImages.request(mode, free));
            reclaimed = plan.reclaimable();
            disk.apply(plan, Progress.NONE);
        }
        assertTrue(mode == ReclaimMode.PUNCH || log.writes() >= 3 && log.syncs() >= 4, "something to cut");
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            for (CrashFile.Loss loss : CrashFile.Loss.values()) {
                for (int seed = 0; seed < (loss.compareTo(CrashFile.Loss.REORDERED) < 0 ? 1 : 4); seed++) {
                    Files.copy(beforeFile, image, StandardCopyOption.REPLACE_EXISTING);
                    log.play(cut, loss, 31L * cut + seed, image);
                    if (seen.add(Arrays.hashCode(Files.readAllBytes(image)))) {
                        assertRecovers(image, mode, free, before, reclaimed, kind + ", cut at " + cut + ", lost " + loss);
                    }
                }
            }
        }
        System.out.println("VDI " + kind + " " + mode + ": " + log.steps() + " steps, " + seen.size() + " states");
    }

    private void assertRecovers(Path image, ReclaimMode mode, ExtentSet free, byte[] before, ExtentSet reclaimed, String where)
            throws IOException {
        StrictHostFile file = new StrictHostFile(image, Files.readAllBytes(image), HOST_BLOCK, true);
        if (mode != ReclaimMode.PUNCH) {
            assertCounterIsSafe(file.bytes(), where);
        }
        try (DiskImage disk = VdiImages.open(file)) {
            VdiImages.assertLive(before, VdiImages.guest(disk), free, ExtentSet.EMPTY, where);
            DeallocationRequest again = VdiImages.request(mode, free);
            disk.apply(disk.plan(again), Progress.NONE);
            VdiImages.assertLive(before, VdiImages.guest(disk), free, reclaimed, where);
            assertTrue(disk.plan(again).isEmpty(), () -> where + ": a third run finds nothing");
        }
        if (mode != ReclaimMode.PUNCH) {
            VdiImages.assertWithoutHoles(file.bytes());
        }
        assertFalse(Files.exists(directory.resolve("image.vdi.lacuna-journal")));
    }

    /** The counter is the slot that a writer takes next: no block may lie there or behind. */
    private static void assertCounterIsSafe(byte[] image, String where) {
        ByteBuffer header = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < header.getInt(384); i++) {
            int entry = header.getInt(header.getInt(340) + 4 * i);
            int block = i;
            assertTrue(entry < 0 || entry < header.getInt(388), () -> where + ": block " + block + " lies where the next goes");
        }
        assertEquals(0x10001, header.getInt(68));
    }

    /** Each call of a run fails once, halfway or for good. */
    @ParameterizedTest
    @CsvSource({"dynamic, PUNCH", "dynamic, DEALLOCATE", "holes, COMPACT", "differencing, DEALLOCATE"})
    void aCallThatFailsLosesNothing(String kind, ReclaimMode mode) throws IOException {
        Path image = directory.resolve("image.vdi");
        VdiBuilder builder = builder(kind, new Random(7));
        if (kind.equals("differencing")) {
            VdiBuilder base = builder("dynamic", new Random(8));
            base.write(directory.resolve("base.vdi"));
            builder.childOf(base);
        }
        builder.write(image);
        ExtentSet free = VdiImages.kib(4, 20, 30, 31, 40, 80, 101, 139, 150, 152);
        int runs = FaultRuns.everyCallFails(files -> VdiImages.open(files.file(image)), VdiImages.request(mode, free), where -> {
            if (mode != ReclaimMode.PUNCH) {
                assertCounterIsSafe(Files.readAllBytes(image), where);
            }
        }, image);
        System.out.println("VDI " + kind + " " + mode + ": " + runs + " runs with a failing call");
    }
}
