package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * What the file will hold once its log is replayed: sectors and zeros that lie over it. The sectors' bytes stay in the log and
 * are read from there, so that this costs little memory.
 */
final class ReplayedLog {

    /** Byte of the file: the headers before it are not changed through the log. */
    static final long FIRST_LOGGED = 192 << 10;
    /** Ours: twice the largest virtual disk. */
    static final long MAX_FILE_SIZE = 128L << 40;

    /** Ours: more than all tables of the largest disk have. With the log's length it bounds the number of patches to 400,000. */
    private static final long MAX_ZEROS = 1 << 30;

    /**
     * @param end first byte of the file behind it
     * @param data byte of the log where a sector's middle lies; -1 for zeros
     */
    private record Patch(long end, long data, long leading, int trailing) {

        Patch until(long newEnd) {
            return new Patch(newEnd, data, leading, trailing);
        }
    }

    private final LogRegion log;
    private final TreeMap<Long, Patch> patches = new TreeMap<>();
    private final long size;

    private ReplayedLog(LogRegion log, List<LogEntry> entries) throws IOException {
        this.log = log;
        Collector collector = new Collector();
        for (LogEntry entry : entries) {
            entry.forEach(log, collector);
        }
        long end = patches.isEmpty() ? 0 : patches.lastEntry().getValue().end();
        this.size = Math.max(Math.max(log.file().size(), entries.get(entries.size() - 1).lastFileOffset()), end);
    }

    /** @param guid what the header says the entries carry, not zero */
    static ReplayedLog of(LogRegion log, Guid guid) throws IOException {
        return new ReplayedLog(log, LogScan.activeSequence(log, guid));
    }

    private final class Collector implements LogEntry.Sink {
        private long zeros;

        @Override
        public void zeros(long fileOffset, long length) throws IOException {
            zeros += length; // each at most 128 TiB, and refused long before this overflows
            if (zeros > MAX_ZEROS) {
                throw new UnsupportedException("the VHDX's log asks for more than 1 GiB of zeros, which no writer of tables"
                        + " needs; let 'qemu-img check -r all' or Windows replay it if the image is trusted");
            }
            put(fileOffset, new Patch(fileOffset + length, -1, 0, 0));
        }

        @Override
        public void data(long fileOffset, long dataPosition, long leading, int trailing) throws IOException {
            put(fileOffset, new Patch(fileOffset + LogRegion.SECTOR, dataPosition, leading, trailing));
        }
    }

    /** Lays a patch over those before. All begin and end at sectors, so a data sector is covered as a whole. */
    private void put(long start, Patch patch) {
        Map.Entry<Long, Patch> before = patches.lowerEntry(start);
        if (before != null && before.getValue().end() > start) {
            patches.put(before.getKey(), before.getValue().until(start));
            if (before.getValue().end() > patch.end()) {
                patches.put(patch.end(), before.getValue());
            }
        }
        Map.Entry<Long, Patch> inside = patches.ceilingEntry(start);
        while (inside != null && inside.getKey() < patch.end()) {
            patches.remove(inside.getKey());
            if (inside.getValue().end() > patch.end()) {
                patches.put(patch.end(), inside.getValue());
            }
            inside = patches.ceilingEntry(start);
        }
        patches.put(start, patch);
    }

    /** @return bytes of the file after the replay */
    long size() {
        return size;
    }

    /** @return whether all that the replay writes lies in these bytes of the file */
    boolean staysIn(ExtentSet places) {
        return patches.entrySet().stream().allMatch(patch ->
                places.contains(patch.getKey(), patch.getValue().end() - patch.getKey()));
    }

    /**
     * Fills the buffer from its position to its limit with what the file will hold.
     *
     * @param offset byte of the file; the range is inside {@link #size()}
     */
    void read(long offset, ByteBuffer target) throws IOException {
        int start = target.position();
        long end = offset + target.remaining();
        readFile(offset, target);
        Map.Entry<Long, Patch> patch = patches.floorEntry(offset);
        if (patch == null || patch.getValue().end() <= offset) {
            patch = patches.higherEntry(offset);
        }
        while (patch != null && patch.getKey() < end) {
            long from = Math.max(offset, patch.getKey());
            long to = Math.min(end, patch.getValue().end());
            ByteBuffer part = target.duplicate();
            part.limit(start + (int) (to - offset)).position(start + (int) (from - offset));
            if (patch.getValue().data() < 0) {
                fillZeros(part);
            } else {
                ByteBuffer sector = sector(patch.getValue());
                part.put(sector.limit((int) (to - patch.getKey())).position((int) (from - patch.getKey())));
            }
            patch = patches.higherEntry(patch.getKey());
        }
    }

    private void readFile(long offset, ByteBuffer target) throws IOException {
        BlockSource file = log.file();
        int limit = target.limit();
        long stored = Math.max(0, Math.min(target.remaining(), file.size() - offset));
        if (stored > 0) {
            target.limit(target.position() + (int) stored);
            file.read(offset, target);
            target.limit(limit);
        }
        fillZeros(target);
    }

    private static void fillZeros(ByteBuffer target) {
        while (target.remaining() >= Long.BYTES) {
            target.putLong(0);
        }
        while (target.hasRemaining()) {
            target.put((byte) 0);
        }
    }

    private ByteBuffer sector(Patch patch) throws IOException {
        ByteBuffer sector = ByteBuffer.allocate(LogRegion.SECTOR).order(ByteOrder.LITTLE_ENDIAN);
        log.read(patch.data(), sector);
        sector.putLong(0, patch.leading()).putInt(LogRegion.SECTOR - Integer.BYTES, patch.trailing());
        return sector.flip();
    }

    /** Takes the pieces of the replay, in rising order. */
    interface PieceSink {

        /** @param bytes what the file will hold from this byte on */
        void take(long offset, ByteBuffer bytes) throws IOException;
    }

    /** Goes through all that the replay writes. */
    void forEachPiece(PieceSink sink) throws IOException {
        ByteBuffer zeros = ByteBuffer.allocate(64 << 10);
        for (Map.Entry<Long, Patch> patch : patches.entrySet()) {
            if (patch.getValue().data() >= 0) {
                sink.take(patch.getKey(), sector(patch.getValue()));
                continue;
            }
            for (long at = patch.getKey(); at < patch.getValue().end(); at += zeros.limit()) {
                zeros.clear().limit((int) Math.min(zeros.capacity(), patch.getValue().end() - at));
                sink.take(at, zeros.duplicate());
            }
        }
    }
}
