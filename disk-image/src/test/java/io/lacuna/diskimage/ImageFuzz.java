package io.lacuna.diskimage;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryHostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * Does to a damaged image all that comes before the first write.
 *
 * @param format of the image
 * @param directory in which it seems to be
 * @param base a sound parent, whatever its name; null for none
 */
public record ImageFuzz(DiskImageFormat format, Path directory, byte[] base) {

    private static final int STEP = 1 << 16;

    /** Opens, reads and plans. @param data the one other file that the image names; null for none */
    public void read(byte[] image, byte[] data, int options) throws IOException {
        HostFile file = new MemoryHostFile(directory.resolve("image"), image);
        format.recognises(file);
        format.mayHaveParent(file);
        try (DiskImage disk = format.open(file, new Links(data))) {
            disk.layers();
            disk.mayHoldData();
            disk.ownRanges();
            long size = disk.virtualSize();
            ExtentSet.Builder free = ExtentSet.builder();
            for (long at = 0; at < Math.min(size - STEP, 64L * STEP); at += 2 * STEP) {
                free.add(at + 8192, 30 << 10);
            }
            ExtentSet ranges = free.build();
            if ((options & 4) != 0 && size > STEP) {
                ranges = ranges.union(ExtentSet.ofRange(size / 4, size / 2));
            }
            ReclaimMode mode = ReclaimMode.values()[(options & 3) % ReclaimMode.values().length];
            Deallocation plan = disk.plan(new DeallocationRequest(ranges, mode, 0, 0, (options & 8) != 0));
            plan.plannedBytes();
            read(disk, size);
        }
    }

    private static void read(DiskImage disk, long size) throws IOException {
        int length = (int) Math.min(size, STEP);
        for (long at : new long[] {0, size / 2, size - length}) {
            disk.guest().read(Math.min(at, size - length), ByteBuffer.allocate(length));
        }
    }

    private final class Links implements ImageLinks {
        private final byte[] data;

        Links(byte[] data) {
            this.data = data;
        }

        @Override
        public DiskImage openBacking(String name, String backingFormat) throws IOException {
            if (base == null) {
                throw new NoSuchFileException(name);
            }
            return new ImageFuzz(format, directory, null).open(base);
        }

        @Override
        public HostFile openDataFile(String name) throws IOException {
            if (data == null) {
                throw new NoSuchFileException(name);
            }
            return new MemoryHostFile(directory.resolve("data"), data);
        }
    }

    private DiskImage open(byte[] image) throws IOException {
        return format.open(new MemoryHostFile(directory.resolve("base"), image), new Links(null));
    }
}
