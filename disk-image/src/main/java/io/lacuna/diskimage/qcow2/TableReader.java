package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Reads many tables of big-endian 64-bit numbers: told to the host ahead, neighbours in one read, one after the other. */
final class TableReader {

    private static final int BATCH_BYTES = 1 << 20;
    /** How many tables ahead the host is told. */
    private static final int AHEAD = 256;

    private final BlockSource file;
    private final int tableBytes;

    TableReader(BlockSource file, int tableBytes) {
        this.file = file;
        this.tableBytes = tableBytes;
    }

    /** Takes a table; the array is used again. */
    interface TableSink {
        void take(int index, long[] table) throws IOException;
    }

    /** Takes an entry that is not 0. */
    interface EntrySink {
        void take(long index, long entry) throws IOException;
    }

    /** @param offsets bytes where the tables start */
    void forEach(long[] offsets, int count, TableSink sink) throws IOException {
        long[] table = new long[tableBytes / Long.BYTES];
        ByteBuffer buffer = null;
        int told = 0;
        for (int i = 0; i < count;) {
            if (i >= told - AHEAD / 2) {
                told = tell(offsets, told, Math.min(count, i + AHEAD));
            }
            int batch = 1;
            while (i + batch < count && batch < BATCH_BYTES / tableBytes
                    && offsets[i + batch] == offsets[i] + (long) batch * tableBytes) {
                batch++;
            }
            if (buffer == null || buffer.capacity() < batch * tableBytes) {
                buffer = ByteBuffer.allocate(batch * tableBytes).order(ByteOrder.BIG_ENDIAN);
            }
            buffer.clear().limit(batch * tableBytes);
            HostBytes.readPadded(file, offsets[i], buffer);
            buffer.flip();
            for (int k = 0; k < batch; k++) {
                buffer.slice(k * tableBytes, tableBytes).order(ByteOrder.BIG_ENDIAN).asLongBuffer().get(table);
                sink.take(i + k, table);
            }
            i += batch;
        }
    }

    private int tell(long[] offsets, int from, int to) {
        for (int i = from; i < to;) {
            long start = offsets[i];
            long end = start;
            while (i < to && offsets[i] == end) {
                end += tableBytes;
                i++;
            }
            file.prefetch(start, end - start);
        }
        return Math.max(from, to);
    }

    /** Goes through one long table in steps, so that it costs no memory of its own. */
    void forEachEntry(long offset, int count, EntrySink sink) throws IOException {
        int step = 8192;
        for (int done = 0; done < count; done += step) {
            long[] part = HostBytes.readLongs(file, offset + (long) done * Long.BYTES, Math.min(step, count - done));
            for (int i = 0; i < part.length; i++) {
                if (part[i] != 0) {
                    sink.take(done + i, part[i]);
                }
            }
        }
    }
}
