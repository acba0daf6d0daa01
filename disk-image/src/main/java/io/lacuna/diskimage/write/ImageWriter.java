package io.lacuna.diskimage.write;

import java.io.Closeable;
import java.io.IOException;

/**
 * Writes one new image into a file that is empty at first. The data goes to the end of the file as it comes; tables that stand
 * before it have their place kept free and are written when they are known.
 */
public interface ImageWriter extends Closeable {

    /** Does the part of the work that needs no order. Several threads may call it at once, for different chunks. */
    default void prepare(Chunk chunk) {
    }

    /**
     * Takes the next piece of the disk, which was prepared.
     *
     * @param chunk its offset is above that of the piece before
     */
    void write(Chunk chunk) throws IOException;

    /** Writes the rest: tables, headers, the file's length. Does not sync. */
    void finish() throws IOException;

    /** Lets go of memory; the file belongs to the caller. */
    @Override
    default void close() {
    }
}
