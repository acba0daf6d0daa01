package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.SortedMap;

/**
 * Changes sectors of the tables through the log, so that a cut leaves all of them or none. The log is empty before and after;
 * so every change is a log of its own with a single entry, under a GUID that no old entry has.
 */
final class LogWriter {

    /** Ours, to bound memory: 4 MiB of sectors at once. */
    private static final int MAX_SECTORS = 1024;

    private final HostFile file;
    private final Extent log;
    private final HeaderWriter headers;

    /** @param log bytes of the file */
    LogWriter(HostFile file, Extent log, HeaderWriter headers) {
        this.file = file;
        this.log = log;
        this.headers = headers;
    }

    /** @return how many sectors one change can have, above 0 */
    int capacity() {
        int sectors = (int) Math.min(MAX_SECTORS, log.length() / LogRegion.SECTOR);
        // One sector stays free, so that the ring is never full to the brim.
        while (LogEntry.descriptorBytes(sectors) + (sectors + 1L) * LogRegion.SECTOR > log.length()) {
            sectors--;
        }
        return sectors;
    }

    /**
     * Writes sectors; durable on return. A log GUID without a whole entry would be corruption, so the entry comes first, then the
     * header that names it; and what is freed by the change may be used again only when the header names it no more.
     *
     * @param sectors new content by byte of the file, at most {@link #capacity()} of them, 4096 bytes each
     */
    void write(SortedMap<Long, ByteBuffer> sectors) throws IOException {
        Guid guid = Guid.random();
        file.write(log.offset(), entry(sectors, guid));
        file.sync();
        headers.nameLog(guid);
        for (Map.Entry<Long, ByteBuffer> sector : sectors.entrySet()) {
            file.write(sector.getKey(), sector.getValue().duplicate());
        }
        file.sync();
        headers.clearLog();
    }

    private ByteBuffer entry(SortedMap<Long, ByteBuffer> sectors, Guid guid) {
        long sequence = 1;
        int descriptorBytes = (int) LogEntry.descriptorBytes(sectors.size());
        ByteBuffer entry = ByteBuffer.allocate(descriptorBytes + sectors.size() * LogRegion.SECTOR)
                .order(ByteOrder.LITTLE_ENDIAN);
        entry.put(0, ascii(LogEntry.SIGNATURE)).putInt(LogEntry.ENTRY_LENGTH, entry.capacity()).putInt(LogEntry.TAIL, 0)
                .putLong(LogEntry.SEQUENCE, sequence).putInt(LogEntry.DESCRIPTOR_COUNT, sectors.size());
        guid.put(entry, LogEntry.LOG_GUID);
        // The file has no fewer bytes than the first number, even after a power cut, and needs no more than the second.
        long size = file.size();
        entry.putLong(LogEntry.FLUSHED_FILE_OFFSET, size / VhdxHeader.MIB * VhdxHeader.MIB);
        entry.putLong(LogEntry.LAST_FILE_OFFSET, (size + VhdxHeader.MIB - 1) / VhdxHeader.MIB * VhdxHeader.MIB);
        int descriptor = LogEntry.HEADER_SIZE;
        int data = descriptorBytes;
        for (Map.Entry<Long, ByteBuffer> change : sectors.entrySet()) {
            ByteBuffer sector = change.getValue();
            entry.put(descriptor, ascii("desc")).put(descriptor + 4, sector, LogRegion.SECTOR - 4, 4)
                    .put(descriptor + 8, sector, 0, 8).putLong(descriptor + 16, change.getKey())
                    .putLong(descriptor + 24, sequence);
            entry.put(data, sector, 0, LogRegion.SECTOR).put(data, ascii("data"))
                    .putInt(data + 4, (int) (sequence >>> 32)).putInt(data + LogRegion.SECTOR - 4, (int) sequence);
            descriptor += LogEntry.DESCRIPTOR_SIZE;
            data += LogRegion.SECTOR;
        }
        return entry.putInt(LogEntry.CHECKSUM, VhdxHeader.checksum(entry));
    }

    private static byte[] ascii(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }
}
