package io.lacuna.engine;

import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.block.CompactionJournal;
import io.lacuna.diskimage.undo.FileFacts;
import io.lacuna.diskimage.undo.Restorer;
import io.lacuna.diskimage.undo.RunFacts;
import io.lacuna.diskimage.undo.UndoFile;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Puts back what a run discarded, from its undo file. */
public final class Undo {

    private static final String SUFFIX = ".lacuna-undo";

    private final Path path;
    private final long startNanos = System.nanoTime();
    private final List<String> remarks = new ArrayList<>();
    private Path image;

    private Undo(Path path) {
        this.path = path;
    }

    /**
     * @param undo an undo file, or a directory for those of several images
     * @return the undo file of one image
     */
    public static Path fileOf(Path image, Path undo) {
        return Files.isDirectory(undo) ? undo.resolve(image.getFileName() + SUFFIX) : undo;
    }

    /**
     * Puts an image back to what it was before the run. Never throws for what is wrong with the image or the undo file.
     *
     * @param path of the undo file
     * @param unchanged whether the caller vouches that nothing has written to the image since a run or an undo that was
     *     cut; of a run that came to its end the image itself must prove that
     */
    public static UndoReport run(Path path, boolean unchanged, Progress progress) {
        Undo undo = new Undo(path);
        ImageReport[] ended = new ImageReport[1];
        UndoReport done = Reclaimer.reporting(path, failure -> ended[0] = failure, () -> undo.run(unchanged, progress));
        if (done != null) {
            return done;
        }
        boolean refused = ended[0].verdict() == ImageReport.Verdict.REFUSED;
        return undo.report(refused ? UndoReport.Verdict.REFUSED : UndoReport.Verdict.FAILED, ended[0].reason(), 0, -1, -1);
    }

    private UndoReport report(UndoReport.Verdict verdict, String reason, long bytes, long hostBefore, long hostAfter) {
        return new UndoReport(path, image, verdict, reason, bytes, hostBefore, hostAfter, Reclaimer.millisSince(startNanos),
                remarks);
    }

    private UndoReport run(boolean unchanged, Progress progress) throws IOException {
        UndoFile undo = UndoFile.read(path);
        image = undo.files().isEmpty() ? null : undo.files().get(0).path();
        switch (undo.state()) {
            case UNCHANGED -> {
                return report(UndoReport.Verdict.NOTHING_TO_RESTORE, null, 0, -1, -1);
            }
            case UNDONE -> throw new UnsafeException("this undo file was used already: the image was put back to what it was")
                    .in(path);
            case CUT -> remarks.add("The run was cut; what it had done until then is taken back.");
            case UNDOING -> remarks.add("An earlier undo was cut; this one finishes it.");
            case DONE -> { }
        }
        List<HostFile> files = new ArrayList<>();
        try {
            for (FileFacts file : undo.files()) {
                files.add(open(file, files.isEmpty()));
            }
            long before = hostBytes(files);
            HostFile own = files.get(0);
            tellOfLaterRun(undo, own);
            new Restorer(undo, files, progress).run(unchanged, () -> tidy(undo.facts(), own));
            return report(UndoReport.Verdict.RESTORED, null, undo.dataBytes(), before, hostBytes(files));
        } finally {
            close(files);
        }
    }

    /** The run that is to be undone came to its end, so what stands beside the image is another one's. */
    private void tellOfLaterRun(UndoFile undo, HostFile own) throws IOException {
        if (undo.state() == UndoFile.State.DONE && !own.isBlockDevice()) {
            String notice = CompactionJournal.of(own, undo.facts().format(), undo.facts().virtualSize()).notice();
            if (notice != null) {
                remarks.add(notice);
            }
        }
    }

    private HostFile open(FileFacts file, boolean own) throws IOException {
        try {
            return DiskImages.openFile(file.path(), own, remarks);
        } catch (NoSuchFileException e) {
            throw new UnsafeException("the image's file " + file.path() + " is not there: put the very file back that the run "
                    + "worked on, under this name").in(path);
        }
    }

    /** The signs of a cut run beside the image are as they were before the run, too. */
    private void tidy(RunFacts facts, HostFile file) {
        if (file.isBlockDevice()) {
            return;
        }
        try {
            restoreSigns(facts, file);
        } catch (IOException e) {
            remarks.add("The image is as it was, but the signs of a cut run beside it could not be put right: " + e.getMessage()
                    + ".");
        }
    }

    private static void restoreSigns(RunFacts facts, HostFile file) throws IOException {
        CompactionJournal journal = CompactionJournal.of(file, facts.format(), facts.virtualSize());
        if (journal.stands()) {
            journal.remove();
        }
        RunMarker marker = RunMarker.of(file.path().toRealPath(), file.identity());
        if (facts.marked()) {
            marker.raise();
        } else {
            marker.remove();
        }
    }

    private static long hostBytes(List<HostFile> files) throws IOException {
        long sum = 0;
        for (HostFile file : files) {
            long bytes = file.hostBytes();
            if (bytes < 0) {
                return -1;
            }
            sum += bytes;
        }
        return sum;
    }

    private static void close(List<HostFile> files) throws IOException {
        IOException failure = null;
        for (HostFile file : files) {
            try {
                file.close();
            } catch (IOException e) {
                failure = failure == null ? e : failure;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
