package io.lacuna.engine;

import io.lacuna.diskimage.HeldFiles;
import io.lacuna.diskimage.ImageBase;
import io.lacuna.diskimage.LibvirtMachines;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.diskimage.Sighting;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Stream;

/**
 * Looks for the images that are based on another one: among those that the caller names, beside the image, and in libvirt's
 * and QEMU's hands. Only headers are read, each once for all images of a run.
 */
final class ChildSearch {

    /** Ours: files of one directory, or below a named one, whose headers are read. */
    private static final int MOST_FILES = 100_000;
    /** Bytes; longer than any descriptor, and than the first cluster of most qcow2 images. */
    private static final int HEAD = 1 << 20;
    /** As long as a chain may be. */
    private static final int LONGEST_CHAIN = 64;

    private final LibvirtMachines libvirt;
    /** Complete once the disks are read. */
    private final List<Path> libvirtUnseen = new ArrayList<>();
    /** By real path. */
    private final Map<Path, Base> bases = new ConcurrentHashMap<>();
    private final Map<Path, Parts> parts = new ConcurrentHashMap<>();
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
     * @param doubts why there may be more of them; each a sentence's start
     * @param strangers what the caller named and is no child, in the same form
     */
    record Result(List<ChildImage> children, List<String> doubts, List<String> strangers) {
        static final Result NONE = new Result(List.of(), List.of(), List.of());
    }

    /**
     * What a file says of what it is based on.
     *
     * @param image empty if on nothing
     * @param doubt why it cannot be told; null if it can
     */
    private record Base(Optional<ImageBase> image, String doubt) {
        static final Base NONE = new Base(Optional.empty(), null);
    }

    /**
     * The other files of an image.
     *
     * @param doubt why they cannot be told; null if they can
     */
    private record Parts(List<Path> files, String doubt) {
    }

    /**
     * @param named files, and directories to search
     * @param held what this run holds itself
     */
    Result of(OpenedImage image, List<Path> named, HeldFiles held) throws IOException {
        Path target = image.realPath();
        Map<Path, String> candidates = new LinkedHashMap<>();
        List<Path> files = new ArrayList<>();
        Set<String> doubts = new LinkedHashSet<>();
        Set<Path> links = new LinkedHashSet<>();
        for (Path name : named) {
            if (Files.isDirectory(name)) {
                // Without a depth: links are not followed, so that there is an end.
                try (Stream<Path> below = Files.walk(real(name))) {
                    addAll(below.iterator(), ChildImage.NAMED, name, candidates, links, doubts);
                } catch (UncheckedIOException e) {
                    doubts.add("a part of " + name + " cannot be read (" + e.getCause().getMessage() + ")");
                }
            } else {
                files.add(name);
                candidates.putIfAbsent(real(name), ChildImage.NAMED);
            }
        }
        List<Path> searched = named.stream().filter(Files::isDirectory).map(ChildSearch::real).toList();
        for (Path link : links) {
            if (searched.stream().noneMatch(real(link)::startsWith)) {
                doubts.add(link + " leads to another directory, which was not searched: name that one, too");
            }
        }
        if (!image.file().isBlockDevice()) {
            addDirectory(target.getParent(), candidates, doubts);
            Path given = image.file().path().toAbsolutePath().getParent();
            if (!given.equals(target.getParent())) {
                addDirectory(given, candidates, doubts);
            }
        }
        addLibvirt(candidates, doubts);
        addHolders(image, candidates);
        Set<Path> owners = ownersOf(image, candidates, doubts);
        Map<Path, ChildImage> children = new LinkedHashMap<>();
        List<Path> folders = target.getParent() == null ? List.of() : List.of(target.getParent());
        for (Map.Entry<Path, String> candidate : candidates.entrySet()) {
            follow(candidate.getKey(), candidate.getValue(), target, folders, candidates, held, children, owners, doubts);
        }
        List<String> strangers = new ArrayList<>();
        for (Path file : files) {
            if (!children.containsKey(real(file)) && !isSame(real(file), target)) {
                strangers.add(file + " was named as a child and is not known to be based on this image");
            }
        }
        List<ChildImage> tree = new ArrayList<>();
        addBelow(target, children.values(), tree);
        return new Result(tree, List.copyOf(doubts), strangers);
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
        return base(real(image), folders).image().map(ImageBase::path).orElse(null);
    }

    /** A flat extent or a data file may be named by itself: what is based on the image that it belongs to is based on it. */
    private Set<Path> ownersOf(OpenedImage image, Map<Path, String> candidates, Set<String> doubts) {
        Set<Path> owners = new HashSet<>();
        if (!image.image().format().equals("raw")) {
            return owners;
        }
        candidates.forEach((candidate, relation) -> {
            if (isSame(candidate, image.realPath())) {
                return;
            }
            Parts parts = this.parts.computeIfAbsent(candidate, ChildSearch::readParts);
            if (parts.files().stream().anyMatch(part -> isSame(part, image.realPath()))) {
                owners.add(candidate);
            } else if (parts.doubt() != null && mentions(candidate, image)) {
                doubts.add("whether " + candidate + " (" + relation + ") has this file as a part of its disk cannot be told: "
                        + parts.doubt());
            }
        });
        return owners;
    }

