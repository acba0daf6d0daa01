package io.lacuna.engine;

import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import java.io.Closeable;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.EnumSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Stream;

/**
 * A file that gets its name only when it is complete and durable. Until then it has another name beside it, and is deleted
 * when it is closed, or when the program is asked to end.
 */
final class NewFile implements Closeable {

    /** With less room than this, a failed write is taken for a full disk whatever it says. */
    private static final long NO_ROOM = 4 << 20;

    /** rw-rw-rw- */
    private static final int READ_AND_WRITE = 0666;
    private static final String PREFIX = ".lacuna-copy-";

    private final Path named;
    private final Path target;
    private final Path temporary;
    /** Keeps others from the file that will be replaced; null if there is none. */
    private final OpenedImage replaced;
    private final Thread atExit;
    private RandomAccessFile file;

    private NewFile(Path named, Path target, Path temporary, OpenedImage replaced) {
        this.named = named;
        this.target = target;
        this.temporary = temporary;
        this.replaced = replaced;
        this.atExit = new Thread(this::deleteTemporary, "delete unfinished copy");
    }

    /**
     * Begins a file.
     *
     * @param sources files that it must not take the place of
     * @param force whether it may take the place of another
     * @throws UnsafeException if the place is taken, or if the file that has it is in use
     * @throws IOException if nothing can be written there
     */
    static NewFile begin(Path named, List<ImageLayer> sources, boolean force) throws IOException {
        boolean exists = Files.exists(named, LinkOption.NOFOLLOW_LINKS);
        if (exists) {
            requireReplaceable(named, sources, force);
        }
        Path target = exists ? named.toRealPath() : named.toAbsolutePath();
        Path directory = target.getParent();
        if (directory == null || !Files.isDirectory(directory)) {
            throw new IOException("the copy cannot be written: " + directory + " is not a directory");
        }
        OpenedImage replaced = exists ? lock(target) : null;
        Path temporary = directory.resolve(PREFIX + Long.toHexString(ThreadLocalRandom.current().nextLong()));
        NewFile begun = new NewFile(named, target, temporary, replaced);
        boolean usable = false;
        try {
            // Never opens what is there: neither a file nor a link that somebody put in its place.
            // For its owner alone until it is known who may read it.
            Files.newByteChannel(temporary, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE),
                    PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"))).close();
            restrict(temporary, exists ? target : null, sources);
            Runtime.getRuntime().addShutdownHook(begun.atExit);
            begun.file = new RandomAccessFile(temporary.toFile(), "rw");
            usable = true;
            return begun;
        } catch (IOException e) {
            throw new IOException("the copy cannot be written to " + directory + ": " + e, e);
        } finally {
            if (!usable) {
                begun.close();
            }
        }
    }

    /** Before it holds anything: who may not read a source may not read the copy; a file that is replaced keeps its mode. */
    private static void restrict(Path temporary, Path replaced, List<ImageLayer> sources) throws IOException {
        Set<PosixFilePermission> allowed = replaced == null ? ofNewFiles() : Files.getPosixFilePermissions(replaced);
        if (replaced == null) {
            for (ImageLayer layer : sources) {
                allowed.retainAll(Files.getPosixFilePermissions(layer.path()));
            }
        }
        allowed.add(PosixFilePermission.OWNER_READ);
        allowed.add(PosixFilePermission.OWNER_WRITE);
        Files.setPosixFilePermissions(temporary, allowed);
    }

    /** @return what the process' mask leaves of a new file's permissions; the owner's alone where the kernel does not tell it */
    private static Set<PosixFilePermission> ofNewFiles() throws IOException {
        Set<PosixFilePermission> allowed = EnumSet.noneOf(PosixFilePermission.class);
        try (Stream<String> lines = Files.lines(Path.of("/proc/self/status"))) {
            int mask = lines.filter(line -> line.startsWith("Umask:")).findFirst()
                    .map(line -> Integer.parseInt(line.substring(6).strip(), 8)).orElse(0077);
            PosixFilePermission[] all = PosixFilePermission.values();
            for (int bit = 0; bit < all.length; bit++) {
                if ((READ_AND_WRITE & ~mask & 0400 >> bit) != 0) {
                    allowed.add(all[bit]);
                }
            }
        } catch (NumberFormatException | NoSuchFileException untold) {
            allowed.clear();
        }
        return allowed;
    }

