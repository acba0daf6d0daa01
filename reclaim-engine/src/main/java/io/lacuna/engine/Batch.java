package io.lacuna.engine;

import io.lacuna.blockio.Progress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Many images in one run: each on its own, so that what happens to one never stops the rest. */
public final class Batch {

    private Batch() {
    }

    /** Hears how a batch goes; called from the threads that work. */
    public interface Listener {

        /** @return who hears how far this image is */
        Progress started(Path image);

        void ended(ImageReport report);
    }

    /**
     * @param images files and devices; one that is named twice is taken once
     * @param jobs how many at a time, at least 1
     * @return one report an image, in the order given
     */
    public static RunReport run(List<Path> images, ReclaimOptions options, int jobs, Listener listener) {
        List<Path> distinct = distinct(images);
        List<ImageReport> reports = new ArrayList<>();
        if (jobs == 1 || distinct.size() == 1) {
            for (Path image : distinct) {
                reports.add(runOne(image, options, listener));
            }
        } else {
            runParallel(distinct, options, Math.min(jobs, distinct.size()), listener, reports);
        }
        return new RunReport(options.purpose() != ReclaimOptions.Purpose.RECLAIM, reports);
    }

    private static void runParallel(List<Path> images, ReclaimOptions options, int jobs, Listener listener,
            List<ImageReport> reports) {
        ExecutorService workers = Executors.newFixedThreadPool(jobs);
        try {
            List<Future<ImageReport>> pending = new ArrayList<>();
            for (Path image : images) {
                pending.add(workers.submit(() -> runOne(image, options, listener)));
            }
            for (int i = 0; i < pending.size(); i++) {
                reports.add(await(pending.get(i), images.get(i)));
            }
        } finally {
            workers.shutdown();
        }
    }

    private static ImageReport await(Future<ImageReport> pending, Path image) {
        try {
            return pending.get();
        } catch (ExecutionException e) {
            return ImageReport.ended(image, ImageReport.Verdict.FAILED, "internal error: " + e.getCause(), 0);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return ImageReport.ended(image, ImageReport.Verdict.FAILED, "interrupted", 0);
        }
    }

    private static ImageReport runOne(Path image, ReclaimOptions options, Listener listener) {
        ImageReport report = Reclaimer.run(image, options, listener.started(image));
        listener.ended(report);
        return report;
    }

    private static List<Path> distinct(List<Path> images) {
        Set<Path> seen = new HashSet<>();
        List<Path> distinct = new ArrayList<>();
        for (Path image : images) {
            if (seen.add(identityOf(image))) {
                distinct.add(image);
            }
        }
        return distinct;
    }

    private static Path identityOf(Path image) {
        try {
            return image.toRealPath();
        } catch (IOException notThere) {
            return image.toAbsolutePath().normalize();
        }
    }
}
