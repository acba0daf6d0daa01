package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.Images.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.StrictHostFile;
import io.lacuna.fixtures.CrashFile;
import io.lacuna.fixtures.FaultRuns;
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
import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Cuts a run before every step, loses, reorders and tears what was not durable, and lets qemu-img and a second run judge. */
class Qcow2CrashTest {

    private static final ExtentSet FREE = kib(0, 100, 300, 301, 1024, 2048, 2050, 3096);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path image;
    private Path data;

    private void make(String kind) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Images.pattern(directory.resolve("model.raw"), 3170304, 1);
        Images.pattern(directory.resolve("base.raw"), 2500608, 2);
        image = directory.resolve("image.qcow2");
        data = directory.resolve("data.bin");
        String make = switch (kind) {
            case "small" -> "qemu-img convert -f raw -O qcow2 -o cluster_size=4k,refcount_bits=1 model.raw image.qcow2";
            case "old" -> "qemu-img convert -f raw -O qcow2 -o compat=0.10 model.raw image.qcow2";
            case "autoclear" -> "qemu-img convert -f raw -O qcow2 model.raw image.qcow2\n"
                    + "printf '\\x80' | dd of=image.qcow2 bs=1 seek=88 conv=notrunc status=none";
            case "snapshot" -> "qemu-img convert -f raw -O qcow2 -o cluster_size=16k model.raw image.qcow2\n"
                    + "qemu-img snapshot -c one image.qcow2; qemu-io -f qcow2 -c 'write -P 5 1M 500k' image.qcow2";
            case "compressed" -> "seq 1 500000 > text; truncate -s 3M text\n"
                    + "qemu-img convert -c -f raw -O qcow2 -o cluster_size=16k text image.qcow2";
            case "backing" -> "qemu-img create -q -f qcow2 -o extended_l2=on,cluster_size=16k -b base.raw -F raw image.qcow2"
                    + " 3170304\nqemu-io -f qcow2 -c 'write -s model.raw 0 3170304' image.qcow2";
            case "tables" -> "truncate -s 2200k model.raw\n"
                    + "qemu-img convert -f raw -O qcow2 -o cluster_size=512,refcount_bits=64 model.raw image.qcow2\n"
                    + "qemu-img resize -q -f qcow2 image.qcow2 6M; qemu-io -f qcow2 -c 'write -P 5 1M 300k' image.qcow2";
            case "batches" -> "truncate -s 3300k zeros; qemu-img create -q -f qcow2 -o cluster_size=16k image.qcow2 3170304\n"
                    + "qemu-io -f qcow2 -c 'write -s zeros 1M 2072k' -c 'write -s model.raw 0 1M' image.qcow2";
            case "data file" -> "qemu-img create -q -f qcow2 -o data_file=$1/data.bin image.qcow2 3170304\n"
                    + "qemu-io -f qcow2 -c 'write -s model.raw 0 3170304' image.qcow2";
            default -> throw new IllegalArgumentException(kind);
        };
        Tools.shell("cd \"$1\"; " + make, directory);
    }

    /** The image's links with a data file that is logged as well. */
    private ImageLinks links(CrashFile.Log log) {
        NearbyLinks nearby = new NearbyLinks(directory, Images.FORMAT, true);
        return new ImageLinks() {
            @Override
            public DiskImage openBacking(String name, String format) throws IOException {
                return nearby.openBacking(name, format);
            }

            @Override
            public HostFile openDataFile(String name) throws IOException {
                HostFile file = nearby.openDataFile(name);
                return log == null ? file : new CrashFile(file, log);
            }
        };
    }

    private byte[] guest(DiskImage disk) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) disk.virtualSize());
        disk.guest().read(0, bytes);
        return bytes.array();
    }

    @ParameterizedTest
    @ValueSource(strings = {"small", "old", "autoclear", "snapshot", "compressed", "backing", "data file"})
    void losesNoByteWhereverItIsCut(String kind) throws IOException {
        make(kind);
        boolean hasData = Files.exists(data);
        Path imageBefore = Files.copy(image, directory.resolve("image.before"));
        Path dataBefore = hasData ? Files.copy(data, directory.resolve("data.before")) : null;
        CrashFile.Log log = new CrashFile.Log();
        byte[] before;
        ExtentSet reclaimed;
        try (DiskImage disk = Images.FORMAT.open(new CrashFile(new PlainHostFile(image, true), log), links(log))) {
            before = guest(disk);
            var plan = disk.plan(Images.request(FREE));
            reclaimed = plan.reclaimable();
            disk.apply(plan, Progress.NONE);
        }
        byte[] snapshot = kind.equals("snapshot") ? Images.content(image, "-l", "one") : null;
        assertTrue(log.writes() >= 1 && log.syncs() >= 2, "something to cut");
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            for (CrashFile.Loss loss : CrashFile.Loss.values()) {
                Files.copy(imageBefore, image, StandardCopyOption.REPLACE_EXISTING);
                if (hasData) {
                    Files.copy(dataBefore, data, StandardCopyOption.REPLACE_EXISTING);
                }
                log.play(cut, loss, cut, hasData ? new Path[] {image, data} : new Path[] {image});
                int state = 31 * Arrays.hashCode(Files.readAllBytes(image)) + (hasData ? Arrays.hashCode(Files.readAllBytes(data))
                        : 0);
                if (seen.add(state)) {
                    assertRecovers(before, reclaimed, snapshot, Images.repair(FREE), false, kind + ", cut at " + cut + ", lost "
                            + loss);
                }
            }
        }
    }

    /**
     * The file becomes shorter; the run that finishes is one that compacts, or one that only deallocates and then one that does.
     */
    @ParameterizedTest
    @ValueSource(strings = {"small", "old", "autoclear", "snapshot", "compressed", "backing", "tables", "batches"})
    void losesNoByteWhereverACompactionIsCut(String kind) throws IOException {
        make(kind);
        Path imageBefore = Files.copy(image, directory.resolve("image.before"));
        CrashFile.Log log = new CrashFile.Log();
        StrictHostFile file = new StrictHostFile(image, Files.readAllBytes(image), 4096, true);
        byte[] before;
        ExtentSet reclaimed;
        try (DiskImage disk = Images.FORMAT.open(new CrashFile(file, log), links(null))) {
            before = guest(disk);
            var plan = disk.plan(Qcow2CompactionTest.request(FREE));
            reclaimed = plan.reclaimable();
            assertTrue(plan.remarks().stream().anyMatch(remark -> remark.contains("move into gaps")),
                    () -> plan.remarks().toString());
            disk.apply(plan, Progress.NONE);
        }
        Files.write(image, file.bytes());
        long length = file.size();
        byte[] snapshot = kind.equals("snapshot") ? Images.content(image, "-l", "one") : null;
        Set<Integer> seen = new HashSet<>();
        for (int cut = 0; cut <= log.steps(); cut++) {
            for (CrashFile.Loss loss : CrashFile.Loss.values()) {
                Files.copy(imageBefore, image, StandardCopyOption.REPLACE_EXISTING);
                log.play(cut, loss, cut, image);
                if (seen.add(Arrays.hashCode(Files.readAllBytes(image)))) {
                    String where = kind + ", cut at " + cut + " of " + log.steps() + ", lost " + loss;
                    if (seen.size() % 2 == 0) {
                        assertRecovers(before, ExtentSet.EMPTY, snapshot, Images.repair(FREE), true, where);
                    }
                    assertRecovers(before, reclaimed, snapshot, new DeallocationRequest(FREE, ReclaimMode.COMPACT, 0, 0, true),
                            true, where);
                    assertEquals(length, Files.size(image), where);
                }
            }
        }
        System.out.println("qcow2 compaction, " + kind + ": " + log.steps() + " steps, " + seen.size() + " states");
    }

    private void assertRecovers(byte[] before, ExtentSet reclaimed, byte[] snapshot, DeallocationRequest again,
            boolean inMemory, String where) throws IOException {
        Tools.Result check = Tools.run("qemu-img", "check", "-f", "qcow2", image.toString());
        assertTrue(check.status() == 0 || check.status() == 3, () -> where + ": " + check.output());
        StrictHostFile strict = inMemory ? new StrictHostFile(image, Files.readAllBytes(image), 4096, true) : null;
        try (DiskImage disk = Images.FORMAT.open(inMemory ? strict : new PlainHostFile(image, true), links(null))) {
            Images.assertLive(before, guest(disk), FREE, ExtentSet.EMPTY);
            disk.apply(disk.plan(again), Progress.NONE);
            Images.assertLive(before, guest(disk), FREE, reclaimed);
            assertTrue(disk.plan(again).isEmpty(), () -> where + ": a third run finds nothing");
        }
        if (inMemory) {
            Files.write(image, strict.bytes());
        }
        assertEquals(0, Tools.run("qemu-img", "check", "-f", "qcow2", image.toString()).status(),
                () -> where + ": the second run left no leak");
        if (snapshot != null) {
            assertArrayEquals(snapshot, Images.content(image, "-l", "one"), where);
        }
    }

    /** Each call of a run fails once, halfway or for good. */
    @ParameterizedTest
    @CsvSource({"small, PUNCH", "small, DEALLOCATE", "snapshot, DEALLOCATE", "backing, DEALLOCATE", "data file, DEALLOCATE",
        "data file, PUNCH", "small, COMPACT", "batches, COMPACT"})
    void aCallThatFailsLosesNothing(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        boolean hasData = Files.exists(data);
        NearbyLinks nearby = new NearbyLinks(directory, Images.FORMAT, true);
        int runs = FaultRuns.everyCallFails(files -> Images.FORMAT.open(files.file(image), new ImageLinks() {
            @Override
            public DiskImage openBacking(String name, String format) throws IOException {
                return nearby.openBacking(name, format);
            }

            @Override
            public HostFile openDataFile(String name) throws IOException {
                return files.file(data);
            }
        }), new DeallocationRequest(FREE, mode, 0, 0, false), where -> {
            Tools.Result check = Tools.run("qemu-img", "check", "-f", "qcow2", image.toString());
            assertTrue(check.status() == 0 || check.status() == 3, () -> where + ": " + check.output());
        }, hasData ? new Path[] {image, data} : new Path[] {image});
        System.out.println("qcow2 " + kind + " " + mode + ": " + runs + " runs with a failing call");
    }
}
