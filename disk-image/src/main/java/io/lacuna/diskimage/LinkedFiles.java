package io.lacuna.diskimage;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.diskimage.undo.UndoRecorder;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * Opens the files that an image names, as far as they are confined: in the directory tree of the image that the caller
 * named, or in a directory that the caller allowed, after all symbolic links. The chain of files up to here is remembered,
 * so that none is opened twice.
 */
final class LinkedFiles implements ImageLinks {

    /** Ours; QEMU itself gives up at about 200. */
    private static final int LONGEST_CHAIN = 64;

    /** Ours, in bytes: what is shorter is no disk of a guest, so no guest wrote the names in it. */
    private static final int SMALLEST_DISK = 64 << 10;

    /** Linux's limits, in bytes. */
    private static final int LONGEST_PATH = 4095;
    private static final int LONGEST_NAME = 255;

    private final NativeFile file;
    private final Options options;
    private final List<Path> trees;
    private final List<FileStatus> chain;
    private final Said said;
    /** Images from the caller's to this one. */
    private final int depth;
    /** Comes between the image and a file that may be written; null if nothing does. */
    private final UndoRecorder undo;

    /** What is to be said of the files that were opened, all along the chain. */
    private record Said(List<String> remarks, List<NativeFile> files) {
    }

    private LinkedFiles(NativeFile file, Options options, List<Path> trees, List<FileStatus> chain, Said said,
            int depth, UndoRecorder undo) {
        this.file = file;
        this.options = options;
        this.trees = trees;
        this.chain = chain;
        this.said = said;
        this.depth = depth;
        this.undo = undo;
    }

    /** @param file the image that the caller named */
    static LinkedFiles of(NativeFile file, Options options) throws IOException {
        return of(file, options, null);
    }

    /** @param undo comes between the image and each data file; null if nothing does */
    static LinkedFiles of(NativeFile file, Options options, UndoRecorder undo) throws IOException {
        List<Path> trees = new ArrayList<>();
        trees.add(file.realPath().getParent());
        trees.add(givenDirectory(file).toRealPath());
        for (Path allowed : options.allowedBackingDirectories()) {
            trees.add(allowed.toRealPath());
        }
        return new LinkedFiles(file, options, trees, new ArrayList<>(List.of(file.status())),
                new Said(new ArrayList<>(), new ArrayList<>()), 1, undo);
    }

    /** @return what a reader of the report should know about the files that were opened, each a sentence */
    List<String> remarks() {
        return Stream.concat(said.remarks().stream(), said.files().stream().flatMap(opened -> opened.remarks().stream()))
                .toList();
    }

    /** @return the files that were opened, all along the chain */
    List<NativeFile> files() {
        return said.files();
    }

    @Override
    public DiskImage openBacking(String name, String format) throws IOException {
        if (depth >= LONGEST_CHAIN) {
            throw new UnsupportedException("the chain of backing files is longer than " + LONGEST_CHAIN).in(file.path());
        }
        Path path = resolve("backing file", name);
        if (isInDoubt() && options.access() == Access.COPY) {
            throw new UnsafeException("the image names the file " + quoted(name) + ", whose data the copy would hold, and that "
                    + "this is no raw disk is known only from a signature that its guest could have written; if it is none, say so "
                    + "with --format");
        }
        if (format == null) {
            throw new UnsupportedException("the image does not record the format of its backing file " + quoted(name)
                    + ", and it is not guessed, for a guest could have chosen it; record it with: qemu-img rebase -u -F FORMAT "
                    + "-b NAME IMAGE");
        }
        // Nobody writes to a parent, not even a run that writes to its child.
        Access access = options.access() == Access.INSPECT ? Access.INSPECT : Access.PLAN;
        NativeFile backing = open(path, name, access);
        boolean free = false;
        try {
            said.remarks().addAll(HostGuard.ofBackingFile(backing, access, options.held()));
            said.files().add(backing);
            free = true;
        } finally {
            if (!free) {
                backing.close();
            }
        }
        Options readOnly = new Options(access, format, options.allowedBackingDirectories(), false, options.held());
        return DiskImages.openAs(format, backing,
                new LinkedFiles(backing, readOnly, trees, new ArrayList<>(chain), said, depth + 1, null));
    }

    @Override
    public List<Path> directories() {
        return List.copyOf(trees);
    }

    @Override
    public HostFile openDataFile(String name) throws IOException {
        Path path = resolve("data file", name);
        if (isInDoubt() && options.access() != Access.INSPECT) {
            throw new UnsafeException("the image names the file " + quoted(name) + ", which a run would write to, and that this "
                    + "is no raw disk is known only from a signature that its guest could have written; if it is none, say so "
                    + "with --format");
        }
        NativeFile data = open(path, name, options.access());
        boolean usable = false;
        try {
            said.remarks().addAll(HostGuard.ofDataFile(data, options));
            said.files().add(data);
            usable = true;
            return undo == null ? data : undo.wrap(data);
        } finally {
            if (!usable) {
                data.close();
            }
        }
    }

