package io.lacuna.engine;

import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.HeldFiles;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;

/**
 * Several images of one chain or tree, planned together: each file is locked once, the root first; each layer gives back what
 * its own file system calls free; every plan is made before the first change, and the changes go from the tops to the root,
 * so that no layer changes under one whose turn is still to come. A layer that is refused or fails leaves the others their turn.
 */
final class ChainRun {

    private final ReclaimOptions options;
    private final Batch.Listener listener;
    private final RunContext context;
    private final List<Layer> layers = new ArrayList<>();
    private final BiConsumer<Path, ImageReport> done;

    /** One image of the chain. Session and plan are null from the moment on at which it ended. */
    private static final class Layer {
        private final Path path;
        private Progress progress;
        private ReclaimSession session;
        private ReclaimPlan plan;

        Layer(Path path) {
            this.path = path;
        }
    }

    private ChainRun(List<Path> rootFirst, ReclaimOptions options, Batch.Listener listener, ChildSearch search,
            BiConsumer<Path, ImageReport> done) {
        this.options = options;
        this.listener = listener;
        this.context = new RunContext(search, new HeldFiles());
        this.done = done;
        rootFirst.forEach(path -> layers.add(new Layer(path)));
    }

    /** @param done receives the report of every layer */
    static void run(List<Path> rootFirst, ReclaimOptions options, Batch.Listener listener, ChildSearch search,
            BiConsumer<Path, ImageReport> done) {
        new ChainRun(rootFirst, options, listener, search, done).run();
    }

    private void run() {
        try {
            for (Layer layer : layers) {
                layer.progress = listener.started(layer.path);
                layer.session = Reclaimer.reporting(layer.path, failure -> end(layer, failure),
                        () -> ReclaimSession.open(layer.path, options, context));
            }
            for (Layer layer : layers) {
                if (layer.session != null) {
                    layer.plan = Reclaimer.reporting(layer.path, failure -> end(layer, failure), layer.session::plan);
                }
            }
            for (int i = layers.size() - 1; i >= 0; i--) {
                Layer layer = layers.get(i);
                if (layer.plan != null) {
                    ImageReport report = Reclaimer.reporting(layer.path, failure -> end(layer, failure),
                            () -> Reclaimer.carryOut(layer.session, layer.plan, options, layer.progress));
                    if (report != null) {
                        end(layer, report);
                    }
                }
            }
        } finally {
            for (int i = layers.size() - 1; i >= 0; i--) {
                close(layers.get(i));
            }
        }
    }

    /** All locks of the chain stay until all of it is done. */
    private void close(Layer layer) {
        if (layer.session != null) {
            Reclaimer.reporting(layer.path, failure -> { }, () -> {
                layer.session.close();
                return true;
            });
        }
    }

    private void end(Layer layer, ImageReport report) {
        done.accept(layer.path, report);
        listener.ended(report);
    }

    /**
     * Sorts images by the chains they belong to.
     *
     * @return groups of images of which each is based on another one of its group, or has such a one based on it; the root
     *     first, tops last; the groups in the order of their first image
     */
    static List<List<Path>> groups(List<Path> images, ChildSearch search) {
        Map<Path, Path> given = new LinkedHashMap<>();
        for (Path image : images) {
            given.put(Batch.identityOf(image), image);
        }
        Map<Path, Path> parents = new HashMap<>();
        Map<Path, Integer> depths = new HashMap<>();
        for (Path image : given.keySet()) {
            climb(image, search, given, parents, depths);
        }
        Map<Path, List<Path>> groups = new LinkedHashMap<>();
        for (Path image : given.keySet()) {
            Path root = image;
            while (parents.containsKey(root)) {
                root = parents.get(root);
            }
            groups.computeIfAbsent(root, key -> new ArrayList<>()).add(image);
        }
        List<List<Path>> sorted = new ArrayList<>();
        for (List<Path> group : groups.values()) {
            group.sort(java.util.Comparator.comparing(depths::get));
            sorted.add(group.stream().map(given::get).toList());
        }
        return sorted;
    }

    /** Notes the nearest given image below this one, and how many images it stands on. */
    private static void climb(Path image, ChildSearch search, Map<Path, Path> given, Map<Path, Path> parents,
            Map<Path, Integer> depths) {
        int depth = 0;
        List<Path> folders = image.getParent() == null ? List.of() : List.of(image.getParent());
        List<Path> way = new ArrayList<>(List.of(image));
        for (Path at = search.baseOf(image, folders); at != null && !way.contains(at) && depth < 64; depth++) {
            if (given.containsKey(at)) {
                parents.putIfAbsent(image, at);
            }
            way.add(at);
            at = search.baseOf(at, folders);
        }
        depths.put(image, depth);
    }
}
