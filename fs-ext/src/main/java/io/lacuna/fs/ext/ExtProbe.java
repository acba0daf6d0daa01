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
 * know is refused by {@link #open}.
 */
public final class ExtProbe implements FileSystemProbe {

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
        MountState.requireClean(superblock);
        MultipleMountProtection.requireUnused(volume, superblock);
        Journal journal = superblock.features().has(Features.HAS_JOURNAL) ? Journal.read(volume, superblock) : null;
        if (journal != null) {
            journal.superblock().requireEmpty();
        }
        FileSystem fileSystem = new ExtFileSystem(volume, superblock, journal);
        return options.crossCheck() ? new CrossChecked(fileSystem, volume, superblock) : fileSystem;
    }
}
