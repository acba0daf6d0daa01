package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the kernel is asked for, and in which order: a way back is on the disk, with its name, before the image changes. */
class DurableFirstTest {

    @TempDir
    static Path shared;

    @TempDir
    Path directory;

    private Path image;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img", "sfdisk");
        Tools.requireFaultInjection(shared);
        GuestDisk disk = GuestDisk.assemble(shared.resolve("disk.raw"), "gpt", 512,
                GuestVolume.ext(shared, "volume", 16 << 20, "-t ext4 -b 1024"));
        Tools.ok("qemu-img", "convert", "-O", "qcow2", "-o", "cluster_size=4k", disk.file().toString(),
                shared.resolve("disk.qcow2").toString());
    }

    @BeforeEach
    void copyImage() throws IOException {
        directory = directory.toRealPath();
        image = directory.resolve("vm.qcow2");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"; sync \"$2\"", shared.resolve("disk.qcow2"), image);
    }

    /** @return the calls that ended well, each with the files that its descriptors stand for, in the order of their ends */
    private List<String> calls(Object... arguments) throws IOException {
        Path trace = shared.resolve("trace");
        List<String> words = new ArrayList<>(List.of("strace", "-f", "-y", "-qq", "-o", trace.toString(), "-e",
                "trace=pwrite64,write,fallocate,ftruncate,fsync,fdatasync,unlink",
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1", "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")), "io.lacuna.cli.Main"));
        Arrays.stream(arguments).map(Object::toString).forEach(words::add);
        Tools.Result run = Tools.run(words.toArray(String[]::new));
        assertEquals(0, run.status(), run::output);
        // Without the thread in front; one thread alone changes files, so that no call is cut in two by another that counts.
        return Files.readString(trace).lines().map(line -> line.replaceFirst("^\\d+ +", "")).toList();
    }

    private static int first(List<String> calls, int from, Predicate<String> wanted, String what) {
        for (int i = from; i < calls.size(); i++) {
            if (wanted.test(calls.get(i))) {
                return i;
            }
        }
        throw new AssertionError("no " + what + " from call " + from + " on in\n" + String.join("\n", calls));
    }

    private static Predicate<String> on(Path file, String... names) {
        return call -> call.contains("<" + file + ">") && Arrays.stream(names).anyMatch(name -> call.startsWith(name + "("));
    }

    private int firstChange(List<String> calls) {
        return first(calls, 0, on(image, "pwrite64", "fallocate", "ftruncate"), "change of the image");
    }

    private void assertDurableBefore(List<String> calls, Path file, int change) {
        int written = first(calls, 0, on(file, "pwrite64", "write"), "write to " + file);
        int synced = first(calls, written, on(file, "fsync", "fdatasync"), "fsync of " + file);
        int named = first(calls, written, on(file.getParent(), "fsync", "fdatasync"), "fsync of " + file.getParent());
        assertTrue(written < change && synced < change && named < change,
                () -> file + ": written " + written + ", synced " + synced + ", its name " + named + ", the image changed " + change
                        + " in\n" + String.join("\n", calls));
    }

    @Test
    void theUndoFile() throws IOException {
        Path undo = Files.createDirectory(directory.resolve("undo")).resolve("vm.undo");
        List<String> calls = calls("reclaim", "--undo", undo, image);
        assertDurableBefore(calls, undo, firstChange(calls));
    }

    @Test
    void theJournalOfACompaction() throws IOException {
        List<String> calls = calls("reclaim", "--mode", "compact", image);
        assertDurableBefore(calls, directory.resolve("vm.qcow2.lacuna-journal"), firstChange(calls));
    }

    /** And an undo file stays what it was until all of it is back. */
    @Test
    void whatAnUndoPutsBack() throws IOException {
        Path undo = directory.resolve("vm.undo");
        calls("reclaim", "--undo", undo, image);
        List<String> calls = calls("undo", undo);
        int last = -1;
        for (int i = 0; i < calls.size(); i++) {
            last = on(image, "pwrite64", "fallocate", "ftruncate").test(calls.get(i)) ? i : last;
        }
        int synced = first(calls, last, on(image, "fsync", "fdatasync"), "fsync of the image");
        first(calls, synced, on(undo, "pwrite64", "write"), "note that the undo is done");
    }
}
