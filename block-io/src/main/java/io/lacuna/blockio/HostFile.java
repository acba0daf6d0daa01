package io.lacuna.blockio;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.concurrent.TimeUnit;

/**
 * A file or block device of the host that holds an image, or a part of one. Everything that Lacuna does to an image goes
 * through this interface, and the implementation holds one descriptor for all of it.
 *
 * <p>Writes are durable only after {@link #sync()}; the order of two writes without a sync between them is not kept by a
 * power cut.
 */
public interface HostFile extends BlockSource, Closeable {

    /** @return the path it was opened by, for messages and for finding neighbours */
    Path path();

    boolean isBlockDevice();

    boolean isWritable();

    /** @return what identifies file and content state at this moment */
    FileIdentity identity() throws IOException;

    /**
     * Writes the buffer from its position to its limit. May make a regular file longer.
     *
     * @throws IOException if not all of it was written; the range is undefined then
     */
    void write(long offset, ByteBuffer source) throws IOException;

    /**
     * Releases the host storage of a range, which reads as zeros from then on. The size stays. On a device that knows only
     * BLKDISCARD ({@link PunchSupport#zeroes()} false) the range reads as anything.
     *
     * @param offset a multiple of the granularity from {@link #punchSupport()}
     * @param length a multiple of it, too, or up to the end of a regular file
     */
    void punch(long offset, long length) throws IOException;

    /** Has {@link #punch} fail, from now on, rather than leave anything but zeros: what is punched may be in use. */
    void insistOnZeroes();

    /** Makes a regular file shorter. */
    void truncate(long size) throws IOException;

    /**
     * Sets the modification time of a regular file, for formats in which another file depends on it; nothing on a block device.
     *
     * @param nanos since 1970
     */
    default void setModified(long nanos) throws IOException {
        if (!isBlockDevice()) {
            Files.setLastModifiedTime(path(), FileTime.from(nanos, TimeUnit.NANOSECONDS));
        }
    }

    /** Makes all that was written, punched and truncated before durable. */
    void sync() throws IOException;

    /** @return which ranges the host stores at this moment; on a block device all, for it cannot tell */
    HostMap map() throws IOException;

    /** @return bytes the host spends on it (st_blocks); -1 for a block device, for it cannot tell */
    long hostBytes() throws IOException;

    /**
     * Tries once, on a file of its own beside this one, whether and how finely the host can punch.
     *
     * @throws UnsupportedException if it cannot; nothing was changed
     */
    PunchSupport punchSupport() throws IOException;
}
