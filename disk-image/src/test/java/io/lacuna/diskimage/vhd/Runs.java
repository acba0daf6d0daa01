package io.lacuna.diskimage.vhd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;

/** What the tests do to VHDs, and what must hold after each run. */
final class Runs {

    static final VhdFormat FORMAT = new VhdFormat();

    private Runs() {
    }

    static DiskImage open(Path image, boolean writable) throws IOException {
        return FORMAT.open(new PlainHostFile(image, writable), new NearbyLinks(image.getParent(), FORMAT, writable));
    }

    static DeallocationRequest request(ExtentSet free, ReclaimMode mode) {
        return new DeallocationRequest(free, mode, 0, 0, false);
    }

    static DeallocationRequest repair(ExtentSet free, ReclaimMode mode) {
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

    /** The disk as QEMU reads it. */
    static byte[] byQemu(Path image) throws IOException {
        Path raw = Files.createTempFile(image.getParent(), "content", ".raw");
        Tools.ok("qemu-img", "convert", "-f", "vpc", "-O", "raw", image.toString(), raw.toString());
        byte[] bytes = Files.readAllBytes(raw);
        Files.delete(raw);
        return bytes;
    }

    /** The disk as libvhdi reads it, through its parents, which lie beside it. */
    static byte[] byLibvhdi(Path image) throws IOException {
        Tools.require("vhdimount", "fusermount3");
        Tools.requireFuse();
        Path mount = Files.createTempDirectory(image.getParent(), "mount");
        Path raw = Files.createTempFile(image.getParent(), "content", ".raw");
        Tools.shell("vhdimount \"$1\" \"$2\" > /dev/null; trap 'fusermount3 -u -z \"$2\"' EXIT\n"
                + "cp --sparse=always \"$(ls -d \"$2\"/vhdi* | sort -V | tail -1)\" \"$3\"", image, mount, raw);
        byte[] bytes = Files.readAllBytes(raw);
        Files.delete(raw);
        return bytes;
    }

    static byte[] byLacuna(DiskImage disk) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) disk.virtualSize());
        disk.guest().read(0, bytes);
        Holdings.check(disk, bytes.array());
        return bytes.array();
    }

    static byte[] content(Path image) throws IOException {
        return isDifferencing(image) ? byLibvhdi(image) : byQemu(image);
    }

    private static boolean isDifferencing(Path image) throws IOException {
        return ByteBuffer.wrap(Files.readAllBytes(image)).getInt(60) == 4;
    }

    /** Plans and applies; then everything that must hold holds. @return the plan */
    static Deallocation run(Path image, ReclaimMode mode, ExtentSet free) throws IOException {
        byte[] before = content(image);
        FileTime modified = FileTime.fromMillis(1_600_000_000_123L);
        Files.setLastModifiedTime(image, modified);
        Deallocation plan;
        long hostBefore;
        long hostAfter;
        try (DiskImage disk = open(image, true)) {
            hostBefore = disk.hostBytes();
            plan = disk.plan(request(free, mode));
            disk.apply(plan, Progress.NONE);
            hostAfter = disk.hostBytes();
            assertEquals(modified, Files.getLastModifiedTime(image), "children go by the time of the last change");
            byte[] after = content(image);
            assertAccounts(plan, free);
            assertLive(before, after, free, plan.reclaimable());
            assertArrayEquals(after, byLacuna(disk), "reads like the others afterwards");
            assertTrue(disk.plan(request(free, mode)).isEmpty(), "a second run finds nothing");
        }
        assertStructure(image);
        assertEquals(plan.plannedBytes(), hostBefore - hostAfter, 16384, "what was planned is released: " + plan.retained());
        try (DiskImage disk = open(image, false)) {
            assertTrue(disk.plan(request(free, mode)).isEmpty(), "a second run finds nothing after opening anew");
        }
        return plan;
    }

    private static boolean isFixed(ByteBuffer file) {
        return file.getLong(0) != 0x636f6e6563746978L;
    }

    /** Both footers the same, every block in the file and beside all others. */
    static void assertStructure(Path image) throws IOException {
        assertStructure(Files.readAllBytes(image));
    }

    static void assertStructure(byte[] image) {
        ByteBuffer file = ByteBuffer.wrap(image);
        if (!isFixed(file)) {
            assertEquals(file.slice(0, 512), file.slice(file.capacity() - 512, 512), "footer and copy");
            assertStructureWithAnyEnd(image);
        }
    }

    /** Every block in the file and beside all others. */
    static void assertStructureWithAnyEnd(byte[] image) {
        ByteBuffer file = ByteBuffer.wrap(image);
        if (isFixed(file)) {
            return;
        }
        int table = (int) file.getLong(512 + 16);
        int blockSize = file.getInt(512 + 32);
        int slot = blockSize + Math.max(512, blockSize / 4096);
        int entries = file.getInt(512 + 28);
        int[] places = new int[entries];
        int count = 0;
        for (int i = 0; i < entries; i++) {
            int sector = file.getInt(table + 4 * i);
            if (sector != -1) {
                places[count++] = sector * 512;
            }
        }
        Arrays.sort(places, 0, count);
        for (int i = 0; i < count; i++) {
            int end = i + 1 < count ? places[i + 1] : file.capacity() - 512;
            assertTrue(places[i] >= table + entries * 4 && places[i] + slot <= end, "block at " + places[i]);
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
}