    /** Names of parts stand near the beginning, in descriptors and headers. In doubt there is one. */
    private static boolean mentions(Path candidate, OpenedImage image) {
        try {
            String head = new String(ImageBase.head(candidate, HEAD), StandardCharsets.UTF_8);
            return Stream.of(image.realPath(), image.file().path())
                    .anyMatch(path -> path.getFileName() != null && head.contains(path.getFileName().toString()));
        } catch (IOException unreadable) {
            return true;
        }
    }

    private static Parts readParts(Path image) {
        try {
            return new Parts(ImageBase.parts(image), null);
        } catch (NoSuchFileException gone) {
            return new Parts(List.of(), null);
        } catch (IOException e) {
            return new Parts(List.of(), e.getMessage());
        }
    }

    /** What cannot be told is asked again: another run may just be changing that image. */
    private Base base(Path image, List<Path> folders) {
        Base known = bases.get(image);
        for (int i = 0; known == null && i < 2; i++) {
            Base read = readBase(image, folders);
            if (read.doubt() == null) {
                bases.put(image, read);
                known = read;
            } else if (i == 1) {
                return read;
            }
        }
        return known;
    }

    private static Base readBase(Path image, List<Path> folders) {
        try {
            return new Base(ImageBase.of(image, folders), null);
        } catch (NoSuchFileException gone) {
            return Base.NONE;
        } catch (IOException e) {
            return new Base(Optional.empty(), e.getMessage());
        }
    }

    /** Climbs from one image towards the target and, if it gets there, notes all on the way, from the target's side. */
    private void follow(Path candidate, String relation, Path target, List<Path> folders, Map<Path, String> relations,
            HeldFiles held, Map<Path, ChildImage> children, Set<Path> owners, Set<String> doubts) {
        List<Path> way = new ArrayList<>();
        Path at = candidate;
        while (at != null && !isSame(at, target) && !owners.contains(at)) {
            if (way.size() == LONGEST_CHAIN) {
                doubts.add("whether " + candidate + " (" + relation + ") is based on this image cannot be told: it stands on more "
                        + "than " + LONGEST_CHAIN + " others, or on itself");
                return;
            }
            way.add(at);
            Base base = base(at, folders);
            if (base.doubt() != null) {
                doubts.add("whether " + at + " (" + relations.getOrDefault(at, relation) + ") is based on this image cannot be "
                        + "told: " + base.doubt());
                return;
            }
            at = base.image().isEmpty() ? null : base.image().get().path() != null ? base.image().get().path()
                    : names(base.image().get().name(), target) ? target : null;
        }
        if (at == null) {
            return;
        }
        for (int i = way.size() - 1; i >= 0; i--) {
            Path path = way.get(i);
            Path base = i == way.size() - 1 ? target : way.get(i + 1);
            children.computeIfAbsent(path, child -> new ChildImage(child, base, isRunning(child, held),
                    relations.getOrDefault(child, relation)));
        }
    }

    /** A file has as many paths as it has names. */
    private static boolean isSame(Path image, Path target) {
        try {
            return image.equals(target) || Files.isSameFile(image, target);
        } catch (IOException gone) {
            return false;
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

    private static void addDirectory(Path directory, Map<Path, String> candidates, Set<String> doubts) {
        try (DirectoryStream<Path> files = Files.newDirectoryStream(directory)) {
            addAll(files.iterator(), ChildImage.BESIDE, directory, candidates, new HashSet<>(), doubts);
        } catch (IOException | DirectoryIteratorException e) {
            doubts.add("whether other images in " + directory + " are based on this one could not be seen");
        }
    }

    private static void addAll(Iterator<Path> files, String relation, Path directory, Map<Path, String> candidates,
            Set<Path> links, Set<String> doubts) {
        int count = 0;
        while (files.hasNext()) {
            Path file = files.next();
            if (!Files.isRegularFile(file)) {
                if (Files.isSymbolicLink(file) && Files.isDirectory(file)) {
                    links.add(file);
                }
                continue;
            }
            if (++count > MOST_FILES) {
                doubts.add("more than " + MOST_FILES + " files are in " + directory + ", and only so many were looked at for "
                        + "images that are based on this one");
                return;
            }
            candidates.putIfAbsent(real(file), relation);
        }
    }

    private void addLibvirt(Map<Path, String> candidates, Set<String> doubts) {
        Map<Path, String> disks;
        synchronized (this) {
            if (libvirtDisks == null) {
                libvirtDisks = libvirt.disks(libvirtUnseen::add);
            }
            disks = libvirtDisks;
        }
        for (Path unseen : libvirtUnseen) {
            doubts.add("which disks the machines of libvirt have cannot be told, for " + unseen + " cannot be read: run as root");
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
