package io.lacuna.blockio;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Bytes that can be read at any position: a host file, a virtual disk as its guest sees it, or a window of either.
 * Implementations may be read by several threads at once.
 */
public interface BlockSource {

    /** @return number of bytes */
    long size();

    /**
     * Fills the buffer from its position to its limit; the position is the limit afterwards.
     *
     * @param offset byte from the start of this source
     * @throws EOFException if the range reaches behind {@link #size()}; nothing has been read then
     * @throws IOException if the bytes cannot be read; the buffer's content is undefined then
     */
    void read(long offset, ByteBuffer target) throws IOException;

    /**
     * Says that a range will be read soon, so that the host can fetch it. A hint: it does nothing where it cannot help,
     * never fails, and the range may reach behind the end.
     */
    default void prefetch(long offset, long length) {
    }

    /**
     * @return the bytes {@code [offset, offset + length)} of this source as a source of its own
     * @throws IllegalArgumentException if the window is not inside this source
     */
    default BlockSource window(long offset, long length) {
        return new WindowSource(this, offset, length);
    }

    /** @throws EOFException if {@code [offset, offset + length)} is not inside {@code [0, size)} */
    static void requireInside(long offset, long length, long size) throws EOFException {
        if (offset < 0 || length < 0 || offset > size - length) {
            throw new EOFException("read of " + length + " bytes at " + offset + " is outside of the " + size
                    + " bytes there are");
        }
    }
}
