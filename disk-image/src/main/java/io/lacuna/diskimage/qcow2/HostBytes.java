package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads tables and zeros. */
final class HostBytes {

    private static final int STEP = 64 << 10;
    private static final byte[] ZEROS = new byte[STEP];

    private HostBytes() {
    }

    /** Reads like {@link BlockSource#read}; what lies behind the end is zeros, as QEMU reads it. */
    static void readPadded(BlockSource file, long offset, ByteBuffer target) throws IOException {
        int limit = target.limit();
        long stored = Math.max(0, Math.min(target.remaining(), file.size() - offset));
        if (stored > 0) {
            target.limit(target.position() + (int) stored);
            file.read(offset, target);
            target.limit(limit);
        }
        zero(target, target.remaining());
    }

    static void zero(ByteBuffer target, long length) {
        long left = length;
        while (left > 0) {
            int count = (int) Math.min(left, STEP);
            target.put(ZEROS, 0, count);
            left -= count;
        }
    }

    /** Reads a table of big-endian 64-bit numbers in steps, so that it costs its own memory and little more. */
    static long[] readLongs(BlockSource file, long offset, int count) throws IOException {
        long[] table = new long[count];
        ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(STEP, (long) count * Long.BYTES)).order(ByteOrder.BIG_ENDIAN);
        for (int done = 0; done < count;) {
            int part = Math.min(count - done, buffer.capacity() / Long.BYTES);
            buffer.clear().limit(part * Long.BYTES);
            readPadded(file, offset + (long) done * Long.BYTES, buffer);
            buffer.flip().asLongBuffer().get(table, done, part);
            done += part;
        }
        return table;
    }
}
