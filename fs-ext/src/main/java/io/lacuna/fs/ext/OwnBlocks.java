package io.lacuna.fs.ext;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;

/** The blocks that the file system itself lies in. A bitmap that calls one of them free cannot be trusted. */
final class OwnBlocks {

    private final Superblock superblock;
    private final GroupLayout layout;
    // One collector a kind: FLEX_BG puts those of a kind side by side, so that each is in ascending order.
    private final Ranges base = new Ranges("superblock copies");
    private final Ranges blockBitmaps = new Ranges("block bitmaps");
    private final Ranges inodeBitmaps = new Ranges("inode bitmaps");
    private final Ranges inodeTables = new Ranges("inode tables");
    private final Ranges others = new Ranges("journal blocks");

    OwnBlocks(Superblock superblock) {
        this.superblock = superblock;
        layout = new GroupLayout(superblock);
    }

    /** Adds what a loaded descriptor names, and the copies at the start of its group. */
    void addGroup(int group, GroupDescriptors descriptors) throws IOException {
        int blockSize = superblock.blockSize();
        long blocks = layout.baseBlocks(group);
        if (blocks > 0) {
            long start = layout.baseStart(group);
            if (blocks > superblock.groupEnd(group) - start) {
                throw new CorruptException("ext block group " + group + ": superblock and descriptors", start * blockSize,
                        "at most the " + (superblock.groupEnd(group) - start) + " blocks of the group", blocks);
            }
            base.add(start * blockSize, blocks * blockSize);
        }
        blockBitmaps.add(descriptors.blockBitmap(group) * blockSize, blockSize);
        inodeBitmaps.add(descriptors.inodeBitmap(group) * blockSize, blockSize);
        inodeTables.add(descriptors.inodeTable(group) * blockSize, (long) superblock.inodeTableBlocks() * blockSize);
    }

    /** @param journal null if there is none */
    void addJournalAndMmp(Journal journal) throws IOException {
        if (journal != null) {
            journal.blocks().addTo(others);
        }
        if (superblock.features().has(Features.MMP)) {
            others.add(superblock.mmpBlock() * superblock.blockSize(), superblock.blockSize());
        }
    }

    /**
     * @return all of them, rounded outwards to whole clusters
     * @throws CorruptException if two of them claim the same block
     */
    ExtentSet clusters() throws IOException {
        Ranges[] kinds = {base, blockBitmaps, inodeBitmaps, inodeTables, others};
        ExtentSet all = ExtentSet.EMPTY;
        long bytes = 0;
        for (Ranges kind : kinds) {
            all = all.union(kind.build());
            bytes += kind.bytes();
        }
        if (all.totalBytes() != bytes) {
            throw new CorruptException("ext: superblocks, descriptors, bitmaps, inode tables and journal (run e2fsck -f in the "
                    + "guest)", -1, "no block in two of them", (bytes - all.totalBytes()) / superblock.blockSize());
        }
        return clustersAround(superblock, all);
    }

    /** @return the whole clusters that these bytes lie in; the last one may reach over the end of the file system */
    static ExtentSet clustersAround(Superblock superblock, ExtentSet bytes) throws IOException {
        if (superblock.blocksPerCluster() == 1) {
            return bytes;
        }
        Ranges clusters = new Ranges("own clusters", Integer.MAX_VALUE);
        long size = superblock.clusterSize();
        for (int i = 0; i < bytes.count(); i++) {
            long start = bytes.start(i) / size * size;
            clusters.add(start, (bytes.end(i) + size - 1) / size * size - start);
        }
        return clusters.build();
    }
}
