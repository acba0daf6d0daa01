package io.lacuna.diskimage.undo;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Checksums of ranges of one file. As payload, an entry: u64 offset, u32 length, u32 CRC-32C of the bytes (without the run's id).
 */
final class Checksums {

    static final int ENTRY_SIZE = 16;
    private static final int ENTRIES_PER_RECORD = UndoLayout.CHUNK / ENTRY_SIZE;
    /** Ours; what is read beyond is not remembered. */
    private static final int MOST = 1 << 20;
    /** Bytes under one checksum, and what its boundaries are multiples of: of a larger one a change nearby would cost more. */
    private static final int PIECE = 4096;

    private long[] offsets = new long[64];
    /** Length in the upper, checksum in the lower 32 bits. */
    private long[] values = new long[64];
    private int count;

    static int of(ByteBuffer bytes) {
        CRC32C crc = new CRC32C();
        crc.update(bytes);
        return (int) crc.getValue();
    }

    /** @param bytes from its position to its limit, as read at this offset */
    void add(long offset, ByteBuffer bytes) {
        ByteBuffer rest = bytes.duplicate();
        int end = rest.limit();
        for (long at = offset; rest.position() < end && count < MOST;) {
            int length = (int) Math.min(end - rest.position(), PIECE - at % PIECE);
            add(at, length, of(rest.limit(rest.position() + length)));
            at += length;
        }
    }

    private void add(long offset, int length, int checksum) {
        if (count == offsets.length) {
            offsets = Arrays.copyOf(offsets, 2 * count);
            values = Arrays.copyOf(values, 2 * count);
        }
        offsets[count] = offset;
        values[count++] = (long) length << 32 | checksum & 0xFFFF_FFFFL;
    }

    /** @return whether something may be missing */
    boolean isFull() {
        return count == MOST;
    }

    /** @return payloads of records */
    List<ByteBuffer> encode() {
        List<ByteBuffer> payloads = new ArrayList<>();
        for (int from = 0; from < count; from += ENTRIES_PER_RECORD) {
            int to = Math.min(count, from + ENTRIES_PER_RECORD);
            ByteBuffer payload = UndoLayout.buffer((to - from) * ENTRY_SIZE);
            for (int i = from; i < to; i++) {
                payload.putLong(offsets[i]).putInt((int) (values[i] >>> 32)).putInt((int) values[i]);
            }
            payloads.add(payload.flip());
        }
        return payloads;
    }
}
