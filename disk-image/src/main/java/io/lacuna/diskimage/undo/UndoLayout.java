package io.lacuna.diskimage.undo;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/**
 * Where things are in an undo file. A format of our own; little-endian; every checksum is a CRC-32C over the run's id, then the
 * bytes, so that what is left of another run never passes.
 *
 * <pre>
 *     0  start, one sector: magic, 16 bytes · id of the run, 16 random bytes · u32 number of files · zeros · u32 checksum
 *   512  state, one sector, written again and again: u64 durable length · zeros · u32 checksum
 *  4096  one slot of 64 bytes for each file, written again and again: what identified the file when Lacuna left it last:
 *        u64 inode, size, mtime, ctime (nanoseconds) · zeros · u32 checksum; then zeros up to a multiple of 4096
 *     …  records, up to the end
 * </pre>
 *
 * <p>A record is a header of 48 bytes and its payload: u32 magic · u32 type · u32 file · u32 phase · u64 offset · u64 length ·
 * u32 bytes of the payload · u32 its checksum · u32 zero · u32 checksum of these 44 bytes. All that is before the durable length
 * must be whole; what follows may have been cut while it was written, and then nothing had been done to the image that needs it.
 */
final class UndoLayout {

    static final byte[] MAGIC = "lacuna.undo/1\n\0\0".getBytes(StandardCharsets.US_ASCII);
    static final int SECTOR = 512;
    static final int STATE_AT = 512;
    static final int SLOTS_AT = 4096;
    static final int SLOT_SIZE = 64;
    static final int RECORD_MAGIC = 0x44524F4C;
    static final int RECORD_HEADER = 48;
    static final int RUN_ID_SIZE = 16;
    /** Bytes of the image in one record at most; ours. */
    static final int CHUNK = 1 << 20;
    /** Bytes of a payload at most; ours: a chunk that does not compress is stored as it is. */
    static final int MAX_PAYLOAD = CHUNK;
    /** Files of one image at most; ours: VMDK's descriptor, which may name the most, is far smaller. */
    static final int MAX_FILES = 1 << 16;

    private UndoLayout() {
    }

    static long recordsAt(int files) {
        return SLOTS_AT + ((long) files * SLOT_SIZE + SLOTS_AT - 1) / SLOTS_AT * SLOTS_AT;
    }

    static ByteBuffer buffer(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    static int checksum(byte[] run, byte[] bytes, int from, int length) {
        CRC32C crc = new CRC32C();
        crc.update(run);
        crc.update(bytes, from, length);
        return (int) crc.getValue();
    }

    /** Sets the checksum at the end of the buffer's array, over all before it. */
    static void seal(byte[] run, ByteBuffer buffer) {
        int at = buffer.capacity() - Integer.BYTES;
        buffer.putInt(at, checksum(run, buffer.array(), 0, at));
    }

    static boolean isSealed(byte[] run, ByteBuffer buffer) {
        int at = buffer.capacity() - Integer.BYTES;
        return buffer.getInt(at) == checksum(run, buffer.array(), 0, at);
    }
}
