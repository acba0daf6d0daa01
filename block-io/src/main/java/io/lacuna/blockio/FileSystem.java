package io.lacuna.blockio;

import java.io.IOException;

/** A file system whose main structures have been read and found sound. Reads only. */
public interface FileSystem {

    /** @return "ntfs", "ext2", "ext3", "ext4", … */
    String type();

    /** @return the name its user gave it; empty if none */
    String label();

    /** @return bytes of the allocation unit, one bit of the bitmap */
    long clusterSize();

    /** @return bytes from the start of the volume that the bitmaps speak for; what lies behind is never free */
    long length();

    /**
     * Reads the bitmaps, once, in large sequential reads, and proves them against the rest of the file system.
     *
     * @throws DiskFormatException if they cannot be trusted: the reason the volume is skipped
     * @throws IOException if the bytes cannot be read
     */
    FreeSpace freeSpace() throws IOException;
}
