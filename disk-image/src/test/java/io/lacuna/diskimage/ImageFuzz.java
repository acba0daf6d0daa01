package io.lacuna.diskimage;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryHostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Does to a damaged image all that a run does. Up to the plan nothing may be written; whoever refuses has written
 * nothing; and where a run goes through, every byte that it was not told to be free reads as before.
 *
 * @param format of the image
 * @param directory in which it seems to be
 * @param base a sound parent, whatever its name; null for none
 */
public record ImageFuzz(DiskImageFormat format, Path directory, byte[] base) {

    private static final int STEP = 1 << 16;
    /** Read from the start of a disk; of what is behind, a piece in the middle and the last one. */
    private static final long READ = 16L * STEP;

    /**
     * Opens, reads, plans and runs.
     *
     * @param image not changed
     * @param data the one other file that the image names; null for none
     * @param options two bits for the mode, one for a large range, one for a repair, one to stop before the first write
     */
    public void read(byte[] image, byte[] data, int options) throws IOException {
        Opened opened = new Opened(image, data);
        List<byte[]> before;
        Deallocation plan;
        boolean apply = (options & 16) == 0;
        try (DiskImage disk = opened.open()) {
            try {
                disk.layers();
                disk.mayHoldData();
                disk.ownRanges();
                plan = disk.plan(request(disk.virtualSize(), options));
                requireSound(plan, request(disk.virtualSize(), options).free(), disk.virtualSize());
                before = read(disk);
                opened.requireUnchanged("by a plan", null);
                if (apply) {
                    disk.apply(plan, Progress.NONE);
                }
            } catch (IOException refused) {
                opened.requireUnchanged("and refused", refused);
                throw refused;
            }
        } finally {
            Files.deleteIfExists(directory.resolve("image.lacuna-journal"));
        }
        if (apply) {
            requireSame(before, opened, plan.discarded());
        }
    }

    private static DeallocationRequest request(long size, int options) {
        // Several ranges in any disk, with whole blocks and parts of some at both ends where blocks are small.
        long step = Math.max(8192, Math.min(STEP, size / 4 / 4096 * 4096));
        ExtentSet.Builder free = ExtentSet.builder();
        for (long at = 0; at < Math.min(size - 2 * step, 64L * STEP); at += 2 * step) {
            free.add(at + step / 8, step + step / 2);
        }
        ExtentSet ranges = free.build();
        if ((options & 4) != 0 && size > STEP) {
            ranges = ranges.union(ExtentSet.ofRange(size / 4, size / 2));
        }
        ReclaimMode mode = ReclaimMode.values()[(options & 3) % ReclaimMode.values().length];
        return new DeallocationRequest(ranges, mode, 0, 0, (options & 8) != 0);
    }

    private static void requireSound(Deallocation plan, ExtentSet free, long size) throws IOException {
        ExtentSet all = plan.reclaimable();
        long sum = all.totalBytes();
        for (Deallocation.Retained part : plan.retained()) {
            all = all.union(part.bytes());
            sum += part.bytes().totalBytes();
        }
        require(all.equals(free) && sum == free.totalBytes(), "the plan does not account for each free byte once");
        require(plan.discarded().minus(free).isEmpty(), "the plan discards what is in use");
        require(plan.reclaimable().minus(plan.discarded()).isEmpty(), "the plan releases what it does not discard");
        require(plan.plannedBytes() >= 0 && plan.unreferencedBytes() >= 0, "fewer than no bytes of a disk of " + size);
        for (Deallocation.HostRanges ranges : plan.hostRanges()) {
            ExtentSet inside = ExtentSet.ofRange(0, (ranges.file().size() + 4095) / 4096 * 4096);
            ExtentSet lost = ranges.released().union(ranges.replaced());
            require(lost.minus(inside).isEmpty(), "released behind the end of the file");
        }
    }

    private static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    private static List<Extent> pieces(long size) {
        List<Extent> pieces = new ArrayList<>();
        for (long at = 0; at < Math.min(size, READ); at += STEP) {
            pieces.add(new Extent(at, Math.min(STEP, size - at)));
        }
        if (size > READ) {
            pieces.add(new Extent(size / 2, Math.min(STEP, size - size / 2)));
            pieces.add(new Extent(size - STEP, STEP));
        }
        return pieces;
    }

    /** @return its pieces; null for those that cannot be read */
    private static List<byte[]> read(DiskImage disk) {
        List<byte[]> read = new ArrayList<>();
        for (Extent piece : pieces(disk.virtualSize())) {
            ByteBuffer bytes = ByteBuffer.allocate((int) piece.length());
            try {
                disk.guest().read(piece.offset(), bytes);
                read.add(bytes.array());
            } catch (IOException damaged) {
                read.add(null);
            }
        }
        return read;
    }

    private void requireSame(List<byte[]> before, Opened changed, ExtentSet discarded) {
        try (DiskImage disk = changed.again().open()) {
            List<Extent> pieces = pieces(disk.virtualSize());
            require(pieces.size() == before.size(), "the disk has another size after a run");
            List<byte[]> after = read(disk);
            for (int i = 0; i < pieces.size(); i++) {
                byte[] old = before.get(i);
                byte[] now = after.get(i);
                if (old == null) {
                    continue;
                }
                require(now != null, pieces.get(i) + " cannot be read any more after a run");
                for (Extent gone : discarded.intersect(pieces.get(i)).shift(-pieces.get(i).offset())) {
                    Arrays.fill(old, (int) gone.offset(), (int) gone.end(), (byte) 0);
                    Arrays.fill(now, (int) gone.offset(), (int) gone.end(), (byte) 0);
                }
                int wrong = Arrays.mismatch(old, now);
                require(wrong < 0, "live byte " + (pieces.get(i).offset() + wrong) + " changed");
            }
        } catch (IOException e) {
            throw new AssertionError("cannot be opened any more after a run", e);
        }
    }

    /** The files of an image, each in memory. */
    private final class Opened implements ImageLinks {
        private final MemoryHostFile file;
        private final MemoryHostFile data;
        private final List<MemoryHostFile> parents = new ArrayList<>();

        Opened(byte[] image, byte[] data) {
            file = new MemoryHostFile(directory.resolve("image"), image.clone());
            this.data = data == null ? null : new MemoryHostFile(directory.resolve("data"), data.clone());
        }

        Opened again() {
            return new Opened(file.bytes(), data == null ? null : data.bytes());
        }

        DiskImage open() throws IOException {
            format.recognises(file);
            try {
                format.mayHaveParent(file);
            } catch (IOException damaged) {
                // Whether it can be opened all the same is up to the format.
            }
            return format.open(file, this);
        }

        void requireUnchanged(String when, IOException cause) {
            boolean unchanged = file.changes() == 0 && (data == null || data.changes() == 0)
                    && parents.stream().allMatch(parent -> parent.changes() == 0);
            if (!unchanged) {
                throw new AssertionError("changed " + when, cause);
            }
        }

        @Override
        public DiskImage openBacking(String name, String backingFormat) throws IOException {
            if (base == null) {
                throw new NoSuchFileException(name);
            }
            MemoryHostFile parent = new MemoryHostFile(directory.resolve("base"), base.clone());
            parents.add(parent);
            ImageFuzz alone = new ImageFuzz(format, directory, null);
            return format.open(parent, alone.new Opened(new byte[0], null));
        }

        @Override
        public HostFile openDataFile(String name) throws IOException {
            if (data == null) {
                throw new NoSuchFileException(name);
            }
            return data;
        }
    }
}