    private static void requireReplaceable(Path named, List<ImageLayer> sources, boolean force) throws IOException {
        if (!Files.exists(named)) {
            throw new UnsafeException("is a symbolic link that leads nowhere: name the place itself").in(named);
        }
        for (ImageLayer layer : sources) {
            if (Files.isSameFile(named, layer.path())) {
                throw new UnsafeException("the copy would take the place of " + (layer.role().equals("image") ? "its source"
                        : "a file that its source needs (" + layer.path() + ")") + ": choose another name").in(named);
            }
        }
        if (!Files.isRegularFile(named)) {
            throw new UnsupportedException("is not a regular file, and a copy can only take the place of one: choose another name")
                    .in(named);
        }
        if (!force) {
            throw new UnsafeException("exists already; choose another name, or say --force to replace it").in(named);
        }
    }

    /** As raw, for what it holds does not matter: only that nobody uses it. */
    private static OpenedImage lock(Path target) throws IOException {
        return DiskImages.open(target, new DiskImages.Options(DiskImages.Access.WRITE, "raw", List.of()));
    }

    /** @return the file to write to */
    RandomAccessFile file() {
        return file;
    }

    /** @return where the file is until then */
    Path temporary() {
        return temporary;
    }

    /** @return where the file will be, all symbolic links followed */
    Path target() throws IOException {
        return target.getParent().toRealPath().resolve(target.getFileName());
    }

    /** Makes what was written durable; nothing is written after it. */
    void sync() throws IOException {
        file.getChannel().force(true);
        file.close();
    }

    /**
     * Gives it its name.
     *
     * @return what a reader of the report should know, a sentence: from the moment it has its name nothing fails any more
     */
    Optional<String> publish() throws IOException {
        if (replaced != null) {
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } else {
            appear();
            deleteTemporary();
        }
        try (FileChannel directory = FileChannel.open(target.getParent(), StandardOpenOption.READ)) {
            directory.force(true);
            return Optional.empty();
        } catch (IOException e) {
            return Optional.of("The copy is complete and durable, but the directory could not be synced (" + e + "): a power cut "
                    + "in the next seconds may take the name from it.");
        }
    }

    /** A link fails where a rename would replace what has come in the meantime. */
    private void appear() throws IOException {
        try {
            Files.createLink(target, temporary);
        } catch (FileAlreadyExistsException e) {
            throw new UnsafeException("has appeared while the copy was being written, and was left alone").in(named);
        } catch (UnsupportedOperationException | FileSystemException noLinksHere) {
            if (Files.exists(target, LinkOption.NOFOLLOW_LINKS)) {
                throw new UnsafeException("has appeared while the copy was being written, and was left alone").in(named);
            }
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE);
        }
    }

    /** @return the failure as one that says what to do, if the reason is a lack of room; else the failure itself */
    IOException explain(IOException failure, long bytesToCopy) {
        String message = String.valueOf(failure.getMessage());
        long room;
        try {
            room = Files.getFileStore(temporary).getUsableSpace();
        } catch (IOException unknown) {
            room = Long.MAX_VALUE;
        }
        if (message.contains("No space left") || message.contains("quota exceeded") || message.contains("File too large")
                || room < NO_ROOM) {
            return new IOException("no room for the copy in " + target.getParent() + " (" + message + "): it holds up to "
                    + bytesToCopy + " bytes of data; nothing is left of it. Free some space there, or copy to another place",
                    failure);
        }
        return failure;
    }

    private void deleteTemporary() {
        try {
            Files.deleteIfExists(temporary);
        } catch (IOException leftBehind) {
            // Of a name that says what it is; the run's own outcome matters more.
        }
    }

    @Override
    public void close() throws IOException {
        try {
            if (file != null) {
                file.close();
            }
            if (replaced != null) {
                replaced.close();
            }
        } finally {
            deleteTemporary();
            try {
                Runtime.getRuntime().removeShutdownHook(atExit);
            } catch (IllegalStateException endsAlready) {
                // The hook finds nothing to delete.
            }
        }
    }
}
