package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FileSystemProbe;
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
        if (replay) {
            Replay replayed = Replay.of(volume, superblock, journal);
            return checked(new ExtFileSystem(volume, superblock, journal, replayed), replayed.volume(), replayed.superblock(),
                    options);
        }
        if (journal != null) {
            journal.superblock().requireEmpty();
        }
        return checked(new ExtFileSystem(volume, superblock, journal, null), volume, superblock, options);
    }

    private static FileSystem checked(ExtFileSystem fileSystem, BlockSource volume, Superblock superblock, VolumeOptions options) {
        if (!options.crossCheck() && !hasFastCommits(fileSystem)) {
            return fileSystem;
        }
        return new CrossChecked(fileSystem, volume, superblock, options.crossCheck() ? Long.MAX_VALUE : MOST_UNASKED);
    }

    /** Linux can replay fast commits into bitmaps that miss blocks in use, and then calls the file system clean (seen in 6.1). */
    private static boolean hasFastCommits(ExtFileSystem fileSystem) {
        Journal journal = fileSystem.journal();
        return fileSystem.superblock().features().has(Features.FAST_COMMIT)
                || journal != null && journal.superblock().has(JournalSuperblock.FAST_COMMIT);
    }
}
