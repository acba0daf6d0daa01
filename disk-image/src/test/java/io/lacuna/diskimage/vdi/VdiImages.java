package io.lacuna.diskimage.vdi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.Holdings;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.Set;

/** What the tests do to VDI images, and what must hold after each of them. */
final class VdiImages {

    static final VdiFormat FORMAT = new VdiFormat();

    private VdiImages() {
    }

    static DiskImage open(Path image, boolean writable) throws IOException {
        return open(new PlainHostFile(image, writable));
    }

    static DiskImage open(HostFile file) throws IOException {
        return FORMAT.open(file, new NearbyLinks(file.path().toAbsolutePath().getParent(), FORMAT, false));
    }

    static DeallocationRequest request(ReclaimMode mode, ExtentSet free) {
        return new DeallocationRequest(free, mode, 0, 0, false);
    }

    /** Ranges from pairs of start and end, in KiB. */
    static ExtentSet kib(int... bounds) {
        ExtentSet.Builder set = ExtentSet.builder();
        for (int i = 0; i < bounds.length; i += 2) {
            set.add(bounds[i] * 1024L, (bounds[i + 1] - bounds[i]) * 1024L);
        }
        return set.build();
    }

    static byte[] guest(DiskImage disk) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) disk.virtualSize());
        disk.guest().read(0, bytes);
        Holdings.check(disk, bytes.array());
        return bytes.array();
    }

    /** The disk as QEMU reads it. */
    static byte[] qemu(Path image) throws IOException {
        Path raw = Files.createTempFile(image.toAbsolutePath().getParent(), "content", ".raw");
        Tools.ok("qemu-img", "convert", "-f", "vdi", "-O", "raw", image.toString(), raw.toString());
        byte[] bytes = Files.readAllBytes(raw);
        Files.delete(raw);
        return bytes;
    }

    /** The structure's own rules: no slot twice, none missing below the counter, and the file ends behind the last. */
    static void assertWithoutHoles(byte[] image) {
        ByteBuffer header = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
        int mapOffset = header.getInt(340);
        int blockSize = header.getInt(376);
        Set<Integer> slots = new HashSet<>();
        for (int i = 0; i < header.getInt(384); i++) {
            int entry = header.getInt(mapOffset + 4 * i);
            if (entry >= 0) {
                assertTrue(slots.add(entry), "slot " + entry + " twice");
            }
        }
        assertEquals(slots.size(), header.getInt(388), "the counter");
        for (int i = 0; i < slots.size(); i++) {
            assertTrue(slots.contains(i), "a hole at slot " + i + " of " + slots.size());
        }
        assertEquals(header.getInt(344) + (long) slots.size() * blockSize, image.length, "the file's length");
    }

    /** All that must outlive a run: everything before the map but the counter. */
    static byte[] properties(byte[] image) {
        int mapOffset = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN).getInt(340);
        byte[] header = java.util.Arrays.copyOf(image, mapOffset);
        ByteBuffer.wrap(header).putInt(388, 0);
        return header;
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
    static void assertLive(byte[] before, byte[] after, ExtentSet free, ExtentSet reclaimed, String where) {
        assertEquals(before.length, after.length, where);
        ExtentSet live = ExtentSet.ofRange(0, before.length).minus(free);
        for (Extent range : live) {
            int at = java.util.Arrays.mismatch(before, (int) range.offset(), (int) range.end(), after, (int) range.offset(),
                    (int) range.end());
            assertEquals(-1, at, () -> where + ": live byte " + (range.offset() + at) + " changed");
        }
        for (Extent range : reclaimed) {
            for (int i = (int) range.offset(); i < range.end(); i++) {
                assertEquals(0, after[i], where + ": reclaimed byte " + i);
            }
        }
    }
}
