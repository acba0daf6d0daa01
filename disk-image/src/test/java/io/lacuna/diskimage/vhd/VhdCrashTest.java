package io.lacuna.diskimage.vhd;

import static io.lacuna.diskimage.vhd.Runs.kib;
import static org.junit.jupiter.api.Assertions.assertEquals;
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
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Cuts a run before every step, loses, reorders and tears what was not durable; a second run finishes. */
class VhdCrashTest {

    private static final int BLOCK = 64 << 10;
    private static final ExtentSet FREE = kib(0, 130, 200, 201, 256, 320, 330, 350, 512, 640);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private Path image;

    private void make(String kind) throws IOException {
        Tools.require("qemu-img", "fallocate");
        image = directory.resolve("image.vhd");
        byte[] content = VhdMaker.pattern(10 * BLOCK, 1);
        VhdMaker maker = VhdMaker.dynamic(content, 7, 2, 0, 1, 6, 5, 4, 9, 8);
        maker.blockSize = BLOCK;
        switch (kind) {
            case "fixed" -> {
                byte[] bytes = Arrays.copyOf(content, content.length + 512);
                System.arraycopy(VhdMaker.footer(2, "win ", content.length, new byte[16]).array(), 0, bytes, content.length, 512);
                Files.write(image, bytes);
            }
            case "dynamic" -> maker.write(image);
            case "aligned" -> {
                maker.firstGap = 3;
                maker.gapSectors = 7;
                maker.write(image);
            }
            default -> {
                maker.write(directory.resolve("base.vhd"));
                BitSet own = new BitSet();
                own.set(5, 500);
                own.set(800, 1200);
                VhdMaker child = VhdMaker.differencing("base.vhd", VhdMaker.pattern(10 * BLOCK, 2), own, 8, 3, 2, 9, 1, 0);
                child.blockSize = BLOCK;
                child.gapSectors = 150;
                child.write(image);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"dynamic,PUNCH", "dynamic,DEALLOCATE", "dynamic,COMPACT", "aligned,DEALLOCATE", "aligned,COMPACT", "fixed,PUNCH",
        "differencing,DEALLOCATE", "differencing,COMPACT"})
    void losesNoByteWhereverItIsCut(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        Path original = Files.copy(image, directory.resolve("image.before"));
        CrashFile.Log log = new CrashFile.Log();
        byte[] before;
        ExtentSet reclaimed;
        try (DiskImage disk = Runs.FORMAT.open(new CrashFile(new PlainHostFile(image, true), log),
                new NearbyLinks(directory, Runs.FORMAT, true))) {
            before = Runs.byLacuna(disk);
            var plan = disk.plan(Runs.request(FREE, mode));
            reclaimed = plan.reclaimable();
            disk.apply(plan, Progress.NONE);
        }
        long end = Files.size(image);
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            for (CrashFile.Loss loss : CrashFile.Loss.values()) {
                Files.copy(original, image, StandardCopyOption.REPLACE_EXISTING);
                log.play(cut, loss, cut, image);
                if (seen.add(Arrays.hashCode(Files.readAllBytes(image)))) {
                    assertRecovers(before, reclaimed, mode, end, kind + ", cut at " + cut + ", lost " + loss);
                }
            }
        }
        assertTrue(seen.size() > 3, "something to cut");
    }

    private void assertRecovers(byte[] before, ExtentSet reclaimed, ReclaimMode mode, long end, String where) throws IOException {
        byte[] cut = Files.readAllBytes(image);
        Runs.assertStructureWithAnyEnd(cut);
        if (mode != ReclaimMode.PUNCH && ByteBuffer.wrap(cut).getInt(60) == 3) {
            assertZerosBehindTheLastBlock(cut, where);
        }
        MemoryHostFile file = new MemoryHostFile(image, cut);
        try (DiskImage disk = Runs.FORMAT.open(file, new NearbyLinks(directory, Runs.FORMAT, true))) {
            Runs.assertLive(before, Runs.byLacuna(disk), FREE, ExtentSet.EMPTY);
            disk.apply(disk.plan(Runs.repair(FREE, mode)), Progress.NONE);
            Runs.assertLive(before, Runs.byLacuna(disk), FREE, reclaimed);
            var third = disk.plan(Runs.repair(FREE, mode));
            assertTrue(third.isEmpty(), () -> where + ": a third run finds nothing, but " + third.remarks() + third.retained());
        }
        if (mode != ReclaimMode.DEALLOCATE) {
            assertEquals(end, file.size(), where);
        }
        Runs.assertStructure(file.bytes());
    }

