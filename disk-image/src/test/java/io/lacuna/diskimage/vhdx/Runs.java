package io.lacuna.diskimage.vhdx;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.Holdings;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** What the tests of deallocation do to images, and what must hold after each of them. */
final class Runs {

    private Runs() {
    }

    static DiskImage writable(Path image) throws IOException {
        return Reading.FORMAT.open(new PlainHostFile(image, true), new NearbyLinks(image.getParent(), Reading.FORMAT, true));
    }

    static DeallocationRequest request(ReclaimMode mode, ExtentSet free) {
        return new DeallocationRequest(free, mode, 0, 0, false);
    }

    static DeallocationRequest repair(ReclaimMode mode, ExtentSet free) {
        return new DeallocationRequest(free, mode, 0, 0, true);
    }

    /** Ranges from pairs of start and end, in KiB. */
    static ExtentSet kib(int... bounds) {
        ExtentSet.Builder set = ExtentSet.builder();
        for (int i = 0; i < bounds.length; i += 2) {
            set.add(bounds[i] * 1024L, (bounds[i + 1] - bounds[i]) * 1024L);
        }
        return set.build();
    }

    /** Bytes none of which is 0, the same ones each time. */
    static Path pattern(Path file, int size, int seed) throws IOException {
        byte[] bytes = new byte[size];
        new Random(seed).nextBytes(bytes);
        for (int i = 0; i < size; i++) {
            bytes[i] |= 1;
        }
        return Files.write(file, bytes);
    }

    static byte[] guest(DiskImage disk) throws IOException {
        byte[] content = guest(disk.guest());
        Holdings.check(disk, content);
        return content;
    }

    static byte[] guest(BlockSource guest) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) guest.size());
        guest.read(0, bytes);
        return bytes.array();
    }

    /** Plans and applies; then everything that must hold holds, as far as this reader can tell. @return the plan */
    static Deallocation run(Path image, DeallocationRequest request) throws IOException {
        VhdxCheck before = VhdxCheck.of(image);
        Deallocation plan;
        long hostBefore;
        long hostAfter;
        boolean changesTables;
        try (DiskImage disk = writable(image)) {
            byte[] content = guest(disk);
            hostBefore = disk.hostBytes();
            plan = disk.plan(request);
            assertEquals(hostBefore, disk.hostBytes(), "a plan writes nothing");
            changesTables = plan.changesTables();
            disk.apply(plan, Progress.NONE);
            hostAfter = disk.hostBytes();
            assertAccounts(plan, request.free());
            assertLive(content, guest(disk), request.free(), plan.reclaimable());
            Deallocation second = disk.plan(request);
            assertTrue(second.isEmpty(), () -> "a second run finds nothing: " + second.reclaimable());
        }
        assertEquals(plan.plannedBytes(), hostBefore - hostAfter, 16384, "what was planned is released: " + plan.retained());
        try (DiskImage disk = Reading.open(image)) {
            assertTrue(disk.plan(request).isEmpty(), "a second run finds nothing after opening anew");
        }
        assertKept(before, VhdxCheck.of(image), changesTables, request.mode() == ReclaimMode.PUNCH);
        assertTrue(!changesTables || request.mode() != ReclaimMode.PUNCH);
        return plan;
    }

    private static void assertKept(VhdxCheck before, VhdxCheck after, boolean changesTables, boolean punched) {
        assertEquals(List.of(), after.wrong());
        assertArrayEquals(before.metadata(), after.metadata(), "metadata, unknown items included");
        assertFalse(after.hasLog());
        byte[] old = before.header();
        byte[] now = after.header();
        assertTrue(Arrays.equals(old, 32, 48, now, 32, 48), "DataWriteGuid");
        assertTrue(Arrays.equals(old, 64, 4096, now, 64, 4096), "versions, log's place, unknown bytes");
        if (punched) {
            assertArrayEquals(old, now, "nothing but holes");
        } else {
            assertFalse(Arrays.equals(old, 16, 32, now, 16, 32), "FileWriteGuid must change");
            assertTrue(after.headersAgree(), "a damaged header must not bring an old log back");
        }
        if (!changesTables) {
            assertArrayEquals(before.bat(), after.bat());
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
