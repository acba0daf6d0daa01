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
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The real command on a block device whose calls fail. */
class FailingDeviceTest {

    /** Has the run turn to BLKDISCARD, as with a device that cannot zero. */
    private static final String CANNOT_ZERO = "fallocate:error=EOPNOTSUPP";

    @TempDir
    static Path shared;

    private static GuestDisk disk;
    private static ExtentSet free;

    @TempDir
    Path directory;

    private Path backing;
    private Path device;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "sfdisk");
        Tools.requireLoopDevices();
        Tools.requireFaultInjection(shared);
        disk = GuestDisk.assemble(shared.resolve("disk.raw"), "gpt", 512,
                GuestVolume.ext(shared, "volume", 16 << 20, "-t ext4 -b 1024"));
        free = disk.free();
    }

    @BeforeEach
    void noDevice() throws IOException {
        directory = directory.toRealPath();
        device = null;
    }

    private void attach(String format) {
        backing = directory.resolve("backing." + format);
        Tools.ok("qemu-img", "convert", "-O", format, disk.file().toString(), backing.toString());
        device = Path.of(Tools.ok("losetup", "-f", "--show", backing.toString()).strip());
    }

    @AfterEach
    void detach() {
        if (device != null) {
            Tools.ok("losetup", "-d", device.toString());
        }
    }

    private InjectedRun reclaim(String format, String... injections) throws IOException {
        return InjectedRun.of(directory, device, List.of(injections), "reclaim", "--format", format, device.toString());
    }

    private void assertFailed(InjectedRun run, String... words) {
        assertEquals(1, run.result().status(), run.result()::output);
        String output = run.result().output();
        assertTrue(output.contains(device.toString()) && !output.contains("Exception") && !output.contains("\tat "), output);
        for (String word : words) {
            assertTrue(output.contains(word), output);
        }
        assertLive(ExtentSet.EMPTY);
    }

    private void assertNextRunFinishes(String format) {
        CommandRun next = lacuna("reclaim", "--format", format, device);
        assertEquals(0, next.status(), next::toString);
        assertLive(free.inwardTo(4096));
    }

    private void assertLive(ExtentSet mustBeZero) {
        try {
            Path raw = backing;
            if (backing.toString().endsWith("qcow2")) {
                // Where there is no place for a marker, what a cut run leaks is only remarked.
                Tools.Result check = Tools.run("qemu-img", "check", "-f", "qcow2", device.toString());
                assertTrue(check.status() == 0 || check.status() == 3, check.output());
                raw = directory.resolve("after.raw");
                Tools.ok("qemu-img", "convert", "-f", "qcow2", "-O", "raw", device.toString(), raw.toString());
            }
            assertEquals(List.of(), disk.differences(raw, free, mustBeZero));
            disk.volumesOf(raw, directory).get(0).check();
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    @ParameterizedTest
    @CsvSource({"raw, pread64, EIO, 1", "raw, fallocate, EIO, 2", "raw, fallocate, ENOSPC, 1+", "raw, fsync, EIO, 1",
        "qcow2, pread64, EIO, 4", "qcow2, pwrite64, EIO, 1", "qcow2, pwrite64, EIO, 2", "qcow2, fsync, EIO, 1",
        "qcow2, fsync, EIO, 2"})
    void anErrorEndsTheRunInWordsAndTheNextRunFinishes(String format, String call, String error, String when) throws IOException {
        attach(format);
        assertFailed(reclaim(format, call + ":error=" + error + ":when=" + when), error);
        assertNextRunFinishes(format);
    }

    @Test
    void whatASignalInterruptsIsDoneAgain() throws IOException {
        attach("raw");
        InjectedRun run = reclaim("raw", "pread64:error=EINTR:when=1+2", "fallocate:error=EINTR:when=1+2",
                "fsync:error=EINTR:when=1+2");
        assertEquals(0, run.result().status(), run.result()::output);
        assertLive(free.inwardTo(4096));
    }

    @Test
    void aDiscardThatFails() throws IOException {
        attach("raw");
        InjectedRun whole = reclaim("raw", CANNOT_ZERO);
        assertEquals(0, whole.result().status(), whole.result()::output);
        assertLive(free.inwardTo(4096));
        detach();
        // strace counts the calls of each thread on their own.
        String discard = whole.trace().stream().filter(line -> line.contains("BLKDISCARD")).findFirst().orElseThrow();
        String thread = discard.substring(0, discard.indexOf(' ') + 1);
        long first = 1 + whole.trace().stream().takeWhile(line -> !line.equals(discard))
                .filter(line -> line.startsWith(thread) && line.contains(" ioctl(")).count();
        for (long when : new long[] {first, first + 1}) {
            Files.delete(backing);
            attach("raw");
            assertFailed(reclaim("raw", CANNOT_ZERO, "ioctl:error=EIO:when=" + when), "ioctl BLKDISCARD", "EIO");
            assertNextRunFinishes("raw");
            detach();
        }
        device = null;
    }
}
