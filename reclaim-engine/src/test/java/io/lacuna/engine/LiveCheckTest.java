package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.engine.ReclaimOptions.Purpose;
import io.lacuna.engine.ReclaimOptions.Verify;
import io.lacuna.engine.proof.LiveDigest;
import io.lacuna.engine.proof.LiveProof;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code --verify live} on every format. */
class LiveCheckTest {

    @TempDir
    static Path shared;

    private static Path volume;
    private static String ofAllBytes;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeVolume() throws IOException {
        volume = GuestVolume.ext(shared, "volume", 24 << 20, "-t ext4").file();
        // Holes of the disk itself, inside its blocks and as large as several of them.
        Tools.shell("fallocate -d \"$1\"; truncate -s 40M \"$1\"", volume);
        ofAllBytes = digest(volume, "raw");
    }

    private static String digest(Path image, String format) throws IOException {
        try (OpenedImage opened = DiskImages.open(image, new DiskImages.Options(DiskImages.Access.INSPECT, format, List.of()))) {
            return LiveDigest.of(opened.image(), ExtentSet.EMPTY, Progress.NONE);
        }
    }

    private Path convert(String format, String options) {
        Tools.require("qemu-img");
        Path image = directory.resolve("vm." + format);
        Tools.shell("qemu-img convert -f raw -O $3 $4 \"$1\" \"$2\"", volume, image, format, options);
        return image;
    }

    /** So no format says of a byte that it need not be read, and it is no zero. */
    @ParameterizedTest
    @ValueSource(strings = {"qcow2", "qcow2 -o cluster_size=512", "qcow2 -c", "vhdx", "vhdx -o subformat=fixed", "vpc",
        "vpc -o subformat=fixed,force_size=on", "vmdk", "vmdk -o subformat=streamOptimized", "vmdk -o subformat=monolithicFlat",
        "vmdk -o subformat=twoGbMaxExtentSparse", "vdi", "vdi -o static=on"})
    void sameDiskHasTheSameDigestInEveryFormat(String how) throws IOException {
        String[] words = how.split(" ", 2);
        Path image = convert(words[0], (words.length > 1 ? words[1] + " " : "") + "");
        if (words[0].equals("vpc") && !how.contains("force_size")) {
            Tools.shell("qemu-img convert -f raw -O vpc -o force_size=on \"$1\" \"$2\"", volume, image);
        }
        assertEquals(ofAllBytes, digest(image, words[0].equals("vpc") ? "vhd" : words[0]));
    }

    @Test
    void overlayHasTheDigestOfWhatItShows() throws IOException {
        Path base = convert("vhdx", "");
        Path overlay = directory.resolve("overlay.qcow2");
        Tools.shell("qemu-img create -q -f qcow2 -b \"$1\" -F vhdx \"$2\"; qemu-io -f qcow2 -c 'write -P 7 5M 100k' "
                + "-c 'write -z 9M 1M' \"$2\" > /dev/null; qemu-img convert -O raw \"$2\" \"$2.raw\"", base, overlay);
        assertEquals(digest(directory.resolve("overlay.qcow2.raw"), "raw"), digest(overlay, "qcow2"));
    }

    private ImageReport reclaim(Path image, ReclaimMode mode, Purpose purpose) {
        return Reclaimer.run(image, ReclaimOptions.builder().purpose(purpose).mode(mode).verify(Verify.LIVE).build(),
                Progress.NONE);
    }

    @ParameterizedTest
    @ValueSource(strings = {"raw", "qcow2", "qcow2 -c", "vhdx", "vpc", "vmdk", "vdi"})
    void runProvesItself(String how) throws IOException {
        String[] words = how.split(" ", 2);
        Path image = convert(words[0], words.length > 1 ? words[1] : "");
        for (ReclaimMode mode : new ReclaimMode[] {ReclaimMode.PUNCH, ReclaimMode.DEALLOCATE, ReclaimMode.COMPACT}) {
            LiveProof planned = reclaim(image, mode, Purpose.DRY_RUN).proof();
            ImageReport report = reclaim(image, mode, Purpose.RECLAIM);
            if (report.verdict() == ImageReport.Verdict.REFUSED) {
                continue;
            }
            assertNull(report.reason(), mode.toString());
            assertEquals(report.proof().before(), report.proof().after(), mode.toString());
            assertNotNull(report.proof().after());
            assertEquals(planned.before(), report.proof().before());
            assertEquals(planned.discarded(), report.proof().discarded());
            assertEquals(0, new RunReport(false, List.of(report)).exitStatus());
        }
    }

    @Test
    void snapshotsKeepWhatTheyShareAndTheRunProvesTheRest() throws IOException {
        Path image = convert("qcow2", "");
        Tools.shell("qemu-img snapshot -c s \"$1\"; qemu-io -f qcow2 -c 'write -P 3 8M 4M' \"$1\" > /dev/null", image);
        ImageReport report = reclaim(image, ReclaimMode.DEALLOCATE, Purpose.RECLAIM);
        assertNull(report.reason());
        long reclaimable = report.volumes().get(0).reclaimableBytes();
        assertTrue(report.proof().discarded().totalBytes() > reclaimable, "what a snapshot keeps is not the disk's any more");
    }

    @Test
    void liveByteThatChangesIsStatus4() throws IOException {
        Path image = directory.resolve("vm.faulty");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", volume, image);
        ImageReport report = reclaim(image, ReclaimMode.DEALLOCATE, Purpose.RECLAIM);
        assertEquals(ImageReport.Verdict.FAILED, report.verdict());
        assertTrue(report.differs() && report.reason().contains("DIFFERENCE"), report.reason());
        ImageReport failed = ImageReport.ended(image, ImageReport.Verdict.FAILED, "x", 0);
        assertEquals(4, new RunReport(false, List.of(failed, report)).exitStatus());
        assertEquals(1, new RunReport(false, List.of(failed)).exitStatus());
        assertNull(Reclaimer.run(image, ReclaimOptions.builder().build(), Progress.NONE).proof(), "nobody asked");
    }

    @Test
    void anImageThatCannotBeReadAfterwardsIsADifference() throws IOException {
        Path image = directory.resolve("vm.gone.faulty");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", volume, image);
        ImageReport report = reclaim(image, ReclaimMode.DEALLOCATE, Purpose.RECLAIM);
        assertEquals(ImageReport.Verdict.FAILED, report.verdict());
        assertTrue(report.differs() && report.reason().contains("cannot be read any more"), report.reason());
    }

    /** Zeros that are in use read the same after they were given back: they are live, and stay compared. */
    @Test
    void zerosInUseAreCompared() throws IOException {
        Path image = directory.resolve("zeros.raw");
        Tools.shell("head -c 8M /dev/zero > \"$1\"; printf text | dd of=\"$1\" bs=1 seek=5000000 conv=notrunc status=none; "
                + "sync \"$1\"", image);
        ImageReport report = Reclaimer.run(image, ReclaimOptions.builder().zeroes(true).verify(Verify.LIVE).build(), Progress.NONE);
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict(), report.reason());
        assertEquals(ExtentSet.EMPTY, report.proof().discarded());
        assertEquals(digest(image, "raw"), report.proof().after());
    }
}
