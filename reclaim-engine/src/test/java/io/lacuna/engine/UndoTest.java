package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs with an undo file, and the way back. */
class UndoTest {

    private static final long MIB = 1 << 20;

    @TempDir
    static Path shared;

    private static GuestDisk disk;

    @TempDir
    Path directory;

    private Path image;
    private Path undone;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "qemu-io", "sfdisk");
        disk = GuestDisk.assemble(shared.resolve("disk.raw"), "gpt", 512, GuestVolume.ext(shared, "ext4", 16 * MIB, "-t ext4"));
    }

    private void make(String format, String options) {
        image = directory.resolve("image." + format);
        undone = directory.resolve("image.undo");
        Tools.shell("cd \"$3\"; qemu-img convert -q -f raw -O " + format + " " + options + " \"$1\" \"$2\"", disk.file(), image,
                directory);
    }

    /** A copy of all files beside which the image lies. */
    private Path copyOfAll() {
        Path copy = shared.resolve("copy");
        Tools.shell("rm -rf \"$2\"; mkdir \"$2\"; cp --sparse=always -p \"$1\"/image* \"$2\"/", directory, copy);
        return copy;
    }

    private void assertAllAsIn(Path copy) {
        Tools.shell("cd \"$2\"; for f in image*; do cmp \"$f\" \"$1/$f\"; done", directory, copy);
        Tools.shell("cd \"$1\"; ls | grep -E 'lacuna-(run|journal)' && exit 1; true", directory);
    }

    private ImageReport reclaim(ReclaimMode mode) {
        ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().mode(mode).undo(undone).build());
        assertNull(report.reason());
        return report;
    }

    private UndoReport undo(boolean unchanged) {
        return Undo.run(undone, unchanged, Progress.NONE);
    }

    private void assertRefused(String because) throws IOException {
        String times = Tools.ok("stat", "-c", "%y %z %s %b", image.toString());
        UndoReport refused = undo(false);
        assertEquals(UndoReport.Verdict.REFUSED, refused.verdict());
        assertEquals(3, refused.exitStatus());
        assertTrue(refused.reason().contains(because), refused.reason());
        assertEquals(times, Tools.ok("stat", "-c", "%y %z %s %b", image.toString()), "nothing was written");
    }

    @ParameterizedTest
    @CsvSource({"raw,'',DEALLOCATE", "qcow2,'',DEALLOCATE", "qcow2,-o cluster_size=4k,PUNCH", "qcow2,'',COMPACT",
        "qcow2,-o cluster_size=4k,COMPACT", "qcow2,-c,DEALLOCATE",
        "qcow2,-o data_file=image.data,DEALLOCATE", "vpc,'',DEALLOCATE", "vpc,'',PUNCH", "vpc,'',COMPACT",
        "vpc,-o subformat=fixed,DEALLOCATE", "vhdx,-o block_size=1M,DEALLOCATE", "vhdx,-o block_size=1M,COMPACT", "vhdx,'',PUNCH",
        "vmdk,'',DEALLOCATE", "vmdk,'',PUNCH", "vmdk,'',COMPACT", "vmdk,-o subformat=twoGbMaxExtentSparse,COMPACT",
        "vdi,'',DEALLOCATE", "vdi,'',PUNCH", "vdi,'',COMPACT"})
    void putsBackEveryByte(String format, String options, ReclaimMode mode) throws IOException {
        make(format, options);
        Path before = copyOfAll();
        String modified = Tools.ok("stat", "-c", "%y", image.toString());
        ReclaimOptions.Builder asked = ReclaimOptions.builder().mode(mode).undo(undone)
                .format(format.equals("vpc") ? "vhd" : format);
        ImageReport report = ReclaimRun.run(image, asked.build());
        assertNull(report.reason());
        assertEquals(ImageReport.Verdict.RECLAIMED, report.verdict());
        assertTrue(report.remarks().stream().anyMatch(remark -> remark.contains(undone.toString())), report.remarks().toString());
        UndoReport back = undo(false);
        assertNull(back.reason());
        assertEquals(UndoReport.Verdict.RESTORED, back.verdict());
        assertTrue(back.hostBytesAfter() > back.hostBytesBefore());
        assertAllAsIn(before);
        if (format.equals("vpc")) {
            assertEquals(modified, Tools.ok("stat", "-c", "%y", image.toString()), "by which a VHD's children know it");
        }
        assertRefused("used already");
    }

    @Test
    void qcow2WithSnapshots() throws IOException {
        make("qcow2", "");
        Tools.shell("qemu-img snapshot -c one \"$1\"; qemu-io -f qcow2 -c 'write -P 5 14M 1M' \"$1\" > /dev/null", image);
        Path before = copyOfAll();
        reclaim(ReclaimMode.DEALLOCATE);
        assertNull(undo(false).reason());
        assertAllAsIn(before);
        Tools.ok("qemu-img", "check", "-f", "qcow2", image.toString());
    }

    @Test
    void refusesAnImageThatChangedSince() throws IOException {
        make("qcow2", "");
        reclaim(ReclaimMode.DEALLOCATE);
        Tools.ok("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 512", image.toString());
        assertRefused("mtime");
        assertEquals(UndoReport.Verdict.REFUSED, undo(true).verdict(), "no word helps where the change is plain");
    }

    @Test
    void refusesAnotherFileInTheImagesPlace() throws IOException {
        make("raw", "");
        reclaim(ReclaimMode.DEALLOCATE);
        Tools.shell("cp -p --sparse=always \"$1\" \"$1.new\"; mv \"$1.new\" \"$1\"", image);
        assertRefused("inode");
        Files.delete(image);
        UndoReport gone = undo(false);
        assertEquals(UndoReport.Verdict.REFUSED, gone.verdict());
        assertTrue(gone.reason().contains("is not there"), gone.reason());
    }

    @Test
    void aNewModeOfTheFileNeedsAWordAndTheSameBitmaps() throws IOException {
        make("raw", "");
        Path before = copyOfAll();
        reclaim(ReclaimMode.DEALLOCATE);
        Tools.ok("chmod", "600", image.toString());
        assertRefused("ctime");
        assertNull(undo(true).reason());
        assertAllAsIn(before);
    }

    @Test
    void refusesWhatIsInUse() throws IOException {
        make("raw", "");
        reclaim(ReclaimMode.DEALLOCATE);
        Tools.requireLoopDevices();
        String device = Tools.ok("losetup", "-f", "--show", image.toString()).strip();
        try {
            assertRefused("loop");
        } finally {
            Tools.ok("losetup", "-d", device);
        }
    }

    @Test
    void neverTakesThePlaceOfAnotherUndoFile() throws IOException {
        make("raw", "");
        Files.writeString(undone, "precious");
        String times = Tools.ok("stat", "-c", "%y %z %s %b", image.toString());
        for (ReclaimOptions.Purpose purpose : List.of(ReclaimOptions.Purpose.DRY_RUN, ReclaimOptions.Purpose.RECLAIM)) {
            ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().purpose(purpose).undo(undone).build());
            assertEquals(ImageReport.Verdict.REFUSED, report.verdict());
            assertTrue(report.reason().contains("exists already"), report.reason());
        }
        assertEquals(times, Tools.ok("stat", "-c", "%y %z %s %b", image.toString()));
        assertEquals("precious", Files.readString(undone));
        assertEquals(UndoReport.Verdict.REFUSED, undo(false).verdict());
    }

    @Test
    void aDryRunAndARunThatFindsNothingMakeNoFile() throws IOException {
        make("raw", "");
        ReclaimOptions.Builder options = ReclaimOptions.builder().undo(undone);
        ImageReport dry = ReclaimRun.run(image, options.purpose(ReclaimOptions.Purpose.DRY_RUN).build());
        assertTrue(dry.remarks().stream().anyMatch(remark -> remark.contains("at most")), dry.remarks().toString());
        assertFalse(Files.exists(undone));
        ReclaimRun.run(image, ReclaimOptions.builder().build());
        assertEquals(ImageReport.Verdict.NOTHING_TO_RECLAIM, reclaim(ReclaimMode.DEALLOCATE).verdict());
        assertFalse(Files.exists(undone));
    }

    @Test
    void aFullDiskIsToldBeforeAnythingChanged() throws IOException {
        Tools.requireLoopDevices();
        make("raw", "");
        Path small = Files.createDirectory(directory.resolve("small"));
        // What the host has yet to place may take blocks of its own when it does.
        Tools.ok("sync", image.toString());
        String times = Tools.ok("stat", "-c", "%y %z %s %b", image.toString());
        Tools.ok("mount", "-t", "tmpfs", "-o", "size=3m", "none", small.toString());
        try {
            ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().undo(small.resolve("image.undo")).build());
            assertEquals(ImageReport.Verdict.FAILED, report.verdict());
            assertTrue(report.reason().contains("not enough room"), report.reason());
            assertEquals(times, Tools.ok("stat", "-c", "%y %z %s %b", image.toString()));
            assertEquals("", Tools.ok("ls", small.toString()));
        } finally {
            Tools.ok("umount", small.toString());
        }
    }

    @Test
    void aFullDiskIsToldBeforeAnythingIsPutBack() throws IOException {
        Tools.requireLoopDevices();
        make("raw", "");
        Path small = Files.createDirectory(directory.resolve("small"));
        Tools.ok("mount", "-t", "tmpfs", "-o", "size=40m", "none", small.toString());
        try {
            Path inside = small.resolve("image.raw");
            Tools.shell("cp --sparse=always \"$1\" \"$2\"", image, inside);
            image = inside;
            reclaim(ReclaimMode.DEALLOCATE);
            String free = Tools.shell("df --output=avail -k \"$1\" | tail -1", small).strip();
            Tools.shell("head -c $(( ($2 - 2048) * 1024 )) /dev/zero > \"$1/filler\"", small, free);
            UndoReport full = undo(false);
            assertEquals(1, full.exitStatus());
            assertTrue(full.reason().contains("not enough room"), full.reason());
            Files.delete(small.resolve("filler"));
            assertNull(undo(false).reason());
            Tools.shell("cmp \"$1\" \"$2\"", disk.file(), image);
        } finally {
            Tools.ok("umount", small.toString());
        }
    }

    @Test
    void aDirectoryTakesAFileForEachImage() throws IOException {
        make("raw", "");
        Path second = directory.resolve("second.raw");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", image, second);
        Path undos = Files.createDirectory(directory.resolve("undos"));
        Batch.Listener quiet = new Batch.Listener() {
            @Override
            public Progress started(Path started) {
                return Progress.NONE;
            }

            @Override
            public void ended(ImageReport report) {
            }
        };
        assertEquals(0, Batch.run(List.of(image, second), ReclaimOptions.builder().undo(undos).build(), 2, quiet).exitStatus());
        for (Path one : List.of(image, second)) {
            assertNotEquals(-1, Files.mismatch(disk.file(), one));
            assertNull(Undo.run(undos.resolve(one.getFileName() + ".lacuna-undo"), false, Progress.NONE).reason());
            assertEquals(-1, Files.mismatch(disk.file(), one));
        }
    }

    @Test
    void aBlockDeviceIsProvedByWhatItHolds() throws IOException {
        Tools.requireLoopDevices();
        make("raw", "");
        Path file = image;
        Path before = copyOfAll();
        for (String change : List.of("", "superblock", "table", "free")) {
            Tools.shell("cp --sparse=always \"$1\" \"$2\"; rm -f \"$3\"", before.resolve("image.raw"), file, undone);
            image = Path.of(Tools.ok("losetup", "-f", "--show", file.toString()).strip());
            try {
                ImageReport report = ReclaimRun.run(image, ReclaimOptions.builder().format("raw").undo(undone).build());
                assertNull(report.reason());
                if (change.isEmpty()) {
                    assertNull(undo(false).reason());
                    Tools.shell("cmp \"$1\" \"$2\"", before.resolve("image.raw"), image);
                    continue;
                }
                // The superblock, 1 MiB and 1 KiB into the disk, as a mount writes it; the partition table; a byte in free space.
                long at = change.equals("free") ? disk.free().inwardTo(65536).start(0)
                        : change.equals("table") ? 512 : disk.offsets().get(0) + 1024 + 48;
                Tools.shell("printf 'x' | dd of=\"$1\" bs=1 seek=$2 conv=notrunc,fsync status=none", image, at);
                UndoReport refused = undo(false);
                assertEquals(UndoReport.Verdict.REFUSED, refused.verdict(), change);
                assertTrue(refused.reason().contains("has changed since"), refused.reason());
            } finally {
                Tools.ok("losetup", "-d", image.toString());
            }
        }
    }
}
