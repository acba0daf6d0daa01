package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FileSystemProbe;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.blockio.VolumeOptions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * Finds ext2, ext3 and ext4. A file system that was not cleanly unmounted, has errors or uses features that Lacuna does not
 * know is refused by {@link #open}; a journal that is still to be replayed is replayed in memory if the caller asks for it. One
 * with fast commits is compared with its inodes, asked or not.
 */
public final class ExtProbe implements FileSystemProbe {

    /** Ours: inode tables of more bytes are read only by who asks for it. Ten seconds from a fast disk. */
    private static final long MOST_UNASKED = 16L << 30;

    @Override
    public Optional<String> recognise(BlockSource volume) throws IOException {
        if (volume.size() < Superblock.OFFSET + Superblock.SIZE) {
            return Optional.empty();
        }
        ByteBuffer superblock = ByteBuffer.allocate(Superblock.SIZE).order(ByteOrder.LITTLE_ENDIAN);
        volume.read(Superblock.OFFSET, superblock);
        if ((superblock.getShort(Superblock.MAGIC_AT) & 0xFFFF) != Superblock.MAGIC) {
            return Optional.empty();
        }
        return Optional.of(Features.at(superblock).type());
    }

    @Override
    public FileSystem open(BlockSource volume, VolumeOptions options) throws IOException {
        Superblock superblock = Superblock.read(volume);
        boolean replay = options.replayJournal() && superblock.features().has(Features.RECOVER);
        if (replay) {
            MountState.requireReplayable(superblock);
        } else {
            MountState.requireClean(superblock);
        }
        HashTree.requireNone(volume, superblock);
        MultipleMountProtection.requireUnused(volume, superblock);
        Journal journal = superblock.features().has(Features.HAS_JOURNAL) ? Journal.read(volume, superblock) : null;
        boolean fastCommits = hasFastCommits(superblock, journal);
        if (fastCommits && !options.crossCheck()) {
            requireFewInodes(volume, superblock);
        }
        if (replay) {
            Replay replayed = Replay.of(volume, superblock, journal);
            ExtFileSystem fileSystem = new ExtFileSystem(volume, superblock, journal, replayed);
            return options.crossCheck() || fastCommits ? new CrossChecked(fileSystem, replayed.volume(), replayed.superblock())
                    : fileSystem;
        }
        if (journal != null) {
            journal.superblock().requireEmpty();
        }
        ExtFileSystem fileSystem = new ExtFileSystem(volume, superblock, journal, null);
        return options.crossCheck() || fastCommits ? new CrossChecked(fileSystem, volume, superblock) : fileSystem;
    }

    /** Linux can replay fast commits into bitmaps that miss blocks in use, and then calls the file system clean (seen in 6.18). */
    private static boolean hasFastCommits(Superblock superblock, Journal journal) {
        return superblock.features().has(Features.FAST_COMMIT)
                || journal != null && journal.superblock().has(JournalSuperblock.FAST_COMMIT);
    }

    private static void requireFewInodes(BlockSource volume, Superblock superblock) throws IOException {
        GroupDescriptors descriptors = new GroupDescriptors(volume, superblock);
        long bytes = 0;
        for (int group = 0; group < superblock.groupCount();) {
            int end = group + descriptors.load(group);
            for (; group < end; group++) {
                bytes += (long) descriptors.inodesEverUsed(group) * superblock.inodeSize();
            }
        }
        if (bytes > MOST_UNASKED) {
            throw new UnsupportedException("the file system may have had fast commits, which calls for a comparison of its bitmaps "
                    + "with all inodes, and these are " + bytes + " bytes: allow it with --cross-check");
        }
    }
}
