package io.lacuna.cli;

import static io.lacuna.cli.CommandRun.lacuna;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The real command on real files, with system calls that strace lets fail. */
class FailingSystemCallsTest {

    @TempDir
    static Path shared;

    private static GuestDisk disk;
    private static ExtentSet free;

    @TempDir
    Path directory;

    private Path image;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "sfdisk");
        Tools.requireFaultInjection(shared);
        disk = GuestDisk.assemble(shared.resolve("disk.raw"), "gpt", 512,
                GuestVolume.ext(shared, "volume", 16 << 20, "-t ext4 -b 1024"));
        free = disk.free();
        Tools.ok("qemu-img", "convert", "-O", "qcow2", "-o", "cluster_size=4k", disk.file().toString(),
                shared.resolve("disk.qcow2").toString());
    }

    @BeforeEach
    void nameImage() throws IOException {
        directory = directory.toRealPath();
    }

    private void copy(String format) {
        image = directory.resolve("vm." + format);
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; sync \"$2\"", shared.resolve("disk." + format), image);
    }

    /** @param of the file whose calls fail, beside no others */
    private Tools.Result reclaim(String mode, Path of, String inject) throws IOException {
        return InjectedRun.of(directory, of, List.of(inject), "reclaim", "--mode", mode, image.toString()).result();
    }

    private void assertLive(ExtentSet mustBeZero) throws IOException {
        Path raw = image;
        if (image.toString().endsWith("qcow2")) {
            Tools.Result check = Tools.run("qemu-img", "check", image.toString());
            assertTrue(check.status() == 0 || check.status() == 3 && mustBeZero.isEmpty(), check.output());
            raw = directory.resolve("after.raw");
            Tools.ok("qemu-img", "convert", "-O", "raw", image.toString(), raw.toString());
        }
        assertEquals(List.of(), disk.differences(raw, free, mustBeZero));
        disk.volumesOf(raw, directory).get(0).check();
    }

    private void assertNextRunFinishes(String mode) throws IOException {
        CommandRun next = lacuna("reclaim", "--mode", mode, image);
        assertEquals(0, next.status(), next::toString);
        assertLive(free.inwardTo(4096));
        for (String left : List.of(".lacuna-run", ".lacuna-journal")) {
            assertTrue(Files.notExists(directory.resolve(image.getFileName() + left)), left);
        }
        CommandRun third = lacuna("reclaim", "--mode", mode, image);
        assertTrue(third.status() == 0 && third.out().contains("nothing to reclaim"), third::toString);
    }

    @ParameterizedTest
    @CsvSource({"raw, deallocate", "qcow2, compact"})
    void whatASignalInterruptsIsDoneAgain(String format, String mode) throws IOException {
        copy(format);
        Tools.Result run = reclaim(mode, image, "pread64,pwrite64,fallocate,fsync,ftruncate:error=EINTR:when=1+2");
        assertEquals(0, run.status(), run::output);
        assertLive(free.inwardTo(4096));
        assertNextRunFinishes(mode);
    }

    @ParameterizedTest
    @CsvSource({"raw, deallocate, fallocate, ENOSPC, 2", "raw, deallocate, fsync, EIO, 1", "raw, deallocate, pread64, EIO, 1",
        "qcow2, deallocate, pwrite64, EIO, 2", "qcow2, deallocate, fallocate, EIO, 1+", "qcow2, compact, pwrite64, ENOSPC, 3+",
        "qcow2, compact, fsync, EIO, 3", "qcow2, compact, ftruncate, EIO, 1"})
    void anErrorEndsTheRunInWordsAndTheNextRunFinishes(String format, String mode, String call, String error, String when)
            throws IOException {
        copy(format);
        Tools.Result run = reclaim(mode, image, call + ":error=" + error + ":when=" + when);
        assertEquals(1, run.status(), run::output);
        assertTrue(run.output().contains(error) && run.output().contains(image.toString()), run::output);
        assertTrue(!run.output().contains("Exception") && !run.output().contains("\tat "), run::output);
        assertLive(ExtentSet.EMPTY);
        assertNextRunFinishes(mode);
    }

    /** What is written by the JDK, beside the image. */
    @ParameterizedTest
    @CsvSource({".lacuna-run", ".lacuna-journal"})
    void noRoomForTheFilesBesideTheImage(String suffix) throws IOException {
        copy("qcow2");
        Tools.Result run = reclaim("compact", directory.resolve(image.getFileName() + suffix),
                "write,pwrite64:error=ENOSPC:when=1+");
        assertEquals(1, run.status(), run::output);
        assertTrue(run.output().contains("No space left") && run.output().contains(image.toString()), run::output);
        assertLive(ExtentSet.EMPTY);
        assertNextRunFinishes("compact");
    }
}
