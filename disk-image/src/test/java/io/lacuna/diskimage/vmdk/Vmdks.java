package io.lacuna.diskimage.vmdk;

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
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Random;

/** What the tests do to VMDK images, and what must hold after each of them. */
final class Vmdks {

    static final VmdkFormat FORMAT = new VmdkFormat();
    static final int MIB = 1 << 20;

    private Vmdks() {
    }

    static DiskImage open(Path image, boolean writable) throws IOException {
        return FORMAT.open(new PlainHostFile(image, writable), new NearbyLinks(image.getParent(), FORMAT, writable));
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

    /** Bytes none of which is 0, the same ones each time. */
    static byte[] pattern(int size, int seed) {
        byte[] bytes = new byte[size];
        new Random(seed).nextBytes(bytes);
        for (int i = 0; i < size; i++) {
            bytes[i] |= 1;
        }
        return bytes;
    }

    static Path pattern(Path file, int size, int seed) throws IOException {
        return Files.write(file, pattern(size, seed));
    }

    /** The disk as QEMU reads it. */
    static byte[] content(Path image) throws IOException {
        Path raw = Files.createTempFile(image.getParent(), "content", ".raw");
        Tools.ok("qemu-img", "convert", "-f", "vmdk", "-O", "raw", image.toString(), raw.toString());
        byte[] bytes = Files.readAllBytes(raw);
        Files.delete(raw);
        return bytes;
    }

    static byte[] guest(DiskImage disk) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) disk.virtualSize());
        disk.guest().read(0, bytes);
        Holdings.check(disk, bytes.array());
        return bytes.array();
    }

    /** Plans and applies; then everything that must hold holds. @return the plan */
    static Deallocation run(Path image, DeallocationRequest request) throws IOException {
        byte[] before = content(image);
        String ids = ids(image);
        Deallocation plan;
        long hostBefore;
        long hostAfter;
        try (DiskImage disk = open(image, true)) {
            hostBefore = disk.hostBytes();
            plan = disk.plan(request);
            assertEquals(hostBefore, disk.hostBytes(), "a plan writes nothing");
            disk.apply(plan, Progress.NONE);
            hostAfter = disk.hostBytes();
            byte[] after = content(image);
            assertAccounts(plan, request.free());
            assertLive(before, after, request.free(), plan.reclaimable());
            assertEquals(-1, Arrays.mismatch(guest(disk), after), "reads like QEMU afterwards");
            assertTrue(disk.plan(request).isEmpty(), "a second run finds nothing");
        }
        assertEquals(plan.plannedBytes(), hostBefore - hostAfter, 16384, "what was planned is released: " + plan.retained());
        assertEquals(ids, ids(image), "descriptors stay as they are");
        try (DiskImage disk = open(image, false)) {
            assertTrue(disk.plan(request).isEmpty(), "a second run finds nothing after opening anew");
        }
        return plan;
    }

    /** The descriptor's text. */
    static String ids(Path image) throws IOException {
        byte[] head = new byte[(int) Math.min(21 * 512, Files.size(image))];
        try (FileChannel channel = FileChannel.open(image)) {
            channel.read(ByteBuffer.wrap(head), 0);
        }
        boolean sparse = head[0] == 'K';
        return new String(head, sparse ? 512 : 0, head.length - (sparse ? 512 : 0), java.nio.charset.StandardCharsets.ISO_8859_1);
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

    static long field(Path file, long offset, int size) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        buffer.limit(size);
        try (FileChannel channel = FileChannel.open(file)) {
            channel.read(buffer, offset);
        }
        return buffer.clear().getLong(0);
    }

    static void set(Path file, long offset, int size, long value) throws IOException {
        ByteBuffer buffer = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(0, value);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.write(buffer.limit(size), offset);
        }
    }

    /** @return byte of the grain table entry of a grain in a hosted sparse file */
    static long entryPlace(Path file, boolean redundant, long grain) throws IOException {
        long directory = field(file, redundant ? 48 : 56, 8) * 512;
        return field(file, directory + grain / 512 * 4, 4) * 512 + grain % 512 * 4;
    }

    static long entry(Path file, boolean redundant, long grain) throws IOException {
        return field(file, entryPlace(file, redundant, grain), 4);
    }

    /** What must hold in a hosted sparse file after any run: the flag off, both tables the same, no grain twice. */
    static void assertStructure(Path file) throws IOException {
        assertEquals(0, field(file, 72, 1), "unclean shutdown flag of " + file);
        long grainBytes = field(file, 20, 8) * 512;
        long grains = (field(file, 12, 8) * 512 + grainBytes - 1) / grainBytes;
        java.util.Set<Long> used = new java.util.HashSet<>();
        for (long grain = 0; grain < grains; grain++) {
            long entry = entry(file, false, grain);
            if ((field(file, 8, 4) & 2) != 0) {
                assertEquals(entry, entry(file, true, grain), "redundant entry of grain " + grain);
            }
            if (entry > 1) {
                assertTrue(used.add(entry), "sector " + entry + " is used twice");
                assertTrue(entry * 512 + 512 <= Files.size(file), "grain " + grain + " is in the file");
            }
        }
    }
}
