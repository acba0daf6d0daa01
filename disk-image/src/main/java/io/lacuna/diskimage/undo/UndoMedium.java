package io.lacuna.diskimage.undo;

import io.lacuna.diskimage.HostSpace;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** Where the bytes of an undo file go; of its own so that tests can cut it. */
interface UndoMedium extends Closeable {

    /** What a guest has deleted is nobody else's to read, whoever may read the image. Counts for a new file only. */
    FileAttribute<?> OWNER_ONLY = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------"));

    /** Opens undo files. */
    @FunctionalInterface
    interface Opener {

        /** @param create whether it must be new; else it must exist */
        UndoMedium open(Path path, boolean create) throws IOException;
    }

    void write(long position, ByteBuffer bytes) throws IOException;

    void truncate(long size) throws IOException;

    /** Makes all that was written durable. */
    void force() throws IOException;

    /** Has room for the file up to this length, if the file system can promise it. The file may be that long then. */
    default void reserve(long length) throws IOException {
    }

    /** A regular file. */
    static UndoMedium file(Path path, boolean create) throws IOException {
        // CREATE_NEW follows no links either.
        Set<OpenOption> options = Set.of(StandardOpenOption.WRITE,
                create ? StandardOpenOption.CREATE_NEW : LinkOption.NOFOLLOW_LINKS);
        FileChannel channel = FileChannel.open(path, options, OWNER_ONLY);
        return new UndoMedium() {
            @Override
            public void write(long position, ByteBuffer bytes) throws IOException {
                long at = position;
                while (bytes.hasRemaining()) {
                    at += channel.write(bytes, at);
                }
            }

            @Override
            public void truncate(long size) throws IOException {
                channel.truncate(size);
            }

            @Override
            public void force() throws IOException {
                channel.force(true);
            }

            @Override
            public void reserve(long length) throws IOException {
                HostSpace.reserve(path, length);
            }

            @Override
            public void close() throws IOException {
                channel.close();
            }
        };
    }
}