    /** A block that was never stored is zeros, and stays so but for what is written, however the run ended before. */
    @ParameterizedTest
    @CsvSource({"dynamic,DEALLOCATE", "dynamic,COMPACT"})
    void whatQemuWritesAfterACutShowsNothingStale(String kind, ReclaimMode mode) throws IOException {
        Tools.require("qemu-io");
        make(kind);
        Path original = Files.copy(image, directory.resolve("image.before"));
        CrashFile.Log log = new CrashFile.Log();
        try (DiskImage disk = Runs.FORMAT.open(new CrashFile(new PlainHostFile(image, true), log),
                new NearbyLinks(directory, Runs.FORMAT, true))) {
            disk.apply(disk.plan(Runs.request(FREE, mode)), Progress.NONE);
        }
        int neverStored = 3 * BLOCK;
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            Files.copy(original, image, StandardCopyOption.REPLACE_EXISTING);
            log.play(cut, CrashFile.Loss.NOTHING, cut, image);
            if (!seen.add(Arrays.hashCode(Files.readAllBytes(image)))) {
                continue;
            }
            byte[] expected = Runs.byQemu(image);
            for (int i = neverStored; i < neverStored + BLOCK; i++) {
                assertEquals(0, expected[i]);
            }
            Arrays.fill(expected, neverStored + 5120, neverStored + 5632, (byte) 9);
            Tools.ok("qemu-io", "-f", "vpc", "-c", "write -P 9 " + (neverStored + 5120) + " 512", image.toString());
            assertEquals(-1, Arrays.mismatch(expected, Runs.byQemu(image)), "first wrong byte, cut at " + cut);
        }
        assertTrue(seen.size() > 3, "something to cut");
    }

    /** There QEMU puts the next block, and takes what it does not write for zeros. */
    private void assertZerosBehindTheLastBlock(byte[] image, String where) {
        ByteBuffer file = ByteBuffer.wrap(image);
        int end = 0;
        for (int i = 0; i < 10; i++) {
            end = Math.max(end, (file.getInt(VhdMaker.TABLE + 4 * i) + 1) * 512 + BLOCK);
        }
        byte[] footer = Arrays.copyOf(file.array(), 512);
        for (int at = end; at < file.capacity() - 512; at += 512) {
            byte[] sector = Arrays.copyOfRange(file.array(), at, at + 512);
            assertTrue(Arrays.equals(sector, new byte[512]) || at == end && Arrays.equals(sector, footer), where + ": stale at "
                    + at);
        }
    }

    /** Each call of a run fails once, halfway or for good. */
    @ParameterizedTest
    @CsvSource({"dynamic,PUNCH", "dynamic,DEALLOCATE", "dynamic,COMPACT", "aligned,COMPACT", "fixed,PUNCH",
        "differencing,DEALLOCATE",
        "differencing,COMPACT"})
    void aCallThatFailsLosesNothing(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        NearbyLinks links = new NearbyLinks(directory, Runs.FORMAT, true);
        int runs = FaultRuns.everyCallFails(files -> Runs.FORMAT.open(files.file(image), links), Runs.request(FREE, mode),
                where -> Runs.assertStructureWithAnyEnd(Files.readAllBytes(image)), image);
        System.out.println("VHD " + kind + " " + mode + ": " + runs + " runs with a failing call");
    }
}
