package io.lacuna.diskimage.block;

import io.lacuna.blockio.Progress;

/**
 * Tells the progress of a run. Counts what there is to do, bytes that are copied like those that are punched, for to find out what
 * a single hole released would cost more than the call that punches it.
 */
public final class WorkDone {

    private final Progress progress;
    private final long plannedBytes;
    private final long work;
    private long done;

    /**
     * @param work bytes to move and to punch
     * @param plannedBytes host bytes that this will release
     */
    public WorkDone(long work, long plannedBytes, Progress progress) {
        this.progress = progress;
        this.plannedBytes = plannedBytes;
        this.work = Math.max(1, work);
    }

    /** @param bytes that were punched or moved */
    public void done(long bytes) {
        done = Math.min(work, done + bytes);
        progress.advanced((long) ((double) done / work * plannedBytes), plannedBytes);
    }
}
