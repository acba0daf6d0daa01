package io.lacuna.blockio;

import java.io.IOException;
import java.util.Optional;

/**
 * Finds one family of file systems on a volume. Found by {@link java.util.ServiceLoader}: a new file system is a new module
 * and one service line.
 */
public interface FileSystemProbe {

    /**
     * Looks for the signature only. Lax on purpose: a volume that carries the signatures of two formats is left alone, so a
     * stale or damaged one must still be seen.
     *
     * @param volume the bytes of one partition, or of a disk without a table
     * @return the type ("ntfs", "ext4", …) if the signature is there
     * @throws IOException if the bytes cannot be read; never because of what they are
     */
    Optional<String> recognise(BlockSource volume) throws IOException;

    /**
     * Reads and checks the file system's main structures.
     *
     * @throws DiskFormatException if free space must not be told from this file system: the reason the volume is skipped
     * @throws IOException if the bytes cannot be read
     */
    FileSystem open(BlockSource volume, VolumeOptions options) throws IOException;

    /** Opens with {@link VolumeOptions#NONE}. */
    default FileSystem open(BlockSource volume) throws IOException {
        return open(volume, VolumeOptions.NONE);
    }
}
