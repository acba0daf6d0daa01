package io.lacuna.engine;

import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/**
 * A small file beside the image that stands while a run changes the image's tables. One that stands when a run starts tells
 * that an earlier run was cut, so that blocks nothing refers to are that run's leak and may be taken back.
 *
 * <p>Text, UTF-8: {@value #MAGIC}, then the inode of the image, each on a line. A marker that names another inode belongs to an
 * image that was replaced since, and proves nothing. The device is left out: its number may be another one after the restart
 * that follows a power cut.
 */
final class RunMarker {

    private static final String MAGIC = "lacuna.run/1";
    private static final String SUFFIX = ".lacuna-run";
    /** Ours: far more than a marker can hold. */
    private static final int MAX_SIZE = 4096;

    private final Path marker;
    private final Path directory;
    private final String content;

    private RunMarker(Path marker, String content) {
        this.marker = marker;
        this.directory = marker.getParent();
        this.content = content;
    }

    /** @param image its path without symbolic links, so that every run looks for the marker in the same place */
    static RunMarker of(Path image, FileIdentity identity) {
        return new RunMarker(image.resolveSibling(image.getFileName() + SUFFIX), MAGIC + "\n" + identity.inode() + "\n");
    }

    /** @return whether an earlier run on this very file was cut */
    boolean stands() throws IOException {
        return read().filter(content::equals).isPresent();
    }

    /** @return what the marker says, also a half-written one; empty if there is none, or something else in its place */
    private Optional<String> read() throws IOException {
        if (!Files.isRegularFile(marker, LinkOption.NOFOLLOW_LINKS) || Files.size(marker) > MAX_SIZE) {
            return Optional.empty();
        }
        byte[] bytes;
        // Whoever may write in the directory may have put a link in its place since.
        try (InputStream in = Files.newInputStream(marker, LinkOption.NOFOLLOW_LINKS)) {
            bytes = in.readNBytes(MAX_SIZE);
        }
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        return text.startsWith(MAGIC) || MAGIC.startsWith(text) ? Optional.of(text) : Optional.empty();
    }

    /** @throws UnsafeException if something that is no marker has its place */
    void requirePlace() throws IOException {
        if (read().isEmpty() && Files.exists(marker, LinkOption.NOFOLLOW_LINKS)) {
            throw new UnsafeException(marker + " is not one of Lacuna's own files, but has the name of the marker that must stand"
                    + " there while the image is changed: move it away, then try again");
        }
    }

    /**
     * Puts the marker up, durably, before the first change. One that stands already stays, for its run is not made good yet.
     *
     * @throws UnsafeException if something that is no marker has its place
     */
    void raise() throws IOException {
        if (stands()) {
            return;
        }
        requirePlace();
        try {
            Files.deleteIfExists(marker);
            write();
        } catch (IOException e) {
            throw new IOException("nothing was changed, for the marker " + marker + ", which must stand beside the image"
                    + " meanwhile, cannot be written: " + e, e);
        }
    }

    private void write() throws IOException {
        try (FileChannel channel = FileChannel.open(marker, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            ByteBuffer bytes = ByteBuffer.wrap(content.getBytes(StandardCharsets.UTF_8));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
        syncDirectory();
    }

    /**
     * Takes the marker down; all changes are durable by now. Also one that a cut left half written, which was before the first
     * change, and one of an image that was replaced since; never a file that is no marker.
     */
    void remove() throws IOException {
        if (read().isPresent() && Files.deleteIfExists(marker)) {
            syncDirectory();
        }
    }

    private void syncDirectory() throws IOException {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
