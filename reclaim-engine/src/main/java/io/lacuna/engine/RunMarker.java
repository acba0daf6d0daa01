package io.lacuna.engine;

import io.lacuna.blockio.FileIdentity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A small file beside the image that stands while a run changes the image's tables. One that stands when a run starts tells
 * that an earlier run was cut, so that blocks nothing refers to are that run's leak and may be taken back.
 *
 * <p>Text, UTF-8: {@value #MAGIC}, then "device:inode" of the image, each on a line. A marker that names another inode
 * belongs to an image that was replaced since, and proves nothing.
 */
final class RunMarker {

    private static final String MAGIC = "lacuna.run/1";
    private static final String SUFFIX = ".lacuna-run";
    /** Ours: far more than a marker can hold. */
    private static final int MAX_SIZE = 4096;

    private final Path marker;
    private final Path directory;
    private final String subject;

    private RunMarker(Path marker, String subject) {
        this.marker = marker;
        this.directory = marker.getParent();
        this.subject = subject;
    }

    /** @param image its path without symbolic links, so that every run looks for the marker in the same place */
    static RunMarker of(Path image, FileIdentity identity) {
        return new RunMarker(image.resolveSibling(image.getFileName() + SUFFIX),
                identity.device() + ":" + identity.inode());
    }

    Path path() {
        return marker;
    }

    /** @return whether an earlier run on this very file was cut */
    boolean stands() throws IOException {
        if (!Files.isRegularFile(marker, LinkOption.NOFOLLOW_LINKS) || Files.size(marker) > MAX_SIZE) {
            return false;
        }
        try {
            return Files.readString(marker, StandardCharsets.UTF_8).equals(content());
        } catch (NoSuchFileException removedSince) {
            return false;
        }
    }

    private String content() {
        return MAGIC + "\n" + subject + "\n";
    }

    /** Puts the marker up, durably, before the first change. One that stands already stays, for its run is not made good yet. */
    void raise() throws IOException {
        if (stands()) {
            return;
        }
        Files.deleteIfExists(marker);
        try (FileChannel channel = FileChannel.open(marker, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW)) {
            ByteBuffer bytes = ByteBuffer.wrap(content().getBytes(StandardCharsets.UTF_8));
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
        if (!Files.isRegularFile(marker, LinkOption.NOFOLLOW_LINKS) || Files.size(marker) > MAX_SIZE) {
            return;
        }
        String text = new String(Files.readAllBytes(marker), StandardCharsets.ISO_8859_1);
        if ((text.startsWith(MAGIC) || MAGIC.startsWith(text)) && Files.deleteIfExists(marker)) {
            syncDirectory();
        }
    }

    private void syncDirectory() throws IOException {
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }
}
