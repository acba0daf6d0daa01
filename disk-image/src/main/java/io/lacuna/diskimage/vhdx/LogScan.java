package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** Finds the entries that have to be replayed: the newest whole sequence of the log. Source: [MS-VHDX] 2.3.2, 2.3.3. */
final class LogScan {

    /** Ours, so that a replay in memory stays small: Hyper-V's and QEMU's logs have 1 MiB. */
    private static final long MAX_LENGTH = 256 << 20;

    private final LogRegion log;
    private final Guid guid;
    private final long[] budget;

    private LogScan(LogRegion log, Guid guid) {
        this.log = log;
        this.guid = guid;
        // Whole entries lie one behind the other, and so do torn ones: each sector is looked through a few times at most.
        this.budget = new long[] {8 * log.length()};
    }

    /**
     * @param guid what the header says the entries carry, not zero
     * @return from the oldest to the newest
     * @throws CorruptException if there is none, or the file became too short
     */
    static List<LogEntry> activeSequence(LogRegion log, Guid guid) throws IOException {
        if (log.length() > MAX_LENGTH) {
            throw new UnsupportedException("the VHDX has changes to apply in a log of " + log.length() + " bytes, more than the "
                    + MAX_LENGTH + " that Lacuna replays; let 'qemu-img check -r all' or Windows open it for writing once");
        }
        List<LogEntry> active = new LogScan(log, guid).newest();
        if (active.isEmpty()) {
            throw new CorruptException("VHDX log", log.place().offset(), "a whole sequence of entries with the GUID " + guid
                    + ", which the header names", "none");
        }
        LogEntry head = active.get(active.size() - 1);
        checkSize("FlushedFileOffset", head, LogEntry.FLUSHED_FILE_OFFSET, head.flushedFileOffset(), log);
        checkSize("LastFileOffset", head, LogEntry.LAST_FILE_OFFSET, head.lastFileOffset(), log);
        if (log.file().size() < head.flushedFileOffset()) {
            throw new CorruptException("VHDX file size, by the log's newest entry", -1, "at least " + head.flushedFileOffset()
                    + " bytes (FlushedFileOffset)", log.file().size() + " bytes: something was cut off");
        }
        return active;
    }

    private static void checkSize(String name, LogEntry entry, int at, long size, LogRegion log) throws CorruptException {
        if (size % VhdxHeader.MIB != 0 || size > ReplayedLog.MAX_FILE_SIZE) {
            throw new CorruptException("VHDX log entry: " + name, log.place().offset() + entry.position() + at,
                    "whole MiB, at most 128 TiB", size);
        }
    }

    private List<LogEntry> newest() throws IOException {
        List<LogEntry> best = List.of();
        for (long tail = 0; tail < log.length();) { // Ends: each step goes ahead by a sector at least.
            List<LogEntry> sequence = sequenceFrom(tail);
            List<LogEntry> valid = fromItsTail(sequence);
            if (!valid.isEmpty() && (best.isEmpty() || Long.compareUnsigned(last(valid).sequence(), last(best).sequence()) > 0)) {
                best = valid;
            }
            // A sequence that lacks its tail lacks it from any of its entries on, so it is left behind as a whole.
            tail += Math.max(LogRegion.SECTOR, sequence.stream().mapToLong(LogEntry::length).sum());
        }
        return best;
    }

    /** @return the entries that follow each other from here on, at most once around the ring */
    private List<LogEntry> sequenceFrom(long start) throws IOException {
        List<LogEntry> sequence = new ArrayList<>();
        long used = 0;
        while (used < log.length()) {
            LogEntry entry = LogEntry.read(log, log.after(start, used), log.length() - used, guid, budget);
            if (entry == null || !sequence.isEmpty() && entry.sequence() != last(sequence).sequence() + 1) {
                break;
            }
            sequence.add(entry);
            used += entry.length();
        }
        return sequence;
    }

    /** @return the entries from the one that the newest names as the oldest; none if that is not among them */
    private static List<LogEntry> fromItsTail(List<LogEntry> sequence) {
        for (int i = 0; i < sequence.size(); i++) {
            if (sequence.get(i).position() == last(sequence).tail()) {
                return sequence.subList(i, sequence.size());
            }
        }
        return List.of();
    }

    private static LogEntry last(List<LogEntry> entries) {
        return entries.get(entries.size() - 1);
    }
}
