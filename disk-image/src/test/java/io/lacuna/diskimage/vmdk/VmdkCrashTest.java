package io.lacuna.diskimage.vmdk;

import static io.lacuna.diskimage.vmdk.Vmdks.kib;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.CrashFile;
import io.lacuna.fixtures.FaultRuns;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Cuts a run before every step, loses, reorders and tears what was not durable, and lets QEMU and a second run judge. */
class VmdkCrashTest {

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path image;
    /** The files that are written to, in the order in which they are opened. */
    private List<Path> files;

    private void make(String kind) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        image = directory.resolve("image.vmdk");
        switch (kind) {
            case "small" -> SmallGrains.make(image, 1, false);
            case "zeroed" -> SmallGrains.make(image, 0, true);
            case "child" -> {
                SmallGrains.make(directory.resolve("base.vmdk"), 0, false);
                Tools.shell("cd \"$1\"; qemu-img create -q -f vmdk -o zeroed_grain=on -b base.vmdk -F vmdk image.vmdk\n"
                        + "qemu-io -f vmdk -c 'write -P 3 0 160k' image.vmdk", directory);
            }
            case "files" -> {
                Vmdks.pattern(directory.resolve("model"), 400 << 10, 2);
                Tools.shell("cd \"$1\"; qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse model image.vmdk",
                        directory);
            }
            default -> throw new IllegalArgumentException(kind);
        }
        files = kind.equals("files") ? List.of(image, directory.resolve("image-s001.vmdk")) : List.of(image);
    }

    private DiskImage open(CrashFile.Log log) throws IOException {
        NearbyLinks nearby = new NearbyLinks(directory, Vmdks.FORMAT, true);
        HostFile file = new PlainHostFile(image, true);
        return Vmdks.FORMAT.open(log == null ? file : new CrashFile(file, log), new ImageLinks() {
            @Override
            public DiskImage openBacking(String name, String format) throws IOException {
                return nearby.openBacking(name, format);
            }

            @Override
            public HostFile openDataFile(String name) throws IOException {
                HostFile data = nearby.openDataFile(name);
                return log == null ? data : new CrashFile(data, log);
            }
        });
    }

    private static ExtentSet free(String kind) {
        return kind.equals("files") ? kib(0, 130, 192, 256, 300, 384) : kind.equals("child") ? kib(0, 64, 70, 160)
                : kib(4, 30, 64, 100, 101, 103, 140, 148);
    }

    @ParameterizedTest
    @CsvSource({"small,DEALLOCATE", "zeroed,DEALLOCATE", "child,DEALLOCATE", "files,DEALLOCATE", "small,COMPACT", "zeroed,COMPACT",
        "files,COMPACT", "small,PUNCH"})
    void losesNoByteWhereverItIsCut(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        ExtentSet free = free(kind);
        byte[][] before = new byte[files.size()][];
        for (int i = 0; i < before.length; i++) {
            before[i] = Files.readAllBytes(files.get(i));
        }
        CrashFile.Log log = new CrashFile.Log();
        byte[] content;
        ExtentSet reclaimed;
        try (DiskImage disk = open(log)) {
            content = Vmdks.guest(disk);
            var plan = disk.plan(Vmdks.request(mode, free));
            reclaimed = plan.reclaimable();
            disk.apply(plan, Progress.NONE);
        }
        assertTrue(log.syncs() >= (mode == ReclaimMode.PUNCH ? 1 : 5), "something to cut");
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            for (CrashFile.Loss loss : CrashFile.Loss.values()) {
                int state = 0;
                for (int i = 0; i < before.length; i++) {
                    Files.write(files.get(i), before[i]);
                }
                log.play(cut, loss, cut, files.toArray(Path[]::new));
                for (Path file : files) {
                    state = 31 * state + Arrays.hashCode(Files.readAllBytes(file));
                }
                if (seen.add(state)) {
                    assertRecovers(content, free, reclaimed, mode, kind + ", cut at " + cut + ", lost " + loss, cut);
                }
            }
        }
    }

    private void assertRecovers(byte[] before, ExtentSet free, ExtentSet reclaimed, ReclaimMode mode, String where, int cut)
            throws IOException {
        try {
            if (cut % 4 == 1) {
                Vmdks.assertLive(before, Vmdks.content(image), free, ExtentSet.EMPTY);
            }
            DeallocationRequest again = new DeallocationRequest(free, mode, 0, 0, true);
            try (DiskImage disk = open(null)) {
                Vmdks.assertLive(before, Vmdks.guest(disk), free, ExtentSet.EMPTY);
                disk.apply(disk.plan(again), Progress.NONE);
                Vmdks.assertLive(before, Vmdks.guest(disk), free, reclaimed);
                assertTrue(disk.plan(again).isEmpty(), "a third run finds nothing");
            }
            try (DiskImage disk = open(null)) {
                assertTrue(disk.plan(again).isEmpty(), "a third run finds nothing after opening anew");
            }
            Vmdks.assertStructure(files.get(files.size() - 1));
            assertEquals(0, directory.toFile().list((folder, name) -> name.endsWith("-journal")).length, "no journal is left");
        } catch (IOException | AssertionError e) {
            throw new AssertionError(where, e);
        }
    }

    /** Each call of a run fails once, halfway or for good. */
    @ParameterizedTest
    @CsvSource({"small,PUNCH", "small,DEALLOCATE", "small,COMPACT", "zeroed,DEALLOCATE", "child,DEALLOCATE", "files,DEALLOCATE",
        "files,COMPACT"})
    void aCallThatFailsLosesNothing(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        NearbyLinks nearby = new NearbyLinks(directory, Vmdks.FORMAT, true);
        int runs = FaultRuns.everyCallFails(opened -> Vmdks.FORMAT.open(opened.file(image), new ImageLinks() {
            @Override
            public DiskImage openBacking(String name, String format) throws IOException {
                return nearby.openBacking(name, format);
            }

            @Override
            public HostFile openDataFile(String name) throws IOException {
                return opened.file(directory.resolve(name));
            }
        }), Vmdks.request(mode, free(kind)), where -> Vmdks.content(image), files.toArray(Path[]::new));
        System.out.println("VMDK " + kind + " " + mode + ": " + runs + " runs with a failing call");
    }
}
