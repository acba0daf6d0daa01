package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FreeSpace;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * A file system whose free space is compared with all its inodes before it is told.
 *
 * @param fileSystem what tells the free space
 * @param volume the bytes the inodes are on
 * @param superblock their superblock
 */
record CrossChecked(FileSystem fileSystem, BlockSource volume, Superblock superblock) implements FileSystem {

    @Override
    public String type() {
        return fileSystem.type();
    }

    @Override
    public String label() {
        return fileSystem.label();
    }

    @Override
    public long clusterSize() {
        return fileSystem.clusterSize();
    }

    @Override
    public long length() {
        return fileSystem.length();
    }

    @Override
    public FreeSpace freeSpace() throws IOException {
        FreeSpace space = fileSystem.freeSpace();
        long start = System.nanoTime();
        InodeWalk.Summary summary = new InodeWalk(volume, superblock, space.free()).run();
        List<String> evidence = new ArrayList<>(space.evidence());
        evidence.add("cross-checked: " + summary.inodes() + " inodes with " + summary.extents() + " extents, "
                + summary.bytes() + " bytes, none of them free");
        evidence.add("the cross-check took " + (System.nanoTime() - start) / 1_000_000 + " ms");
        return new FreeSpace(space.free(), space.kept(), evidence, space.remarks());
    }
}
