package io.lacuna.diskimage.block;

import io.lacuna.blockio.Progress;

/** Tells the progress of a run, in which bytes that are copied count as those that are punched. */
final class WorkDone {

    private final Progress progress;
    private final long plannedBytes;
    private final long work;
    private long done;

    WorkDone(BlockPlan plan, Progress progress) {
        this.progress = progress;
        this.plannedBytes = plan.plannedBytes();
        long bytes = 0;
        for (FilePlan file : plan.files()) {
            bytes += file.punches().totalBytes();
            bytes += file.packing() == null ? 0 : file.packing().moves().size() * file.packing().area().slotSize();
        }
        this.work = Math.max(1, bytes);
    }

    /** @param bytes that were punched or moved */
    void done(long bytes) {
        done = Math.min(work, done + bytes);
        progress.advanced((long) ((double) done / work * plannedBytes), plannedBytes);
    }
}
