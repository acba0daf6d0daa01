package io.lacuna.engine;

import io.lacuna.blockio.Progress;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiConsumer;

/** Many images in one run: each on its own, or with those of its chain, and what happens to one never stops the rest. */
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
        ChildSearch search = new ChildSearch();
        Map<Path, ImageReport> reports = new ConcurrentHashMap<>();
        CountDownLatch left = new CountDownLatch(distinct.size());
        AtomicReference<Throwable> complaint = new AtomicReference<>();
        BiConsumer<Path, ImageReport> done = (image, report) -> {
            try {
                listener.ended(report);
            } catch (RuntimeException | Error e) {
                complaint.compareAndSet(null, e);
            } finally {
                if (reports.put(image, report) == null) {
                    left.countDown();
                }
            }
        };
        ExecutorService workers = jobs == 1 || distinct.size() < 2 ? null
                : Executors.newFixedThreadPool(Math.min(jobs, distinct.size()));
        try {
            List<ChainRun.Chain> chains = distinct.size() == 1 ? List.of(new ChainRun.Chain(List.of(), distinct))
                    : ChainRun.chains(distinct, search);
            Executor executor = workers == null ? Runnable::run : workers;
            for (ChainRun.Chain chain : chains) {
                executor.execute(() -> ChainRun.start(chain, options, listener, search, executor, done));
            }
            left.await();
            if (workers != null) {
                workers.shutdown();
                // The last locks are still to be let go.
                workers.awaitTermination(1, TimeUnit.MINUTES);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            if (workers != null) {
                workers.shutdown();
            }
        }
        if (complaint.get() instanceof Error e) {
            throw e;
        }
        if (complaint.get() instanceof RuntimeException e) {
            throw e;
        }
        return new RunReport(options.purpose() != ReclaimOptions.Purpose.RECLAIM, distinct.stream()
                .map(image -> reports.getOrDefault(image,
                        ImageReport.ended(image, ImageReport.Verdict.FAILED, "interrupted", 0))).toList());
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

    static Path identityOf(Path image) {
        try {
            return image.toRealPath();
        } catch (IOException notThere) {
            return image.toAbsolutePath().normalize();
        }
    }
}
