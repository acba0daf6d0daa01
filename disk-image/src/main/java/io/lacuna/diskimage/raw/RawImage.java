package io.lacuna.diskimage.raw;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.block.WorkDone;
import java.io.IOException;
import java.util.List;

/** A file or block device whose bytes are the disk's. There are no tables: to deallocate and to punch are the same. */
final class RawImage implements DiskImage {

    /** A device works through a range at its own pace; in pieces of this size, so that the progress shows. A power of two. */
    private static final long LARGEST_DEVICE_PUNCH = 1L << 32;

    private final HostFile file;

    RawImage(HostFile file) {
        this.file = file;
    }

    @Override
    public String format() {
        return RawFormat.NAME;
    }

    @Override
    public long virtualSize() {
        return file.size();
    }

    @Override
    public long blockSize() {
        return 1;
    }

    @Override
    public BlockSource guest() {
        return file;
    }

    @Override
    public ExtentSet mayHoldData() throws IOException {
        return file.map().allocated().intersect(ExtentSet.ofRange(0, file.size()));
    }

    @Override
    public List<ImageLayer> layers() throws IOException {
        return List.of(new ImageLayer("image", file.path(), format(), file.size(), file.hostBytes()));
    }

    @Override
    public List<String> remarks() {
        return List.of();
    }

    @Override
    public long hostBytes() throws IOException {
        return file.hostBytes();
    }

    @Override
    public Deallocation plan(DeallocationRequest request) throws IOException {
        return RawPlan.of(this, file, request);
    }

    @Override
    public void apply(Deallocation plan, Progress progress) throws IOException {
        if (!(plan instanceof RawPlan ours) || ours.image() != this) {
            throw new IllegalArgumentException("a plan of another image");
        }
        if (ours.isEmpty()) {
            return;
        }
        WorkDone work = new WorkDone(ours.holes().totalBytes(), ours.plannedBytes(), progress);
        for (Extent hole : ours.holes()) {
            long piece = file.isBlockDevice()
                    ? Math.max(ours.granularity(), LARGEST_DEVICE_PUNCH - LARGEST_DEVICE_PUNCH % ours.granularity())
                    : hole.length();
            for (long start = hole.offset(); start < hole.end(); start += piece) {
                long length = Math.min(piece, hole.end() - start);
                file.punch(start, length);
                work.done(length);
            }
        }
        file.sync();
    }

    @Override
    public void close() throws IOException {
        file.close();
    }
}
