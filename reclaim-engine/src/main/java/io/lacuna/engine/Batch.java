package io.lacuna.engine;

import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.HeldFiles;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

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
        ChildSearch search = new ChildSearch();
        List<Path> distinct = distinct(images);
        List<List<Path>> chains = distinct.size() == 1 ? List.of(distinct) : ChainRun.groups(distinct, search);
        Map<Path, ImageReport> reports = new ConcurrentHashMap<>();
        if (jobs == 1 || chains.size() == 1) {
            for (List<Path> chain : chains) {
                run(chain, options, listener, search, reports);
            }
        } else {
            runParallel(chains, options, Math.min(jobs, chains.size()), listener, search, reports);
        }
        return new RunReport(options.purpose() != ReclaimOptions.Purpose.RECLAIM,
                distinct.stream().map(reports::get).toList());
    }

    private static void runParallel(List<List<Path>> chains, ReclaimOptions options, int jobs, Listener listener,
            ChildSearch search, Map<Path, ImageReport> reports) {
        ExecutorService workers = Executors.newFixedThreadPool(jobs);
        try {
            List<Future<?>> pending = new ArrayList<>();
            for (List<Path> chain : chains) {
                pending.add(workers.submit(() -> run(chain, options, listener, search, reports)));
            }
            for (int i = 0; i < pending.size(); i++) {
                String failure = await(pending.get(i));
                for (Path image : chains.get(i)) {
                    reports.computeIfAbsent(image, missing -> ImageReport.ended(missing, ImageReport.Verdict.FAILED, failure, 0));
                }
            }
        } finally {
            workers.shutdown();
        }
    }

    /** @return what went wrong; null if nothing did */
    private static String await(Future<?> pending) {
        try {
            pending.get();
            return null;
        } catch (ExecutionException e) {
            return "internal error: " + e.getCause();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "interrupted";
        }
    }

    private static void run(List<Path> chain, ReclaimOptions options, Listener listener, ChildSearch search,
            Map<Path, ImageReport> reports) {
        if (chain.size() > 1) {
            ChainRun.run(chain, options, listener, search, reports::put);
            return;
        }
        Path image = chain.get(0);
        ImageReport report = Reclaimer.run(image, options, listener.started(image),
                new RunContext(search, new HeldFiles()));
        reports.put(image, report);
        listener.ended(report);
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
