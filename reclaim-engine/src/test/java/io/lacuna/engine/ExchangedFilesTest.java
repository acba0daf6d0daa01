package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Somebody exchanges files under their names while a run has them open, or plants links where it is going to write. */
class ExchangedFilesTest {

    @TempDir
    static Path shared;

    @TempDir
    Path directory;

    private Path image;
    private Path neighbour;

    @BeforeAll
    static void makeVolume() throws IOException {
        Tools.require("qemu-img");
        Path volume = GuestVolume.ext(shared, "disk.raw", 16 << 20, "-t ext4").file();
        Tools.ok("qemu-img", "convert", "-O", "qcow2", "-o", "cluster_size=4k", volume.toString(),
                shared.resolve("disk.qcow2").toString());
    }

    @BeforeEach
    void canonical() throws IOException {
        directory = directory.toRealPath();
    }

    private void copy(String format) {
        image = directory.resolve("vm." + format);
        neighbour = directory.resolve("neighbour." + format);
        for (Path copy : new Path[] {image, neighbour}) {
            Tools.shell("cp --sparse=always \"$1\" \"$2\"; sync \"$2\"", shared.resolve("disk." + format), copy);
        }
    }

    private static String state(Path file) {
        return Tools.shell("stat -c '%i %b %s %y' \"$1\"; sha256sum < \"$1\"", file);
    }

    private static ReclaimOptions options(ReclaimMode mode) {
        return ReclaimOptions.builder().mode(mode).build();
    }

    @ParameterizedTest
    @CsvSource({"raw, PUNCH", "qcow2, DEALLOCATE", "qcow2, COMPACT"})
    void anotherFileInTheImagesPlaceIsNeverTouched(String format, ReclaimMode mode) throws IOException {
        copy(format);
        Path old = directory.resolve("old");
        String theirs;
        try (ReclaimSession session = Reclaimer.open(image, options(mode))) {
            ReclaimPlan plan = session.plan();
            assertFalse(plan.isEmpty());
            Files.move(image, old);
            Files.move(neighbour, image);
            theirs = state(image);
            String ours = state(old);
            // A new name is a change of the inode, so that this counts as a change of the image.
            assertThrows(UnsafeException.class, () -> session.apply(plan, Progress.NONE));
            assertEquals(ours, state(old));
        }
        assertEquals(theirs, state(image));
        assertTrue(Files.notExists(directory.resolve("vm." + format + ".lacuna-run")));
        assertEquals(ImageReport.Verdict.RECLAIMED, ReclaimRun.run(image, options(mode)).verdict());
    }

    @ParameterizedTest
    @CsvSource({"raw, PUNCH", "qcow2, DEALLOCATE", "qcow2, COMPACT"})
    void aLinkThatIsTurnedElsewhereLeadsTheRunNowhere(String format, ReclaimMode mode) throws IOException {
        copy(format);
        Path link = Files.createSymbolicLink(directory.resolve("link"), image);
        String theirs = state(neighbour);
        long before = Files.size(image);
        try (ReclaimSession session = Reclaimer.open(link, options(mode))) {
            ReclaimPlan plan = session.plan();
            turn(link);
            assertEquals(ImageReport.Verdict.RECLAIMED, session.apply(plan, Progress.NONE).verdict());
        }
        assertEquals(theirs, state(neighbour));
        assertTrue(Files.size(image) <= before);
        if (format.equals("qcow2")) {
            Tools.ok("qemu-img", "check", image.toString());
        }
        assertEquals(ImageReport.Verdict.NOTHING_TO_RECLAIM, ReclaimRun.run(image, options(mode)).verdict());
        try (var list = Files.list(directory)) {
            assertEquals(3, list.count(), "no marker and no journal of either is left");
        }
    }

    private void turn(Path link) throws IOException {
        Path other = Files.createSymbolicLink(directory.resolve("turned"), neighbour);
        Files.move(other, link, StandardCopyOption.ATOMIC_MOVE);
    }

    @ParameterizedTest
    @EnumSource(value = ReclaimMode.class, names = {"DEALLOCATE", "COMPACT"})
    void aLinkPlantedInTheMarkersPlaceIsNotFollowed(ReclaimMode mode) throws IOException {
        copy("qcow2");
        String theirs = state(neighbour);
        Path marker = directory.resolve("vm.qcow2.lacuna-run");
        try (ReclaimSession session = Reclaimer.open(image, options(mode))) {
            ReclaimPlan plan = session.plan();
            String ours = state(image);
            Files.createSymbolicLink(marker, neighbour);
            assertThrows(UnsafeException.class, () -> session.apply(plan, Progress.NONE));
            assertEquals(ours, state(image), "nothing was changed");
        }
        assertEquals(theirs, state(neighbour));
        assertTrue(Files.isSymbolicLink(marker));
    }

    @Test
    void aLinkPlantedInTheJournalsPlaceIsNotFollowed() throws IOException {
        copy("qcow2");
        String theirs = state(neighbour);
        try (ReclaimSession session = Reclaimer.open(image, options(ReclaimMode.COMPACT))) {
            ReclaimPlan plan = session.plan();
            Files.createSymbolicLink(directory.resolve("vm.qcow2.lacuna-journal"), neighbour);
            assertEquals(ImageReport.Verdict.RECLAIMED, session.apply(plan, Progress.NONE).verdict());
        }
        assertEquals(theirs, state(neighbour));
        Tools.ok("qemu-img", "check", image.toString());
    }

    /** A link to nowhere must not have a file made where it leads. */
    @Test
    void aLinkToNowhereIsNotFollowedEither() throws IOException {
        copy("qcow2");
        Path nowhere = directory.resolve("nowhere");
        Files.createSymbolicLink(directory.resolve("vm.qcow2.lacuna-run"), nowhere);
        ImageReport report = ReclaimRun.run(image, options(ReclaimMode.DEALLOCATE));
        assertEquals(ImageReport.Verdict.REFUSED, report.verdict());
        Path undo = Files.createSymbolicLink(directory.resolve("undo"), nowhere);
        Files.delete(directory.resolve("vm.qcow2.lacuna-run"));
        ImageReport kept = ReclaimRun.run(image, ReclaimOptions.builder().undo(undo).build());
        assertTrue(kept.verdict() != ImageReport.Verdict.RECLAIMED, kept.toString());
        assertTrue(Files.notExists(nowhere));
    }
}
