package io.lacuna.engine;

import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.HeldFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BiConsumer;

/**
 * Several images of one chain or tree, taken together: each file is locked once, the root first; each layer gives back what
 * its own file system calls free; the changes go from the tops to the root, so that no layer changes under one whose turn is
 * still to come. Those that others of the run are based on stay open until all is done; the tops come one after the other, or
 * beside each other. A layer that is refused or fails leaves the others their turn. Whoever wants a proof gets that of an image
 * when all that it is based on has had its turn.
 */
final class ChainRun {

    /** As long as a chain may be. */
    private static final int LONGEST_CHAIN = 64;

    private final ReclaimOptions options;
    private final Batch.Listener listener;
    private final RunContext context;
    private final BiConsumer<Path, ImageReport> done;
    /** Images that others of the run are based on, root first. */
    private final List<Inner> inner;
    private final List<Path> tops;
    private final AtomicInteger topsLeft;
    /** Those that have had their turn, and whose proof is not complete before the others have. */
    private final List<Waiting> waiting = Collections.synchronizedList(new ArrayList<>());
    private boolean innerChanged;

    private record Waiting(ImageReport report, Progress progress) {
    }

    /** An image with its session, from its opening to the end of the run; null once it was refused or failed. */
    private static final class Inner {
        private final Path path;
        private Progress progress;
        private ReclaimSession session;

        Inner(Path path) {
            this.path = path;
        }
    }

    private ChainRun(Chain chain, ReclaimOptions options, Batch.Listener listener, ChildSearch search,
            BiConsumer<Path, ImageReport> done) {
        this.options = options;
        this.listener = listener;
        this.context = new RunContext(search, new HeldFiles());
        this.done = done;
        this.inner = chain.inner().stream().map(Inner::new).toList();
        this.tops = chain.tops();
        this.topsLeft = new AtomicInteger(tops.size());
    }

    /**
     * Starts it: opens what others are based on and hands the tops over; the last of them that is ready goes on to the root.
     *
     * @param done receives the report of every image
     */
    static void start(Chain chain, ReclaimOptions options, Batch.Listener listener, ChildSearch search, Executor executor,
            BiConsumer<Path, ImageReport> done) {
        ChainRun run = new ChainRun(chain, options, listener, search, done);
        for (Inner layer : run.inner) {
            layer.session = Reclaimer.reporting(layer.path, failure -> done.accept(layer.path, failure), () -> {
                layer.progress = listener.started(layer.path);
                return ReclaimSession.open(layer.path, options, run.context);
            });
        }
        for (Path top : run.tops) {
            executor.execute(() -> run.take(top));
        }
    }

    private void take(Path top) {
        try {
            Reclaimer.reporting(top, failure -> done.accept(top, failure), () -> {
                Progress progress = listener.started(top);
                tookTurn(Reclaimer.run(top, options, progress, context), progress, !inner.isEmpty());
                return true;
            });
        } finally {
            if (topsLeft.decrementAndGet() == 0) {
                takeInner();
            }
        }
    }

    /** @param hasParents whether others of the run, that it is based on, are still to have their turn */
    private void tookTurn(ImageReport report, Progress progress, boolean hasParents) {
        if (hasParents && options.purpose() == ReclaimOptions.Purpose.RECLAIM && report.proof() != null
                && report.proof().before() != null && report.proof().after() != null && !report.differs()) {
            waiting.add(new Waiting(report, progress));
        } else {
            done.accept(report.path(), report);
        }
    }

    private void takeInner() {
        for (int i = inner.size() - 1; i >= 0; i--) {
            Inner layer = inner.get(i);
            if (layer.session != null) {
                ImageReport report = Reclaimer.reporting(layer.path, failure -> done.accept(layer.path, failure),
                        () -> Reclaimer.carryOut(layer.session, layer.session.plan(), options, layer.progress));
                innerChanged |= report == null || report.verdict() != ImageReport.Verdict.NOTHING_TO_RECLAIM
                        && report.verdict() != ImageReport.Verdict.REFUSED;
                if (report != null) {
                    tookTurn(report, layer.progress, i > 0);
                }
            }
        }
        for (Waiting one : waiting) {
            Path path = one.report.path();
            ImageReport report = Reclaimer.reporting(path, failure -> done.accept(path, failure), () -> innerChanged
                    ? LiveCheck.afterItsParents(one.report, options, one.progress) : one.report);
            if (report != null) {
                done.accept(path, report);
            }
        }
        // All locks stay until all of it is done.
        for (int i = inner.size() - 1; i >= 0; i--) {
            Inner layer = inner.get(i);
            if (layer.session != null) {
                Reclaimer.reporting(layer.path, closing -> { }, () -> {
                    layer.session.close();
                    return true;
                });
            }
        }
    }

    /**
     * Images that belong together.
     *
     * @param inner those that others of them are based on, the root first
     * @param tops the others
     */
    record Chain(List<Path> inner, List<Path> tops) {
    }

    /** Sorts images by the chains they belong to; one that stands alone is a chain of one top. */
    static List<Chain> chains(List<Path> images, ChildSearch search) {
        Map<Path, Path> given = new LinkedHashMap<>();
        for (Path image : images) {
            given.put(Batch.identityOf(image), image);
        }
        Map<Path, Path> parents = new HashMap<>();
        Map<Path, Integer> depths = new HashMap<>();
        for (Path image : given.keySet()) {
            try {
                climb(image, search, given, parents, depths);
            } catch (RuntimeException | Error e) {
                // What is wrong with it ends in its own report, and stops no other.
                depths.put(image, 0);
            }
        }
        Map<Path, List<Path>> groups = new LinkedHashMap<>();
        for (Path image : given.keySet()) {
            Path root = image;
            for (int i = 0; i < LONGEST_CHAIN && parents.containsKey(root); i++) {
                root = parents.get(root);
            }
            groups.computeIfAbsent(root, key -> new ArrayList<>()).add(image);
        }
        Set<Path> basesOfOthers = new HashSet<>(parents.values());
        List<Chain> chains = new ArrayList<>();
        for (List<Path> group : groups.values()) {
            group.sort(Comparator.comparing(depths::get));
            chains.add(new Chain(group.stream().filter(basesOfOthers::contains).map(given::get).toList(),
                    group.stream().filter(image -> !basesOfOthers.contains(image)).map(given::get).toList()));
        }
        return chains;
    }

    /** Notes the nearest given image below this one, and how many images it stands on. */
    private static void climb(Path image, ChildSearch search, Map<Path, Path> given, Map<Path, Path> parents,
            Map<Path, Integer> depths) {
        int depth = 0;
        List<Path> folders = image.getParent() == null ? List.of() : List.of(image.getParent());
        List<Path> way = new ArrayList<>(List.of(image));
        for (Path at = search.baseOf(image, folders); at != null && !way.contains(at) && depth < LONGEST_CHAIN; depth++) {
            if (given.containsKey(at)) {
                parents.putIfAbsent(image, at);
            }
            way.add(at);
            at = search.baseOf(at, folders);
        }
        depths.put(image, depth);
    }
}
