package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * One entry of the log: a header of 64 bytes, descriptors of 32 bytes up to a whole sector, then a sector for each data
 * descriptor. Source: [MS-VHDX] 2.3.1.
 *
 * @param position byte of the log where it begins
 * @param length bytes, whole sectors
 * @param tail byte of the log where the oldest entry begins that may not be in its place yet
 * @param sequence number, one higher from entry to entry
 * @param descriptors how many there are
 * @param flushedFileOffset bytes that the file has at least if nothing was cut off it
 * @param lastFileOffset bytes that the file needs for all that is in it
 */
record LogEntry(long position, long length, long tail, long sequence, int descriptors, long flushedFileOffset,
        long lastFileOffset) {

    static final int HEADER_SIZE = 64;
    static final int DESCRIPTOR_SIZE = 32;
    static final String SIGNATURE = "loge";
    static final int CHECKSUM = 4; // u32: CRC-32C of the whole entry with this field zero
    static final int ENTRY_LENGTH = 8; // u32
    static final int TAIL = 12; // u32
    static final int SEQUENCE = 16; // u64
    static final int DESCRIPTOR_COUNT = 24; // u32
    static final int LOG_GUID = 32;
    static final int FLUSHED_FILE_OFFSET = 48; // u64
    static final int LAST_FILE_OFFSET = 56; // u64

    private static final int CHUNK = 64 << 10;

    /** Hears of what an entry writes. */
    interface Sink {

        /**
         * @param fileOffset byte of the file, whole sectors
         * @param length bytes, whole sectors
         */
        void zeros(long fileOffset, long length) throws IOException;

        /**
         * @param fileOffset byte of the file, whole sectors
         * @param dataPosition byte of the log where the sector's middle lies
         * @param leading the sector's first 8 bytes, little-endian
         * @param trailing its last 4 bytes, little-endian
         */
        void data(long fileOffset, long dataPosition, long leading, int trailing) throws IOException;
    }

    /**
     * Looks for a whole entry.
     *
     * @param room bytes that it can have at most
     * @param budget bytes that may still be looked through, at index 0; counted down. Entries that claim to overlap could else
     *     cost the square of the log's length
     * @return null if there is none here: something else, an entry of another log, or one that was not written to its end
     * @throws CorruptException if the entry is whole, but contradicts its specification
     */
    static LogEntry read(LogRegion log, long position, long room, Guid guid, long[] budget) throws IOException {
        ByteBuffer first = ByteBuffer.allocate(HEADER_SIZE);
        log.read(position, first);
        Bytes header = Bytes.littleEndian(first.flip(), log.place().offset() + position);
        if (!header.matches(0, SIGNATURE) || !Guid.at(header, LOG_GUID).equals(guid)) {
            return null;
        }
        long length = header.u32(ENTRY_LENGTH);
        long count = header.u32(DESCRIPTOR_COUNT);
        if (length == 0 || length % LogRegion.SECTOR != 0 || length > room || descriptorBytes(count) > length) {
            return null;
        }
        budget[0] -= length;
        if (budget[0] < 0) {
            throw header.corrupt("VHDX log", 0, "entries one behind the other", "entries that overlap");
        }
        if (checksum(log, position, length) != header.s32(CHECKSUM)) {
            return null;
        }
        LogEntry entry = new LogEntry(position, length, header.u32(TAIL), header.s64(SEQUENCE), (int) count,
                header.u64(FLUSHED_FILE_OFFSET), header.u64(LAST_FILE_OFFSET));
        if (entry.sequence == 0) {
            throw header.corrupt("VHDX log entry: sequence number", SEQUENCE, "more than 0", 0);
        }
        if (entry.tail >= log.length() || entry.tail % LogRegion.SECTOR != 0) {
            throw header.corrupt("VHDX log entry: tail", TAIL, "whole sectors inside of the log", entry.tail);
        }
        return entry;
    }

    /** @return bytes of the sectors that header and descriptors take */
    static long descriptorBytes(long count) {
        long bytes = HEADER_SIZE + count * DESCRIPTOR_SIZE; // count is below 2^32
        return (bytes + LogRegion.SECTOR - 1) / LogRegion.SECTOR * LogRegion.SECTOR;
    }

    private static int checksum(LogRegion log, long position, long length) throws IOException {
        CRC32C checksum = new CRC32C();
        ByteBuffer chunk = ByteBuffer.allocate((int) Math.min(CHUNK, length));
        for (long done = 0; done < length; done += chunk.limit()) {
            chunk.clear().limit((int) Math.min(chunk.capacity(), length - done));
            log.read(log.after(position, done), chunk);
            if (done == 0) {
                chunk.putInt(CHECKSUM, 0);
            }
            checksum.update(chunk.flip());
        }
        return (int) checksum.getValue();
    }

    /**
     * Goes through what the entry writes, in order.
     *
     * @throws CorruptException if a descriptor or a data sector contradicts the specification
     */
    void forEach(LogRegion log, Sink sink) throws IOException {
        ByteBuffer sector = ByteBuffer.allocate(LogRegion.SECTOR);
        long data = descriptorBytes(descriptors);
        long loaded = -1;
        for (int i = 0; i < descriptors; i++) {
            long at = HEADER_SIZE + (long) i * DESCRIPTOR_SIZE;
            long start = at - at % LogRegion.SECTOR;
            if (start != loaded) {
                log.read(log.after(position, start), sector.clear());
                sector.flip();
                loaded = start;
            }
            long place = log.after(position, start);
            Bytes b = Bytes.littleEndian(sector, log.place().offset() + place)
                    .slice((int) (at - start), DESCRIPTOR_SIZE);
            if (b.s64(24) != sequence) {
                throw b.corrupt("VHDX log descriptor: sequence number", 24, Long.toUnsignedString(sequence),
                        Long.toUnsignedString(b.s64(24)));
            }
            if (b.matches(0, "zero")) {
                long length = b.u64(8);
                checkPlace(b, log, length);
                if (length > 0) {
                    sink.zeros(b.u64(16), length);
                }
            } else if (b.matches(0, "desc")) {
                checkPlace(b, log, LogRegion.SECTOR);
                if (data + LogRegion.SECTOR > length) {
                    throw b.corrupt("VHDX log entry: data sectors", 0, "one for each data descriptor", "too few");
                }
                long dataPosition = log.after(position, data);
                checkData(log, dataPosition);
                sink.data(b.u64(16), dataPosition, b.s64(8), b.s32(4));
                data += LogRegion.SECTOR;
            } else {
                throw b.corrupt("VHDX log descriptor: signature", 0, "'desc' or 'zero'",
                        "0x" + Integer.toHexString(b.s32(0)));
            }
        }
    }

    /** Headers and log are never changed through the log; a place far behind the end is no image's. */
    private static void checkPlace(Bytes b, LogRegion log, long length) throws IOException {
        long offset = b.u64(16);
        if (offset % LogRegion.SECTOR != 0 || length % LogRegion.SECTOR != 0 || offset < ReplayedLog.FIRST_LOGGED
                || length > ReplayedLog.MAX_FILE_SIZE || offset > ReplayedLog.MAX_FILE_SIZE - length) {
            throw b.corrupt("VHDX log descriptor: place", 16, "whole sectors of 4096 bytes behind the headers, before 128 TiB",
                    length + " bytes at 0x" + Long.toHexString(offset));
        }
        if (offset < log.place().end() && log.place().offset() < offset + length) {
            throw b.corrupt("VHDX log descriptor: place", 16, "one outside of the log itself",
                    length + " bytes at 0x" + Long.toHexString(offset));
        }
    }

    private void checkData(LogRegion log, long dataPosition) throws IOException {
        ByteBuffer sector = ByteBuffer.allocate(LogRegion.SECTOR);
        log.read(dataPosition, sector);
        Bytes b = Bytes.littleEndian(sector.flip(), log.place().offset() + dataPosition);
        if (!b.matches(0, "data")) {
            throw b.corrupt("VHDX log data sector: signature", 0, "'data'", "0x" + Integer.toHexString(b.s32(0)));
        }
        long found = b.u32(4) << 32 | b.u32(LogRegion.SECTOR - 4);
        if (found != sequence) {
            throw b.corrupt("VHDX log data sector: sequence number", 4, Long.toUnsignedString(sequence),
                    Long.toUnsignedString(found));
        }
    }
}
