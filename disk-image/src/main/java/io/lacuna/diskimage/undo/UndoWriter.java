package io.lacuna.diskimage.undo;

import io.lacuna.blockio.FileIdentity;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.security.SecureRandom;

/** Appends to an undo file. Layout: {@link UndoLayout}. */
final class UndoWriter {

    private final UndoMedium medium;
    private final byte[] run;
    private final int files;
    private final ByteBuffer record = ByteBuffer.allocate(UndoLayout.RECORD_HEADER + UndoLayout.MAX_PAYLOAD);
    private long end;
    private long durable;
    private IOException failure;

    private UndoWriter(UndoMedium medium, byte[] run, int files, long end) {
        this.medium = medium;
        this.run = run;
        this.files = files;
        this.end = end;
    }

    /** Starts a new file. */
    static UndoWriter create(UndoMedium medium, int files) throws IOException {
        byte[] run = new byte[UndoLayout.RUN_ID_SIZE];
        new SecureRandom().nextBytes(run);
        UndoWriter writer = new UndoWriter(medium, run, files, UndoLayout.recordsAt(files));
        ByteBuffer start = UndoLayout.buffer(UndoLayout.SECTOR);
        start.put(UndoLayout.MAGIC).put(run).putInt(files);
        UndoLayout.seal(run, start);
        medium.write(0, start.clear());
        medium.write(UndoLayout.SLOTS_AT, ByteBuffer.allocate((int) (writer.end - UndoLayout.SLOTS_AT)));
        writer.writeState();
        return writer;
    }

    /**
     * Goes on with a file, to note how it is used.
     *
     * @param end behind its last whole record; what follows was cut while it was written, and goes
     */
    static UndoWriter append(UndoMedium medium, byte[] run, int files, long end) throws IOException {
        medium.truncate(end);
        return new UndoWriter(medium, run, files, end);
    }

    /** @return bytes written so far */
    long end() {
        return end;
    }

    /** @return whether all records are durable */
    boolean isDurable() {
        return durable == end;
    }

    void append(UndoRecord.Type type) throws IOException {
        append(type, 0, UndoRecord.Phase.RELEASED, 0, 0, ByteBuffer.allocate(0));
    }

    /** @param payload with an array, from its position to its limit */
    void append(UndoRecord.Type type, int file, UndoRecord.Phase phase, long offset, long length, ByteBuffer payload)
            throws IOException {
        int size = payload.remaining();
        ByteBuffer header = UndoLayout.buffer(UndoLayout.RECORD_HEADER);
        header.putInt(UndoLayout.RECORD_MAGIC).putInt(type.number()).putInt(file).putInt(phase.ordinal());
        header.putLong(offset).putLong(length).putInt(size);
        header.putInt(UndoLayout.checksum(run, payload.array(), payload.arrayOffset() + payload.position(), size));
        UndoLayout.seal(run, header);
        record.clear().put(header.clear()).put(payload).flip();
        medium.write(end, record);
        end += UndoLayout.RECORD_HEADER + size;
    }

    /** Makes all records durable. That they are is noted, and becomes durable with the next records. */
    void sync() throws IOException {
        if (!isDurable()) {
            force();
            durable = end;
            writeState();
        }
    }

    /** Makes all records durable, and the note of it, too. */
    void seal() throws IOException {
        sync();
        force();
    }

    /** The system tells of what it could not store once: what a second try says is worth nothing. */
    private void force() throws IOException {
        if (failure != null) {
            throw new IOException("what is kept in the undo file did not become durable: " + failure.getMessage(), failure);
        }
        try {
            medium.force();
        } catch (IOException e) {
            failure = e;
            throw e;
        }
    }

    /** Makes sure that so many more bytes of records will find room, if that can be. */
    void reserve(long bytes) throws IOException {
        medium.reserve(Math.addExact(end, bytes));
    }

    /** Gives back what was reserved and not used. */
    void trim() throws IOException {
        medium.truncate(end);
    }

    private void writeState() throws IOException {
        ByteBuffer state = UndoLayout.buffer(UndoLayout.SECTOR);
        state.putLong(durable);
        UndoLayout.seal(run, state);
        medium.write(UndoLayout.STATE_AT, state.clear());
    }

    /** Notes what identifies a file now that Lacuna has changed it. Survives a kill at once, a power cut after a sync. */
    void note(int file, FileIdentity now) throws IOException {
        ByteBuffer slot = UndoLayout.buffer(UndoLayout.SLOT_SIZE);
        slot.putLong(now.inode()).putLong(now.size()).putLong(now.modifiedNanos()).putLong(now.changedNanos());
        UndoLayout.seal(run, slot);
        if (file >= files) {
            throw new IllegalArgumentException("file " + file + " of " + files);
        }
        medium.write(UndoLayout.SLOTS_AT + (long) file * UndoLayout.SLOT_SIZE, slot.clear());
    }
}
