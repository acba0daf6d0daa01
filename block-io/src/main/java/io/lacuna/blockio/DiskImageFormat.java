package io.lacuna.blockio;

import java.io.IOException;

/**
 * Opens one format of disk images. Found by {@link java.util.ServiceLoader}: a new format is a new package and one service
 * line.
 */
public interface DiskImageFormat {

    /** @return the name that {@code --format} and the reports use: "raw", "qcow2", … */
    String name();

    /**
     * Looks for the signature only.
     *
     * @throws IOException if the bytes cannot be read; never because of what they are
     */
    boolean recognises(HostFile file) throws IOException;

    /**
     * Looks whether this is an image of the format that is based on another one, as far as a glance at its header tells: asked of
     * every file beside an image, to find what is based on that.
     *
     * @return false only if it is not of this format, or has no parent for sure
     * @throws IOException if the bytes cannot be read, or are damaged
     */
    default boolean mayHaveParent(HostFile file) throws IOException {
        return recognises(file);
    }

    /**
     * A quick look for whoever searches many files.
     *
     * @return false only if the file is no image of this format, or one that holds all of its disk itself
     */
    default boolean mayHaveParts(HostFile file) throws IOException {
        return false;
    }

    /**
     * Reads and checks the image's header. Takes the file over: closing the image closes it, and so does a failure here.
     *
     * @param links opens the other files that the header names
     * @throws DiskFormatException if the image must be refused
     */
    DiskImage open(HostFile file, ImageLinks links) throws IOException;
}
