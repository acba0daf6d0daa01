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
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermission;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;

/**
 * A file that gets its name only when it is complete and durable. Until then it has another name beside it, and is deleted
 * when it is closed, or when the program is asked to end.
 */
final class NewFile implements Closeable {

    /** With less room than this, a failed write is taken for a full disk whatever it says. */
    private static final long NO_ROOM = 4 << 20;

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
            Files.newByteChannel(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE).close();
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
        Set<PosixFilePermission> allowed = Files.getPosixFilePermissions(replaced == null ? temporary : replaced);
        if (replaced == null) {
            for (ImageLayer layer : sources) {
                allowed.retainAll(Files.getPosixFilePermissions(layer.path()));
            }
        }
        allowed.add(PosixFilePermission.OWNER_READ);
        allowed.add(PosixFilePermission.OWNER_WRITE);
        Files.setPosixFilePermissions(temporary, allowed);
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

    /** Makes what was written durable, and gives it its name. */
    void complete() throws IOException {
        file.getChannel().force(true);
        file.close();
        if (replaced != null) {
            Files.move(temporary, target, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } else {
            appear();
            deleteTemporary();
        }
        try (FileChannel directory = FileChannel.open(target.getParent(), StandardOpenOption.READ)) {
            directory.force(true);
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
