package io.lacuna.engine;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.diskimage.block.CompactionJournal;
import io.lacuna.diskimage.undo.RunFacts;
import io.lacuna.diskimage.undo.UndoRecorder;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** The undo file of one run; where none was asked for, nothing happens. */
final class KeptBytes implements Closeable {

    private final Path path;
    private final boolean dryRun;
    private final UndoRecorder recorder;

    private KeptBytes(Path path, boolean dryRun, UndoRecorder recorder) {
        this.path = path;
        this.dryRun = dryRun;
        this.recorder = recorder;
    }

    /** @throws io.lacuna.blockio.UnsafeException if there is such a file already; a dry run says so, too */
    static KeptBytes of(Path image, ReclaimOptions options) throws IOException {
        if (options.undo() == null || options.purpose() == ReclaimOptions.Purpose.INSPECT) {
            return new KeptBytes(null, false, null);
        }
        Path path = Undo.fileOf(image, options.undo());
        UndoRecorder recorder = new UndoRecorder(path);
        recorder.requireAbsent();
        boolean dryRun = options.purpose() == ReclaimOptions.Purpose.DRY_RUN;
        return new KeptBytes(path, dryRun, dryRun ? null : recorder);
    }

    /** @return what comes between the image and its files; null if nothing does */
    UndoRecorder recorder() {
        return recorder;
    }

    /**
     * Keeps what the plan will discard, durably; nothing was changed before.
     *
     * @param marked whether the sign of a cut run stands
     */
    void keep(OpenedImage opened, Deallocation plan, boolean marked) throws IOException {
        if (recorder != null) {
            DiskImage image = opened.image();
            boolean journal = !opened.file().isBlockDevice()
                    && CompactionJournal.of(opened.file(), image.format(), image.virtualSize()).stands();
            recorder.arm(new RunFacts("lacuna " + Reclaimer.VERSION, image.format(), image.virtualSize(),
                    System.currentTimeMillis(), marked || journal), plan.changesTables(), plan.hostRanges());
        }
    }

    void finish() throws IOException {
        if (recorder != null) {
            try {
                recorder.finish();
            } catch (IOException e) {
                throw new IOException("the image is done, but the undo file " + path + " could not be completed: "
                        + e.getMessage(), e);
            }
        }
    }

    List<String> remarks(Deallocation plan) throws IOException {
        if (path == null || plan.isEmpty()) {
            return List.of();
        }
        return List.of(dryRun ? "The undo file would take at most " + UndoRecorder.atMost(plan.hostRanges()) + " bytes."
                : "What was discarded is kept in " + path + " (" + Files.size(path) + " bytes); lacuna undo puts it back.");
    }

    @Override
    public void close() throws IOException {
        if (recorder != null) {
            recorder.close();
        }
    }
}
