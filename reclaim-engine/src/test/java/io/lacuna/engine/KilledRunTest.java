package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Runs that are killed at random moments. */
class KilledRunTest {

    /** The status of a program that SIGKILL has ended. */
    private static final int KILLED = 137;
    private static final long MIB = 1 << 20;

    @TempDir
    Path directory;

    /** Reclaims the image it is given; the process that gets killed. */
    static final class Victim {

        private Victim() {
        }

        public static void main(String[] arguments) throws IOException {
            try (ReclaimSession session = Reclaimer.open(Path.of(arguments[0]), options(arguments[1]))) {
                ReclaimPlan plan = session.plan();
                System.out.write('p');
                System.out.flush();
                session.apply(plan, Progress.NONE);
            }
        }
    }

    private static ReclaimOptions options(String mode) {
        return ReclaimOptions.builder().mode(ReclaimMode.valueOf(mode)).build();
    }

    @ParameterizedTest
    @CsvSource({"DEALLOCATE, 25, 8000000", "COMPACT, 10, 60000000"})
    void leavesAValidImageThatTheNextRunFinishes(String mode, int kills, int within) throws Exception {
        Tools.require("qemu-img", "qemu-io");
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512,
                GuestVolume.ext(directory, "volume", 64 * MIB, "-t ext4 -b 1024"));
        Path pristine = directory.resolve("pristine.qcow2");
        Tools.shell("qemu-img convert -f raw -O qcow2 -o cluster_size=4k \"$1\" \"$2\"", disk.file(), pristine);
        ExtentSet free = disk.free();
        Random random = new Random(20261123);
        int killed = 0;
        int cut = 0;
        for (int i = 0; i < kills; i++) {
            Path image = directory.resolve("image.qcow2");
            Tools.shell("cp --sparse=always \"$1\" \"$2\"", pristine, image);
            Path marker = image.resolveSibling("image.qcow2.lacuna-run");
            // Two in three die while they change tables, the others at any moment behind their plan.
            boolean aimed = i % 3 != 0;
            if (killWhileItApplies(image, aimed ? marker : null, random.nextInt(aimed ? within : 25_000_000), mode)) {
                killed++;
            }
            // A marker that is not whole yet stood before the first change.
            boolean marked = Files.exists(marker) && Files.readString(marker).matches("lacuna.run/1\n\\d+\n");
            cut += marked ? 1 : 0;
            assertValid(image, disk, free);

            ImageReport next = ReclaimRun.run(image, options(mode));
            assertEquals(null, next.reason());
            if (marked) {
                assertTrue(next.remarks().stream().anyMatch(remark -> remark.contains("cut")), next.remarks().toString());
            }
            assertTrue(Files.notExists(marker));
            assertTrue(Files.notExists(directory.resolve("image.qcow2.lacuna-journal")));
            Tools.ok("qemu-img", "check", image.toString());
            new ReclaimRun(disk, image, directory).proveContent(free, free.inwardTo(4096));
        }
        System.out.println(mode + ": " + killed + " of " + kills + " runs were killed before their end, " + cut
                + " with their marker up");
        assertTrue(cut >= kills / 5, "only " + cut + " runs were cut while they changed tables: the test proves little");
    }

    /** Status 3 is leaks only; 2 would be corruption. */
    private void assertValid(Path image, GuestDisk disk, ExtentSet free) throws IOException {
        int status = Tools.run("qemu-img", "check", image.toString()).status();
        assertTrue(status == 0 || status == 3, "qemu-img check says " + status);
        Path raw = directory.resolve("cut.raw");
        Tools.ok("qemu-img", "convert", "-O", "raw", image.toString(), raw.toString());
        assertEquals(List.of(), disk.differences(raw, free, ExtentSet.EMPTY));
        Files.delete(raw);
    }

    /** @param marker what to wait for before the time is counted; null for the plan alone */
    private boolean killWhileItApplies(Path image, Path marker, int afterNanos, String mode) throws Exception {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                "-XX:TieredStopAtLevel=1", Victim.class.getName(), image.toString(), mode)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        int planned = process.getInputStream().read();
        assertEquals('p', planned, "the victim did not get to its plan");
        while (marker != null && process.isAlive() && Files.notExists(marker)) {
            Thread.onSpinWait();
        }
        TimeUnit.NANOSECONDS.sleep(afterNanos);
        process.destroyForcibly();
        int status = process.waitFor();
        assertTrue(status == 0 || status == KILLED, "it failed: " + status);
        return status == KILLED;
    }
}
