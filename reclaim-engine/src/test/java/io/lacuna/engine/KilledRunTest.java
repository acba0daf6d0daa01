package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Runs that are killed at random moments. */
class KilledRunTest {

    private static final int KILLS = 25;
    private static final int ENOUGH_CUTS = 3;
    private static final long MIB = 1 << 20;

    @TempDir
    Path directory;

    /** Reclaims the image it is given; the process that gets killed. */
    static final class Victim {

        private Victim() {
        }

        public static void main(String[] arguments) throws IOException {
            try (ReclaimSession session = Reclaimer.open(Path.of(arguments[0]), ReclaimOptions.builder().build())) {
                ReclaimPlan plan = session.plan();
                System.out.write('p');
                System.out.flush();
                session.apply(plan, Progress.NONE);
            }
        }
    }

    @Test
    void leavesAValidImageThatTheNextRunFinishes() throws Exception {
        Tools.require("qemu-img", "qemu-io");
        GuestDisk disk = GuestDisk.assemble(directory.resolve("disk.raw"), "gpt", 512,
                GuestVolume.ext(directory, "volume", 64 * MIB, "-t ext4 -b 1024"));
        Path pristine = directory.resolve("pristine.qcow2");
        Tools.shell("qemu-img convert -f raw -O qcow2 -o cluster_size=4k \"$1\" \"$2\"", disk.file(), pristine);
        ExtentSet free = disk.free();
        Random random = new Random(20261123);
        int killed = 0;
        int cut = 0;
        Path image = directory.resolve("image.qcow2");
        Tools.shell("cp --sparse=always \"$1\" \"$2\"", pristine, image);
        long whole = timeToApply(image);
        // A slow machine may need more tries until a few of them fall between the first change of a table and the last.
        for (int i = 0; i < KILLS || cut < ENOUGH_CUTS && i < 4 * KILLS; i++) {
            Tools.shell("cp --sparse=always \"$1\" \"$2\"", pristine, image);
            if (killWhileItApplies(image, (long) (random.nextDouble() * whole))) {
                killed++;
            }
            Path marker = image.resolveSibling("image.qcow2.lacuna-run");
            // A marker that is not whole yet stood before the first change.
            boolean marked = Files.exists(marker) && Files.readString(marker).matches("lacuna.run/1\n\\d+\n");
            cut += marked ? 1 : 0;
            assertValid(image, disk, free);

            ImageReport next = ReclaimRun.run(image, ReclaimOptions.builder().build());
            assertEquals(null, next.reason());
            if (marked) {
                assertTrue(next.remarks().stream().anyMatch(remark -> remark.contains("cut")), next.remarks().toString());
            }
            assertTrue(Files.notExists(marker));
            Tools.ok("qemu-img", "check", image.toString());
            new ReclaimRun(disk, image, directory).proveContent(free, free.inwardTo(4096));
        }
        System.out.println(killed + " runs were killed before their end, " + cut + " with their marker up");
        assertNotEquals(0, cut, "no run was cut while it changed tables: the test proves nothing");
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

    private static Process startVictim(Path image) throws IOException {
        Process process = new ProcessBuilder(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
                System.getProperty("surefire.test.class.path", System.getProperty("java.class.path")),
                "-XX:TieredStopAtLevel=1", Victim.class.getName(), image.toString())
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        assertEquals('p', process.getInputStream().read(), "the victim did not get to its plan");
        return process;
    }

    private static long timeToApply(Path image) throws Exception {
        Process process = startVictim(image);
        long start = System.nanoTime();
        assertEquals(0, process.waitFor());
        return System.nanoTime() - start;
    }

    private static boolean killWhileItApplies(Path image, long afterNanos) throws Exception {
        Process process = startVictim(image);
        TimeUnit.NANOSECONDS.sleep(afterNanos);
        process.destroyForcibly();
        return process.waitFor() != 0;
    }
}
