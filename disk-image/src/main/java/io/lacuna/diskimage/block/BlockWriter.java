package io.lacuna.diskimage.block;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Progress;
import java.io.IOException;

/** Does what a {@link BlockPlan} says: tables first, and only when they are durable the storage. */
public final class BlockWriter {

    /** A device works through a range at its own pace; in pieces of this size, so that the progress shows. A power of two. */
    private static final long LARGEST_DEVICE_PUNCH = 1L << 32;

    private final BlockPlan plan;
    private final WorkDone work;

    private BlockWriter(BlockPlan plan, Progress progress) {
        this.plan = plan;
        long bytes = 0;
        for (FilePlan file : plan.files()) {
            bytes += file.punches().totalBytes();
            bytes += file.packing() == null ? 0 : file.packing().moves().size() * file.packing().area().slotSize();
        }
        this.work = new WorkDone(bytes, plan.plannedBytes(), progress);
    }

    /**
     * Applies a plan; all of it is durable on return.
     *
     * @param image the one that is asked to apply it
     * @throws IllegalArgumentException if the plan was not made for this very object
     */
    public static void apply(DiskImage image, Deallocation plan, Progress progress) throws IOException {
        if (!(plan instanceof BlockPlan ours) || ours.image() != image) {
            throw new IllegalArgumentException("a plan of another image");
        }
        if (!ours.isEmpty()) {
            new BlockWriter(ours, progress).run();
        }
    }

    private void run() throws IOException {
        CompactionJournal journal = plan.journal();
        try {
            if (plan.isPacking()) {
                journal.create(plan.mode(), plan.files().stream().filter(FilePlan::isPacked)
                        .mapToLong(file -> file.packing().moves().size()).sum());
            }
            if (!plan.leavesImageAlone()) {
                change();
            }
            if (journal != null && journal.stands()) {
                journal.remove();
            }
        } finally {
            if (journal != null) {
                journal.release();
            }
        }
    }

    private void change() throws IOException {
        BlockTable table = plan.table();
        if (table != null) {
            table.begin(plan.changesTables());
        }
        if (!plan.unmapped().isEmpty()) {
            table.unmap(plan.unmapped());
        }
        if (plan.isPacking()) {
            new BlockMover(plan, work).run();
        }
        for (FilePlan file : plan.files()) {
            punch(file);
        }
        if (table != null) {
            table.end();
        }
    }

    private void punch(FilePlan plan) throws IOException {
        HostFile file = plan.file();
        long granularity = plan.side().granularity();
        for (Extent hole : plan.punches()) {
            long piece = file.isBlockDevice() ? Math.max(granularity, LARGEST_DEVICE_PUNCH - LARGEST_DEVICE_PUNCH % granularity)
                    : hole.length();
            for (long start = hole.offset(); start < hole.end(); start += piece) {
                long length = Math.min(piece, hole.end() - start);
                file.punch(start, length);
                work.done(length);
            }
        }
        if (!plan.punches().isEmpty()) {
            file.sync();
        }
    }
}
