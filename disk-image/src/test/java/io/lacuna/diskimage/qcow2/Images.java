package io.lacuna.diskimage.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;

/** What the tests of deallocation do to images, and what must hold after each of them. */
final class Images {

    static final Qcow2Format FORMAT = new Qcow2Format();

    private Images() {
    }

    static DiskImage open(Path image, boolean writable) throws IOException {
        return FORMAT.open(new PlainHostFile(image, writable), new NearbyLinks(image.getParent(), FORMAT, writable));
    }

    static DeallocationRequest request(ExtentSet free) {
        return new DeallocationRequest(free, ReclaimMode.DEALLOCATE, 0, 0, false);
    }

    static DeallocationRequest punch(ExtentSet free) {
        return new DeallocationRequest(free, ReclaimMode.PUNCH, 0, 0, false);
    }

    static DeallocationRequest repair(ExtentSet free) {
        return new DeallocationRequest(free, ReclaimMode.DEALLOCATE, 0, 0, true);
    }

    /** Ranges from pairs of start and end, in KiB. */
    static ExtentSet kib(int... bounds) {
        ExtentSet.Builder set = ExtentSet.builder();
        for (int i = 0; i < bounds.length; i += 2) {
            set.add(bounds[i] * 1024L, (bounds[i + 1] - bounds[i]) * 1024L);
        }
        return set.build();
    }

    /** Bytes none of which is 0 and that no compression makes smaller, the same ones each time. */
    static Path pattern(Path file, int size, int seed) throws IOException {
        byte[] bytes = new byte[size];
        Random random = new Random(seed);
        for (int i = 0; i < size; i++) {
            bytes[i] = (byte) (1 + random.nextInt(255));
        }
        return Files.write(file, bytes);
    }

    /** The disk as QEMU reads it. */
    static byte[] content(Path image, String... options) throws IOException {
        Path raw = Files.createTempFile(image.getParent(), "content", ".raw");
        String[] command = {"qemu-img", "convert", "-O", "raw", image.toString(), raw.toString()};
        String[] all = new String[command.length + options.length];
        System.arraycopy(command, 0, all, 0, 2);
        System.arraycopy(options, 0, all, 2, options.length);
        System.arraycopy(command, 2, all, 2 + options.length, 4);
        Tools.ok(all);
        byte[] bytes = Files.readAllBytes(raw);
        Files.delete(raw);
        return bytes;
    }

    static void assertChecks(Path image) {
        Tools.Result result = Tools.run("qemu-img", "check", "-f", "qcow2", image.toString());
        assertTrue(result.status() == 0 && result.output().contains("No errors"), result::output);
    }

    /** Plans and applies; then everything that must hold holds. @return the plan */
    static Deallocation run(Path image, DeallocationRequest request) throws IOException {
        return run(image, request, 4096);
    }

    static Deallocation run(Path image, DeallocationRequest request, long granularity) throws IOException {
        byte[] before = content(image);
        Deallocation plan;
        long hostBefore;
        long hostAfter;
        try (DiskImage disk = FORMAT.open(new PlainHostFile(image, true, granularity),
                new NearbyLinks(image.getParent(), FORMAT, true))) {
            hostBefore = disk.hostBytes();
            plan = disk.plan(request);
            assertEquals(hostBefore, disk.hostBytes(), "a plan writes nothing");
            disk.apply(plan, Progress.NONE);
            hostAfter = disk.hostBytes();
            byte[] after = content(image);
            assertAccounts(plan, request.free());
            assertLive(before, after, request.free(), plan.reclaimable());
            ByteBuffer own = ByteBuffer.allocate(after.length);
            disk.guest().read(0, own);
            assertEquals(-1, own.flip().mismatch(ByteBuffer.wrap(after)), "reads like QEMU afterwards");
            assertTrue(disk.plan(request).isEmpty(), () -> "a second run finds nothing: " + describe(disk, request));
        }
        assertEquals(plan.plannedBytes(), hostBefore - hostAfter, 16384, "what was planned is released: " + plan.retained());
        try (DiskImage disk = open(image, false)) {
            assertTrue(disk.plan(request).isEmpty(), "a second run finds nothing after opening anew");
        }
        return plan;
    }

    private static String describe(DiskImage disk, DeallocationRequest request) {
        try {
            return disk.plan(request).toString();
        } catch (IOException e) {
            return e.toString();
        }
    }

    /** Every free byte is reclaimable or stays for one reason. */
    static void assertAccounts(Deallocation plan, ExtentSet free) {
        ExtentSet all = plan.reclaimable();
        long sum = all.totalBytes();
        for (Deallocation.Retained part : plan.retained()) {
            all = all.union(part.bytes());
            sum += part.bytes().totalBytes();
        }
        assertEquals(free, all, "reclaimable and retained together are the request");
        assertEquals(free.totalBytes(), sum, "and no byte is in two of them");
    }

    /** Live bytes are the same; reclaimed bytes are zeros; free bytes that stay are either. */
    static void assertLive(byte[] before, byte[] after, ExtentSet free, ExtentSet reclaimed) {
        assertEquals(before.length, after.length);
        byte[] expected = before.clone();
        for (Extent extent : free) {
            for (int i = (int) extent.offset(); i < Math.min(extent.end(), after.length); i++) {
                if (after[i] == 0) {
                    expected[i] = 0;
                }
            }
        }
        for (Extent extent : reclaimed) {
            Arrays.fill(expected, (int) extent.offset(), (int) extent.end(), (byte) 0);
        }
        assertEquals(-1, Arrays.mismatch(expected, after), "first wrong byte");
    }

    static ExtentSet retained(Deallocation plan, String why) {
        return plan.retained().stream().filter(part -> part.why().equals(why)).map(Deallocation.Retained::bytes)
                .findFirst().orElse(ExtentSet.EMPTY);
    }
}