    /** @return whether the image may be a raw disk, whose guest wrote all that is in it */
    private boolean isInDoubt() throws IOException {
        return options.format() == null && file.size() >= SMALLEST_DISK;
    }

    private NativeFile open(Path path, String name, Access access) throws IOException {
        try {
            NativeFile opened = NativeFile.open(path, access.purpose(), (realPath, status) -> admit(name, realPath, status));
            chain.add(opened.status());
            return opened;
        } catch (NoSuchFileException e) {
            throw new UnsupportedException("the image names the file " + quoted(name) + ", which is missing (" + path
                    + "); put it back, for without it the disk cannot be read").in(file.path());
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    private void admit(String name, Path realPath, FileStatus status) throws UnsafeException {
        if (trees.stream().noneMatch(realPath::startsWith)) {
            throw new UnsafeException("the image names the file " + quoted(name) + ", which is " + quoted(realPath.toString())
                    + ", outside of the image's own directory; if that is right, say --allow-backing " + realPath.getParent());
        }
        if (!status.isRegularFile()) {
            throw new UnsafeException("the image names " + quoted(name) + ", which is " + status.kind()
                    + "; files that an image names must be regular files (also under --allow-backing DIR)");
        }
        for (FileStatus earlier : chain) {
            if (earlier.isSameFileAs(status)) {
                throw new UnsafeException("the image's files name each other in a circle: " + quoted(name)
                        + " is part of the chain already");
            }
        }
    }

    private static boolean isTooLong(String name) {
        return name.getBytes(StandardCharsets.UTF_8).length > LONGEST_PATH || Stream.of(name.split("/"))
                .anyMatch(part -> part.getBytes(StandardCharsets.UTF_8).length > LONGEST_NAME);
    }

    /** @return the place that the name means, not looked at yet */
    private Path resolve(String role, String name) throws IOException {
        if (name.isEmpty() || name.chars().anyMatch(Character::isISOControl)) {
            throw new UnsafeException("the image's name for its " + role + ", " + quoted(name)
                    + ", is empty or has control characters; correct it with qemu-img rebase -u, in a directory that "
                    + "--allow-backing DIR allows");
        }
        if (isTooLong(name)) {
            throw new UnsafeException("the image's name for its " + role + ", " + quoted(name) + ", is too long for a file name; "
                    + "correct it with qemu-img rebase -u, in a directory that --allow-backing DIR allows");
        }
        // QEMU's rule: a colon before the first slash ends the name of a protocol.
        int colon = name.indexOf(':');
        if (colon >= 0 && name.lastIndexOf('/', colon) < 0) {
            throw new UnsupportedException("the image's " + role + " " + quoted(name) + " is not a plain file name but a "
                    + "protocol or option string, which Lacuna does not follow; use a file name, in a directory that "
                    + "--allow-backing DIR allows");
        }
        try {
            Path besideFile = file.realPath().resolveSibling(name);
            Path besideLink = givenDirectory(file).resolve(name);
            if (besideLink.equals(besideFile) || !Files.exists(besideLink)) {
                return besideFile;
            }
            // Opened by a symbolic link: QEMU would look beside the link, the image's maker meant beside the file.
            if (Files.exists(besideFile) && !Files.isSameFile(besideFile, besideLink)) {
                throw new UnsafeException("the image's " + role + " " + quoted(name) + " could be " + besideFile + " or "
                        + besideLink + "; name the image by its own path, not by a symbolic link");
            }
            return besideLink;
        } catch (InvalidPathException e) {
            throw new UnsafeException("the image's name for its " + role + ", " + quoted(name)
                    + ", cannot be a file name here; see --allow-backing DIR");
        }
    }

    /** @return the directory of the path that the image was opened by, which may be a symbolic link's */
    private static Path givenDirectory(NativeFile file) {
        return file.path().toAbsolutePath().getParent();
    }

    private static String quoted(String name) {
        StringBuilder text = new StringBuilder("'");
        // Nothing that a terminal would act on, or turn around.
        name.codePoints().limit(200).forEach(c -> {
            if (Character.isISOControl(c) || Character.getType(c) == Character.FORMAT || !Character.isDefined(c)) {
                text.append(String.format("\\u%04x", c));
            } else {
                text.appendCodePoint(c);
            }
        });
        return text.append(name.length() > 200 ? "…'" : "'").toString();
    }
}
