package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FreeSpace;
import java.io.IOException;

/**
 * An ext file system that was cleanly left, or whose journal was replayed in memory.
 *
 * @param volume the bytes it lies on
 * @param superblock its superblock
 * @param journal its journal; null without one
 * @param replay what the journal still changes; null if the file system was cleanly left
 */
record ExtFileSystem(BlockSource volume, Superblock superblock, Journal journal, Replay replay) implements FileSystem {

    @Override
    public String type() {
        return superblock.features().type();
    }

    @Override
    public String label() {
        return superblock.label();
    }

    @Override
    public long clusterSize() {
        return superblock.clusterSize();
    }

    @Override
    public long length() {
        return superblock.length();
    }

    @Override
    public FreeSpace freeSpace() throws IOException {
        return (replay == null ? new FreeSpaceReader(volume, superblock, journal) : FreeSpaceReader.after(replay, journal)).read();
    }
}
