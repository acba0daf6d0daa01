package io.lacuna.diskimage.vhdx;

import static io.lacuna.diskimage.vhdx.VhdxMaker.BAT;
import static io.lacuna.diskimage.vhdx.VhdxMaker.FULL;
import static io.lacuna.diskimage.vhdx.VhdxMaker.MIB;
import static io.lacuna.diskimage.vhdx.VhdxMaker.PARTIAL;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.CrashFile;
import io.lacuna.fixtures.FaultRuns;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Cuts a run before every step, loses, reorders and tears what was not durable, and lets QEMU and a second run judge. */
class VhdxCrashTest {

    private static final int BLOCKS = 6;
    private static final UUID GUID = new UUID(3, 4);
    /** Blocks 1 and 2 as a whole, parts of 3 and 5. */
    private static final ExtentSet FREE = ExtentSet.ofRange(MIB, 2L * MIB + 20000)
            .union(ExtentSet.ofRange(5L * MIB + 8192, 100_000));

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path image;
    private int judged;

    private void make(String kind) throws IOException {
        image = directory.resolve("image.vhdx");
        boolean child = kind.equals("child");
        if (child) {
            try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), BLOCKS * MIB, MIB)) {
                for (int block = 0; block < BLOCKS; block++) {
                    base.store(block, FULL, 0x70 + block);
                }
            }
        }
        try (VhdxMaker maker = child ? VhdxMaker.child(image, BLOCKS * MIB, MIB, 512, "base.vhdx")
                : VhdxMaker.dynamic(image, BLOCKS * MIB, MIB)) {
            long bitmap = child ? maker.bitmap(0) : 0;
            for (int block : new int[] {1, 0, 2, 4, 3, 5}) {
                boolean partial = child && block % 2 == 0;
                maker.store(block, partial ? PARTIAL : FULL, 0x10 + block);
                if (partial) {
                    maker.present(bitmap, block * 2048 + 16, 1500);
                }
            }
            if (kind.equals("log")) {
                // The table on disk knows nothing of block 4 and has block 3 at a wrong place; the log puts that right.
                byte[] right = maker.get(BAT, 4096);
                maker.entry(3, ByteBuffer.wrap(right).order(ByteOrder.LITTLE_ENDIAN).getLong(32)).entry(4, 0);
                maker.putLog(8192, maker.logEntry(GUID, 5, 8192, VhdxMaker.Change.data(BAT, right),
                        VhdxMaker.Change.zeros(BAT + 65536, 65536)));
                maker.put(BAT + 65536, new byte[] {1, 2, 3});
                maker.log(GUID);
            }
        }
    }

    private DiskImage open(CrashFile.Log log) throws IOException {
        PlainHostFile file = new PlainHostFile(image, true);
        return Reading.FORMAT.open(log == null ? file : new CrashFile(file, log),
                new NearbyLinks(directory, Reading.FORMAT, true));
    }

    @ParameterizedTest
    @CsvSource({"dynamic, PUNCH", "dynamic, DEALLOCATE", "dynamic, COMPACT", "log, PUNCH", "log, DEALLOCATE", "log, COMPACT",
        "child, DEALLOCATE", "child, COMPACT"})
    void losesNoByteWhereverItIsCut(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        Path before = Files.copy(image, directory.resolve("before"));
        CrashFile.Log log = new CrashFile.Log();
        byte[] content;
        ExtentSet reclaimed;
        try (DiskImage disk = open(log)) {
            content = Runs.guest(disk);
            var plan = disk.plan(Runs.request(mode, FREE));
            reclaimed = plan.reclaimable();
            disk.apply(plan, Progress.NONE);
            Runs.assertLive(content, Runs.guest(disk), FREE, reclaimed);
        }
        long end = Files.size(image);
        assertTrue(log.steps() > 3 && log.syncs() >= 1, "something to cut");
        // How often chance decides what of a cut arrives; a replay is few steps, so that they are tried thoroughly.
        int seeds = kind.equals("log") && mode == ReclaimMode.DEALLOCATE ? 4 : 1;
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            for (CrashFile.Loss loss : CrashFile.Loss.values()) {
                boolean random = loss.compareTo(CrashFile.Loss.REORDERED) >= 0;
                for (int seed = cut * seeds; seed < cut * seeds + (random ? seeds : 1); seed++) {
                    Files.copy(before, image, StandardCopyOption.REPLACE_EXISTING);
                    log.play(cut, loss, seed, image);
                    byte[] left = Files.readAllBytes(image);
                    if (seen.add(Arrays.hashCode(left))) {
                        assertRecovers(kind, mode, left, content, reclaimed, end,
                                kind + ", cut at " + cut + ", lost " + loss + ", seed " + seed);
                    }
                }
            }
        }
    }

    private void assertRecovers(String kind, ReclaimMode mode, byte[] left, byte[] content, ExtentSet reclaimed, long end,
            String where) throws IOException {
        if (!kind.equals("child") && judged++ % 16 == 0) { // some: it takes its time
            assertQemuReads(content, where);
        }
        MemoryHostFile file = new MemoryHostFile(image, left);
        try (DiskImage disk = Reading.FORMAT.open(file, new NearbyLinks(directory, Reading.FORMAT, true))) {
            Runs.assertLive(content, Runs.guest(disk), FREE, ExtentSet.EMPTY);
            disk.apply(disk.plan(Runs.repair(mode, FREE)), Progress.NONE);
            Runs.assertLive(content, Runs.guest(disk), FREE, reclaimed);
            assertTrue(disk.plan(Runs.repair(mode, FREE)).isEmpty(), () -> where + ": a third run finds nothing");
        }
        VhdxCheck check = VhdxCheck.of(image, file.bytes());
        assertEquals(List.of(), check.wrong(), where);
        if (mode != ReclaimMode.PUNCH) {
            assertEquals(2, check.count(2), where);
            assertFalse(check.hasLog(), where);
        }
        if (mode == ReclaimMode.COMPACT) {
            assertEquals(end, file.size(), where);
        }
    }

    private void assertQemuReads(byte[] content, String where) throws IOException {
        Tools.require("qemu-img");
        Path copy = Files.copy(image, directory.resolve("copy.vhdx"), StandardCopyOption.REPLACE_EXISTING);
        Tools.Result check = Tools.run("qemu-img", "check", "-r", "all", "-f", "vhdx", copy.toString());
        assertEquals(0, check.status(), () -> where + ": " + check.output());
        Runs.assertLive(content, Files.readAllBytes(Reading.byQemu(copy, directory)), FREE, ExtentSet.EMPTY);
    }

    /** Each call of a run fails once, halfway or for good. */
    @ParameterizedTest
    @CsvSource({"dynamic, PUNCH", "log, DEALLOCATE", "child, COMPACT"})
    void aCallThatFailsLosesNothing(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        NearbyLinks links = new NearbyLinks(directory, Reading.FORMAT, true);
        int runs = FaultRuns.everyCallFails(files -> Reading.FORMAT.open(files.file(image), links), Runs.request(mode, FREE),
                where -> {
                    if (!kind.equals("child") && judged++ % 8 == 0) {
                        Tools.require("qemu-img");
                        Tools.Result check = Tools.run("qemu-img", "check", "-r", "all", "-f", "vhdx", image.toString());
                        assertEquals(0, check.status(), () -> where + ": " + check.output());
                    }
                }, image);
        System.out.println("VHDX " + kind + " " + mode + ": " + runs + " runs with a failing call");
    }
}
