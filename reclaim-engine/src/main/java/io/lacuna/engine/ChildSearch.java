package io.lacuna.engine;

import io.lacuna.diskimage.HeldFiles;
import io.lacuna.diskimage.ImageBase;
import io.lacuna.diskimage.LibvirtMachines;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.diskimage.Sighting;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * Looks for the images that are based on another one: among those that the caller names, beside the image, and in libvirt's
 * and QEMU's hands. Only headers are read, each once for all images of a run.
 */
final class ChildSearch {

    /** Ours: files of one directory, or below a named one, whose headers are read. */
    private static final int MOST_FILES = 10_000;
    /** Ours: directories below a named one. */
    private static final int DEEPEST = 16;
    /** As long as a chain may be. */
    private static final int LONGEST_CHAIN = 64;

    private final LibvirtMachines libvirt;
    /** By real path; a file without a parent has an empty one. */
    private final Map<Path, Optional<ImageBase>> bases = new ConcurrentHashMap<>();
    private Map<Path, String> libvirtDisks;

    ChildSearch(LibvirtMachines libvirt) {
        this.libvirt = libvirt;
    }

    ChildSearch() {
        this(LibvirtMachines.ofThisHost());
    }

    /**
     * What was found.
     *
     * @param children as a tree: each after the one it is based on, and before that one's next child
     * @param doubts why what the caller named may be not all, or not what he thinks; each a sentence's start
     * @param remarks what could not be searched, each a sentence
     */
    record Result(List<ChildImage> children, List<String> doubts, List<String> remarks) {
        static final Result NONE = new Result(List.of(), List.of(), List.of());
    }

    /**
     * @param named files, and directories to search
     * @param held what this run holds itself
     */
    Result of(OpenedImage image, List<Path> named, HeldFiles held) throws IOException {
        Path target = image.realPath();
        Map<Path, String> candidates = new LinkedHashMap<>();
        List<Path> files = new ArrayList<>();
        List<String> doubts = new ArrayList<>();
        List<String> remarks = new ArrayList<>();
        for (Path name : named) {
            if (Files.isDirectory(name)) {
                try (Stream<Path> below = Files.walk(name, DEEPEST, new FileVisitOption[0])) {
                    addAll(below.iterator(), ChildImage.NAMED, name, candidates, remarks);
                } catch (java.io.UncheckedIOException e) {
                    doubts.add("a part of " + name + " cannot be read (" + e.getCause().getMessage() + ")");
                }
            } else {
                files.add(name);
                candidates.putIfAbsent(real(name), ChildImage.NAMED);
            }
        }
        if (!image.file().isBlockDevice()) {
            addDirectory(target.getParent(), candidates, remarks);
            Path given = image.file().path().toAbsolutePath().getParent();
            if (!given.equals(target.getParent())) {
                addDirectory(given, candidates, remarks);
            }
        }
        addLibvirt(candidates);
        addHolders(image, candidates);
        Map<Path, ChildImage> children = new LinkedHashMap<>();
        List<Path> folders = target.getParent() == null ? List.of() : List.of(target.getParent());
        for (Map.Entry<Path, String> candidate : candidates.entrySet()) {
            follow(candidate.getKey(), candidate.getValue(), target, folders, candidates, held, children);
        }
        for (Path file : files) {
            if (!children.containsKey(real(file))) {
                doubts.add(file + " was named as a child and is not known to be based on this image");
            }
        }
        List<ChildImage> tree = new ArrayList<>();
        addBelow(target, children.values(), tree);
        return new Result(tree, doubts, remarks);
    }

    /** Each image is based on one, so there is no circle below the target. */
    private static void addBelow(Path base, Iterable<ChildImage> children, List<ChildImage> tree) {
        for (ChildImage child : children) {
            if (child.base().equals(base)) {
                tree.add(child);
                addBelow(child.path(), children, tree);
            }
        }
    }

    /** @return the image's direct parent, by its real path; null if there is none, or none that can be told */
    Path baseOf(Path image, List<Path> folders) {
        return base(real(image), folders).map(ImageBase::path).orElse(null);
    }

    private Optional<ImageBase> base(Path image, List<Path> folders) {
        return bases.computeIfAbsent(image, path -> {
            try {
                return Files.isRegularFile(path) || Files.exists(path) && !Files.isDirectory(path)
                        ? ImageBase.of(path, folders) : Optional.empty();
            } catch (IOException notAnImage) {
                return Optional.empty();
            }
        });
    }

    /** Climbs from one image towards the target and, if it gets there, notes all on the way, from the target's side. */
    private void follow(Path candidate, String relation, Path target, List<Path> folders, Map<Path, String> relations,
            HeldFiles held, Map<Path, ChildImage> children) {
        List<Path> way = new ArrayList<>();
        Path at = candidate;
        while (at != null && !at.equals(target) && way.size() < LONGEST_CHAIN) {
            way.add(at);
            Optional<ImageBase> base = base(at, folders);
            at = base.isEmpty() ? null : base.get().path() != null ? base.get().path()
                    : names(base.get().name(), target) ? target : null;
        }
        if (!target.equals(at)) {
            return;
        }
        for (int i = way.size() - 1; i >= 0; i--) {
            Path path = way.get(i);
            Path base = i == way.size() - 1 ? target : way.get(i + 1);
            children.computeIfAbsent(path, child -> new ChildImage(child, base, isRunning(child, held),
                    relations.getOrDefault(child, relation)));
        }
    }

    /** A name that is an option string or leads nowhere is this image's if it ends, or has a part that ends, as its path does. */
    private static boolean names(String name, Path target) {
        return target.getFileName() != null && name.contains(target.getFileName().toString());
    }

    private static boolean isRunning(Path child, HeldFiles held) {
        try {
            return Sighting.lockHolder(child, held).isPresent();
        } catch (IOException cannotBeTold) {
            return true;
        }
    }

    private void addDirectory(Path directory, Map<Path, String> candidates, List<String> remarks) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
            addAll(files.iterator(), ChildImage.BESIDE, directory, candidates, remarks);
        } catch (IOException | DirectoryIteratorException e) {
            remarks.add("Whether other images in " + directory + " are based on this one could not be seen.");
        }
    }

    private static void addAll(Iterator<Path> files, String relation, Path directory, Map<Path, String> candidates,
            List<String> remarks) {
        int count = 0;
        while (files.hasNext()) {
            Path file = files.next();
            if (!Files.isRegularFile(file)) {
                continue;
            }
            if (++count > MOST_FILES) {
                remarks.add(directory + " has more than " + MOST_FILES + " files: only so many were looked at for images that are "
                        + "based on this one.");
                return;
            }
            candidates.putIfAbsent(real(file), relation);
        }
    }

    private void addLibvirt(Map<Path, String> candidates) {
        Map<Path, String> disks;
        synchronized (this) {
            if (libvirtDisks == null) {
                libvirtDisks = libvirt.disks();
            }
            disks = libvirtDisks;
        }
        disks.forEach((disk, machine) ->
                candidates.putIfAbsent(real(disk), "disk of the libvirt machine '" + machine + "'"));
    }

    /** A running machine has the whole chain open. */
    private static void addHolders(OpenedImage image, Map<Path, String> candidates) throws IOException {
        if (image.reader().isPresent()) {
            for (Sighting.Holder holder : Sighting.holders(image.realPath())) {
                holder.files().forEach(file -> candidates.putIfAbsent(real(file), "open in " + holder.name()));
            }
        }
    }

    private static Path real(Path path) {
        try {
            return path.toRealPath();
        } catch (IOException notThere) {
            return path.toAbsolutePath().normalize();
        }
    }
}
