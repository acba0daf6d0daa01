package io.lacuna.diskimage.undo;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.diskimage.undo.UndoRecord.Type;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/** What an undo file holds. All of it is proved by its checksums when it is read, and nothing is believed before. */
public final class UndoFile {

    /** How far things have come. */
    public enum State {
        /** The run ended before it changed anything. */
        UNCHANGED,
        /** The run was cut. */
        CUT,
        /** The run came to its end. */
        DONE,
        /** An undo was cut. */
        UNDOING,
        /** The image is as it was, or was put back at least. */
        UNDONE
    }

    private final Path path;
    private final byte[] run;
    private final RunFacts facts;
    private final List<FileFacts> files;
    private final List<Slot> slots;
    private final List<UndoRecord> records;
    private final State state;
    private final long end;
    private final long size;

    /** What a slot says; null fields are not needed, for a slot that is not whole is null itself. */
    record Slot(long inode, long size, long modifiedNanos, long changedNanos) {

        boolean matches(FileIdentity now) {
            return inode == now.inode() && size == now.size() && modifiedNanos == now.modifiedNanos()
                    && changedNanos == now.changedNanos();
        }
    }

    /**
     * @param slots one for each file; null where it is not whole
     * @param durable how far it is known to be durable, and the slots with it
     * @param end behind the last whole record
     * @param size of the undo file
     */
    UndoFile(Path path, byte[] run, RunFacts facts, List<FileFacts> files, List<Slot> slots, List<UndoRecord> records, long durable,
            long end, long size) {
        this.path = path;
        this.run = run;
        this.facts = facts;
        this.files = List.copyOf(files);
        this.slots = slots;
        this.records = records;
        this.end = end;
        this.size = size;
        boolean complete = records.stream().anyMatch(record -> record.type() == Type.DONE && record.payloadAt() <= durable);
        this.state = !has(Type.ARMED) ? State.UNCHANGED : has(Type.UNDONE) ? State.UNDONE : has(Type.UNDO_BEGUN) ? State.UNDOING
                : complete ? State.DONE : State.CUT;
    }

    private boolean has(Type type) {
        // All of these come behind the records of the run; the search is done a few times only.
        for (int i = records.size() - 1; i >= 0; i--) {
            if (records.get(i).type() == type) {
                return true;
            }
        }
        return false;
    }

    /**
     * Reads an undo file, whole.
     *
     * @throws CorruptException if it is not as it was written
     * @throws io.lacuna.blockio.UnsupportedException if it is no undo file
     */
    public static UndoFile read(Path path) throws IOException {
        try (UndoReader reader = new UndoReader(path)) {
            return reader.read();
        } catch (io.lacuna.blockio.DiskFormatException e) {
            throw e.in(path);
        }
    }

    public Path path() {
        return path;
    }

    public State state() {
        return state;
    }

    /** @return null if the run was cut before it said anything */
    public RunFacts facts() {
        return facts;
    }

    /** @return the image's files, its own first; none if the run changed nothing */
    public List<FileFacts> files() {
        return files;
    }

    /** @return bytes that hold data and will be written back */
    public long dataBytes() {
        long sum = 0;
        for (UndoRecord record : records) {
            sum += record.holdsData() ? record.length() : 0;
        }
        return sum;
    }

    /** @return how many of the records, the first ones, tell what is still to be put back; all of them if nothing was */
    int leftToPutBack() {
        for (int i = records.size() - 1; i >= 0; i--) {
            if (records.get(i).type() == Type.PUT_BACK) {
                return (int) records.get(i).offset();
            }
        }
        return records.size();
    }

    byte[] run() {
        return run;
    }

    List<Slot> slots() {
        return slots;
    }

    List<UndoRecord> records() {
        return records;
    }

    long end() {
        return end;
    }

    long size() {
        return size;
    }
}
