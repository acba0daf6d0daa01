package io.lacuna.diskimage.vhdx;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;

/** Opens images and compares what the guest reads with what independent readers make of them. */
final class Reading {

    static final VhdxFormat FORMAT = new VhdxFormat();

    private Reading() {
    }

    static DiskImage open(Path image) throws IOException {
        return FORMAT.open(new PlainHostFile(image, false), new NearbyLinks(image.getParent(), FORMAT, false));
    }

    /** @return the content as QEMU reads it; it knows no differencing disks, and must have no log to replay */
    static Path byQemu(Path image, Path directory) throws IOException {
        Path raw = directory.resolve("qemu-" + image.getFileName() + ".raw");
        Files.deleteIfExists(raw);
        Tools.ok("qemu-img", "convert", "-f", "vhdx", "-O", "raw", image.toString(), raw.toString());
        return raw;
    }

    /** @return the content as libvhdi reads it, which finds parents by itself */
    static Path byLibvhdi(Path image, Path directory) throws IOException {
        Tools.require("vhdimount");
        Tools.requireFuse();
        Path raw = directory.resolve("libvhdi-" + image.getFileName() + ".raw");
        Tools.shell("mkdir \"$2.mnt\"; vhdimount \"$1\" \"$2.mnt\" > \"$2.log\"; "
                + "trap 'umount \"$2.mnt\"; rmdir \"$2.mnt\"' EXIT\n"
                + "last=$(ls \"$2.mnt\" | sort -V | tail -n 1); cp --sparse=always \"$2.mnt/$last\" \"$2\"; chmod u+w \"$2\"",
                image, raw);
        return raw;
    }

    static void assertReadsLike(Path raw, Path image) throws IOException {
        try (DiskImage disk = open(image)) {
            assertReadsLike(raw, disk);
        }
    }

    /** Reads in pieces of odd sizes: all that is stored in the raw file, a little around it, and here and there between. */
    static void assertReadsLike(Path raw, DiskImage disk) throws IOException {
        Random random = new Random(1);
        try (PlainHostFile expected = new PlainHostFile(raw, false)) {
            assertEquals(expected.size(), disk.virtualSize());
            ExtentSet.Builder ranges = ExtentSet.builder();
            for (Extent stored : expected.map().allocated()) {
                long start = Math.max(0, stored.offset() - 100_000);
                ranges.add(start, Math.min(expected.size(), stored.end() + 100_000) - start);
            }
            for (int i = 0; i < 50; i++) {
                long start = (long) (random.nextDouble() * expected.size());
                ranges.add(start, Math.min(expected.size() - start, 1 + random.nextInt(100_000)));
            }
            for (Extent range : ranges.build()) {
                assertSame(range, expected, disk, random);
            }
        }
    }

    private static void assertSame(Extent range, PlainHostFile expected, DiskImage disk, Random random) throws IOException {
        for (long position = range.offset(); position < range.end();) {
            int length = (int) Math.min(range.end() - position, random.nextInt(8) == 0 ? 1 + random.nextInt(1000)
                    : 1 + random.nextInt(12_000_000));
            ByteBuffer found = ByteBuffer.allocate(length);
            ByteBuffer wanted = ByteBuffer.allocate(length);
            disk.guest().prefetch(position, length);
            disk.guest().read(position, found);
            expected.read(position, wanted);
            assertEquals(-1, found.flip().mismatch(wanted.flip()), "difference behind " + position);
            position += length;
        }
    }

    /** Reads one byte of the guest's disk. */
    static int byteAt(DiskImage disk, long offset) throws IOException {
        ByteBuffer one = ByteBuffer.allocate(1);
        disk.guest().read(offset, one);
        return one.get(0) & 0xFF;
    }
}
