package io.lacuna.diskimage.block;

import io.lacuna.blockio.FileIdentity;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32C;

/**
 * The content of a compaction journal. All numbers are little-endian. One header, then any number of progress records, the last
 * of which counts; each ends with the CRC32C of the bytes before it in the record. A record that is incomplete or whose sum is
 * wrong ends the journal: the run was cut while it wrote it.
 *
 * <pre>
 * header, 112 bytes:  0 magic "LACUNACJ"   8 version u32, 1        12 size of the header u32, 112
 *                    16 device u64        24 inode u64             32 bytes of the virtual disk u64
 *                    40 name of the format, 24 bytes of ASCII, zero-padded
 *                    64 mode of the run, 24 bytes likewise         88 blocks to be moved u64
 *                    96 zeros, 12 bytes                           108 CRC32C u32
 * progress, 16 bytes: 0 blocks moved so far u64                     8 "MOVE"   12 CRC32C u32
 * </pre>
 *
 * @param device of the image, as {@link FileIdentity} has it
 * @param inode of the image
 * @param virtualSize bytes of the virtual disk
 * @param format name of the image's format
 * @param mode of the run that was cut, as the command line spells it
 * @param moves how many blocks were to be moved
 * @param movesDone how many certainly were
 */
record JournalRecords(long device, long inode, long virtualSize, String format, String mode, long moves, long movesDone) {

    private static final byte[] MAGIC = "LACUNACJ".getBytes(StandardCharsets.US_ASCII);
    private static final int VERSION = 1;
    private static final int HEADER_SIZE = 112;
    private static final int FORMAT_AT = 40;
    private static final int MODE_AT = 64;
    private static final int NAME_SIZE = 24;
    private static final int MOVES_AT = 88;
    private static final int PROGRESS_SIZE = 16;
    private static final int PROGRESS_MARK = 0x45564F4D;
    private static final int CRC_SIZE = Integer.BYTES;

    /** Ours: what is read of a journal at most; progress beyond it is not told. */
    static final int MAX_SIZE = 1 << 20;

    static ByteBuffer header(FileIdentity image, long virtualSize, String format, String mode, long moves) {
        ByteBuffer bytes = ByteBuffer.allocate(HEADER_SIZE).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(MAGIC).putInt(VERSION).putInt(HEADER_SIZE).putLong(image.device()).putLong(image.inode())
                .putLong(virtualSize);
        bytes.position(FORMAT_AT).put(name(format)).position(MODE_AT).put(name(mode)).putLong(MOVES_AT, moves);
        return sealed(bytes);
    }

    static ByteBuffer progress(long movesDone) {
        ByteBuffer bytes = ByteBuffer.allocate(PROGRESS_SIZE).order(ByteOrder.LITTLE_ENDIAN);
        return sealed(bytes.putLong(movesDone).putInt(PROGRESS_MARK));
    }

    private static byte[] name(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
        if (bytes.length > NAME_SIZE) {
            throw new IllegalArgumentException(text);
        }
        return bytes;
    }

    private static ByteBuffer sealed(ByteBuffer record) {
        int end = record.capacity() - CRC_SIZE;
        record.putInt(end, sum(record.array(), 0, end));
        return record.clear();
    }

    private static int sum(byte[] bytes, int from, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, from, length);
        return (int) crc.getValue();
    }

    /** @return whether bytes without a valid header can be what is left of a journal: its beginning, or zeros in its place */
    static boolean mayBeCut(byte[] bytes) {
        for (int i = 0; i < Math.min(bytes.length, MAGIC.length); i++) {
            if (bytes[i] != MAGIC[i] && bytes[i] != 0) {
                return false;
            }
        }
        return true;
    }

    /** @return null if the header is not valid */
    static JournalRecords parse(byte[] bytes) {
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        if (bytes.length < HEADER_SIZE || buffer.slice(0, MAGIC.length).compareTo(ByteBuffer.wrap(MAGIC)) != 0
                || buffer.getInt(8) != VERSION || buffer.getInt(12) != HEADER_SIZE
                || buffer.getInt(HEADER_SIZE - CRC_SIZE) != sum(bytes, 0, HEADER_SIZE - CRC_SIZE)) {
            return null;
        }
        long done = 0;
        for (int at = HEADER_SIZE; at <= bytes.length - PROGRESS_SIZE; at += PROGRESS_SIZE) {
            if (buffer.getInt(at + 8) != PROGRESS_MARK || buffer.getInt(at + 12) != sum(bytes, at, PROGRESS_SIZE - CRC_SIZE)) {
                break;
            }
            done = buffer.getLong(at);
        }
        return new JournalRecords(buffer.getLong(16), buffer.getLong(24), buffer.getLong(32), text(bytes, FORMAT_AT),
                text(bytes, MODE_AT), buffer.getLong(MOVES_AT), done);
    }

    private static String text(byte[] bytes, int at) {
        return new String(bytes, at, NAME_SIZE, StandardCharsets.US_ASCII).replace("\0", "");
    }
}
