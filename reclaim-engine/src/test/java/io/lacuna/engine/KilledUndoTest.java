package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Progress;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs with an undo file, and undos, that are killed at random moments. */
class KilledUndoTest {

    private static final int KILLS = 10;
    /** The status of a program that SIGKILL has ended. */
    private static final int KILLED = 137;
    private static final long MIB = 1 << 20;

    @TempDir
    Path directory;

    /** The process that gets killed. */
    static final class Victim {

        private Victim() {
        }

        public static void main(String[] arguments) throws IOException {
            Path undone = Path.of(arguments[0]);
            if (arguments.length == 1) {
                Undo.run(undone, true, (done, total) -> tell());
                return;
            }
            ReclaimOptions options = ReclaimOptions.builder().undo(undone).build();
            try (ReclaimSession session = Reclaimer.open(Path.of(arguments[1]), options)) {
                session.apply(session.plan(), (done, total) -> tell());
            }
        }

        private static void tell() {
            System.out.write('p');
            System.out.flush();
            try {
                // So that it is still at work when it is killed.
                Thread.sleep(2);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Test
    void leaveAWayBack() throws Exception {
        Tools.require("qemu-img", "qemu-io");
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512,
                GuestVolume.ext(directory, "volume", 64 * MIB, "-t ext4 -b 1024"));
        Path pristine = directory.resolve("pristine.qcow2");
        Tools.shell("qemu-img convert -f raw -O qcow2 -o cluster_size=4k \"$1\" \"$2\"", disk.file(), pristine);
        Path image = directory.resolve("image.qcow2");
        Path undone = directory.resolve("image.undo");
        Random random = new Random(20261124);
        int runsCut = 0;
        int undosCut = 0;
        int words = 0;
        for (int i = 0; i < KILLS; i++) {
            Tools.shell("cp --sparse=always \"$1\" \"$2\"", pristine, image);
            Files.deleteIfExists(undone);
            runsCut += kill(random.nextInt(40), undone.toString(), image.toString()) ? 1 : 0;
            if (i % 2 == 0) {
                undosCut += kill(random.nextInt(25), undone.toString()) ? 1 : 0;
            }
            UndoReport back = Undo.run(undone, false, Progress.NONE);
            if (back.verdict() == UndoReport.Verdict.REFUSED && back.reason().contains("--unchanged")) {
                words++;
                back = Undo.run(undone, true, Progress.NONE);
            }
            assertTrue(back.reason() == null || back.reason().contains("used already"), back.reason());
            assertEquals(-1, Files.mismatch(pristine, image));
            assertTrue(Files.notExists(directory.resolve("image.qcow2.lacuna-run")));
            ImageReport next = ReclaimRun.run(image, ReclaimOptions.builder().build());
            assertNull(next.reason());
        }
        System.out.println(runsCut + " runs and " + undosCut + " undos were killed; " + words + " needed a word");
        assertTrue(runsCut >= KILLS / 2 && undosCut >= 2, "too few were cut: the test proves little");
        assertTrue(words <= KILLS / 2);
    }

    /** @param signs how often the victim tells of its progress before it dies, about */
    private boolean kill(int signs, String... arguments) throws Exception {
        String[] command = {Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
            System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")), "-XX:TieredStopAtLevel=1",
            Victim.class.getName()};
        String[] all = new String[command.length + arguments.length];
        System.arraycopy(command, 0, all, 0, command.length);
        System.arraycopy(arguments, 0, all, command.length, arguments.length);
        Process process = new ProcessBuilder(all).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        for (int i = 0; i <= signs; i++) {
            if (process.getInputStream().read() < 0) {
                break;
            }
        }
        process.destroyForcibly();
        assertTrue(process.waitFor(30, TimeUnit.SECONDS), "it outlived SIGKILL");
        assertTrue(process.exitValue() == 0 || process.exitValue() == KILLED, "it failed: " + process.exitValue());
        return process.exitValue() == KILLED;
    }
}
