package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Reclaims one image of a disk and holds the outcome against what other tools say of it. */
final class ReclaimRun {

    /** Extent blocks that the host's own file system may need for the holes. */
    private static final long HOST_METADATA = 1 << 20;

    private final GuestDisk disk;
    private final Path image;
    private final Path directory;

    ReclaimRun(GuestDisk disk, Path image, Path directory) {
        this.disk = disk;
        this.image = image;
        this.directory = directory;
    }

    static ReclaimOptions.Builder options(ReclaimOptions.Purpose purpose) {
        return ReclaimOptions.builder().purpose(purpose);
    }

    static ImageReport run(Path image, ReclaimOptions options) {
        return Reclaimer.run(image, options, Progress.NONE);
    }

    /**
     * Dry run, run, second run; each with these options.
     *
     * @param zeroUnit bytes; whole units of free space must be zeros afterwards; 0 if none need be
     * @return the report of the run
     */
    ImageReport reclaimAndProve(ReclaimOptions.Builder options, long zeroUnit) throws IOException {
        ExtentSet free = disk.free();
        Tools.shell("sync \"$1\"", image);
        long blocksBefore = blocks();
        ImageReport planned = run(image, options.purpose(ReclaimOptions.Purpose.DRY_RUN).build());
        assertNull(planned.reason());
        assertEquals(free.totalBytes(), planned.freeBytes(), "free bytes as the file systems' own tools count them");
        assertEquals(blocksBefore, blocks(), "a dry run changes nothing");

        ImageReport done = run(image, options.purpose(ReclaimOptions.Purpose.RECLAIM).build());
        assertNull(done.reason());
        assertEquals(ImageReport.Verdict.RECLAIMED, done.verdict());
        assertEquals(planned.plannedBytes(), done.plannedBytes(), "a run plans what the dry run did");
        assertEquals(withoutTimes(planned), withoutTimes(done));
        Tools.shell("sync \"$1\"", image);
        long fall = (blocksBefore - blocks()) * 512;
        assertTrue(fall <= done.plannedBytes() && fall > done.plannedBytes() - HOST_METADATA,
                "host bytes fell by " + fall + ", planned " + done.plannedBytes());

        proveContent(free, zeroUnit == 0 ? ExtentSet.EMPTY : free.inwardTo(zeroUnit));
        proveSecondRunIdle(options);
        return done;
    }

    /** How long a cross-check took is the only thing that two reports may differ in. */
    private static String withoutTimes(ImageReport report) {
        return report.volumes().toString().replaceAll("the cross-check took \\d+ ms", "");
    }

    /** Every live byte, every file, and the checkers of the file systems and of the format. */
    void proveContent(ExtentSet free, ExtentSet mustBeZero) throws IOException {
        Path raw = image;
        if (isQcow2()) {
            Tools.ok("qemu-img", "check", "-f", "qcow2", image.toString());
            raw = directory.resolve(image.getFileName() + ".after");
            Tools.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image.toString(), raw.toString());
        }
        assertEquals(List.of(), disk.differences(raw, free, mustBeZero));
        List<GuestVolume> after = disk.volumesOf(raw, directory);
        for (int i = 0; i < after.size(); i++) {
            after.get(i).check();
            assertEquals(disk.volumes().get(i).manifest(), after.get(i).manifest());
            Files.delete(after.get(i).file());
        }
        if (!raw.equals(image)) {
            Files.delete(raw);
        }
    }

    private void proveSecondRunIdle(ReclaimOptions.Builder options) throws IOException {
        String times = Tools.ok("stat", "-c", "%y %z %s %b", image.toString());
        ImageReport second = run(image, options.build());
        assertNull(second.reason());
        assertEquals(ImageReport.Verdict.NOTHING_TO_RECLAIM, second.verdict());
        assertEquals(0, second.plannedBytes());
        assertEquals(times, Tools.ok("stat", "-c", "%y %z %s %b", image.toString()), "a second run writes nothing");
        assertTrue(Files.notExists(image.resolveSibling(image.getFileName() + ".lacuna-run")), "no marker is left");
    }

    private boolean isQcow2() throws IOException {
        try (var in = Files.newInputStream(image)) {
            return new String(in.readNBytes(3), java.nio.charset.StandardCharsets.ISO_8859_1).equals("QFI");
        }
    }

    private long blocks() {
        return Long.parseLong(Tools.ok("stat", "-c", "%b", image.toString()).strip());
    }
}
