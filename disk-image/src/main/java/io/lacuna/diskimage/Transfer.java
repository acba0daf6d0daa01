package io.lacuna.diskimage;

import java.io.EOFException;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/** Moves whole buffers between memory and a descriptor: direct ones as they are, others through a direct one. */
final class Transfer {

    private Transfer() {
    }

    /** Fills the buffer from its position to its limit. */
    static void read(Path path, int descriptor, long offset, ByteBuffer target) throws IOException {
        if (target.isDirect()) {
            readDirect(path, descriptor, offset, target);
            return;
        }
        ByteBuffer copy = CopyBuffers.take();
        try {
            long position = offset;
            while (target.hasRemaining()) {
                copy.clear().limit(Math.min(copy.capacity(), target.remaining()));
                readDirect(path, descriptor, position, copy);
                position += copy.limit();
                target.put(copy.flip());
            }
        } finally {
            CopyBuffers.giveBack(copy);
        }
    }

    private static void readDirect(Path path, int descriptor, long offset, ByteBuffer target) throws IOException {
        long position = offset;
        while (target.hasRemaining()) {
            long count = LinuxHost.pread(descriptor, LinuxHost.address(target), target.remaining(), position);
            Reference.reachabilityFence(target);
            if (count == 0) {
                throw new EOFException(path + ": the file became shorter while it was read: nothing at " + position);
            }
            if (count > 0) {
                target.position(target.position() + (int) count);
                position += count;
            } else if (Errno.last() != Errno.EINTR) {
                throw Errno.failure(path, "pread at " + position);
            }
        }
    }

    /** Writes the buffer from its position to its limit. */
    static void write(Path path, int descriptor, long offset, ByteBuffer source) throws IOException {
        if (source.isDirect()) {
            writeDirect(path, descriptor, offset, source);
            return;
        }
        ByteBuffer copy = CopyBuffers.take();
        try {
            long position = offset;
            while (source.hasRemaining()) {
                int length = Math.min(copy.capacity(), source.remaining());
                copy.clear().put(source.slice(source.position(), length)).flip();
                writeDirect(path, descriptor, position, copy);
                source.position(source.position() + length);
                position += length;
            }
        } finally {
            CopyBuffers.giveBack(copy);
        }
    }

    private static void writeDirect(Path path, int descriptor, long offset, ByteBuffer source) throws IOException {
        long position = offset;
        while (source.hasRemaining()) {
            long count = LinuxHost.pwrite(descriptor, LinuxHost.address(source), source.remaining(), position);
            Reference.reachabilityFence(source);
            if (count > 0) {
                source.position(source.position() + (int) count);
                position += count;
            } else if (count == 0) {
                throw new IOException(path + ": pwrite at " + position + " wrote nothing");
            } else if (Errno.last() != Errno.EINTR) {
                throw Errno.failure(path, "pwrite at " + position);
            }
        }
    }
}
