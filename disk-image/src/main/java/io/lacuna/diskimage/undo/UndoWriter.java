package io.lacuna.diskimage.undo;

import io.lacuna.blockio.FileIdentity;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.SecureRandom;

/** Appends to an undo file. Layout: {@link UndoLayout}. */
final class UndoWriter implements Closeable {

    private final FileChannel channel;
    private final byte[] run;
    private final int files;
    private long end;
    private long durable;

    private UndoWriter(FileChannel channel, byte[] run, int files, long end) {
        this.channel = channel;
        this.run = run;
        this.files = files;
        this.end = end;
    }

    /** Makes a new file; one that exists is never touched. */
    static UndoWriter create(Path path, int files) throws IOException {
        byte[] run = new byte[UndoLayout.RUN_ID_SIZE];
        new SecureRandom().nextBytes(run);
        FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
        UndoWriter writer = new UndoWriter(channel, run, files, UndoLayout.recordsAt(files));
        boolean usable = false;
        try {
            ByteBuffer start = UndoLayout.buffer(UndoLayout.SECTOR);
            start.put(UndoLayout.MAGIC).put(run).putInt(files);
            UndoLayout.seal(run, start);
            writer.put(0, start.clear());
            writer.put(UndoLayout.SLOTS_AT, ByteBuffer.allocate((int) (writer.end - UndoLayout.SLOTS_AT)));
            writer.writeState();
            usable = true;
            return writer;
        } finally {
            if (!usable) {
                channel.close();
            }
        }
    }

    /**
     * Opens a file to note how it is used.
     *
     * @param end behind its last whole record; what follows was cut while it was written, and goes
     */
    static UndoWriter append(Path path, byte[] run, int files, long end) throws IOException {
        FileChannel channel = FileChannel.open(path, StandardOpenOption.WRITE, LinkOption.NOFOLLOW_LINKS);
        boolean usable = false;
        try {
            channel.truncate(end);
            UndoWriter writer = new UndoWriter(channel, run, files, end);
            usable = true;
            return writer;
        } finally {
            if (!usable) {
                channel.close();
            }
        }
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
        ByteBuffer record = UndoLayout.buffer(UndoLayout.RECORD_HEADER);
        record.putInt(UndoLayout.RECORD_MAGIC).putInt(type.number()).putInt(file).putInt(phase.ordinal());
        record.putLong(offset).putLong(length).putInt(size);
        record.putInt(UndoLayout.checksum(run, payload.array(), payload.arrayOffset() + payload.position(), size));
        UndoLayout.seal(run, record);
        put(end, record.clear());
        put(end + UndoLayout.RECORD_HEADER, payload);
        end += UndoLayout.RECORD_HEADER + size;
    }

    /** Makes all records durable. That they are is noted, and becomes durable with the next records. */
    void sync() throws IOException {
        if (!isDurable()) {
            channel.force(true);
            durable = end;
            writeState();
        }
    }

    /** Makes all records durable, and the note of it, too. */
    void seal() throws IOException {
        sync();
        channel.force(true);
    }

    private void writeState() throws IOException {
        ByteBuffer state = UndoLayout.buffer(UndoLayout.SECTOR);
        state.putLong(durable);
        UndoLayout.seal(run, state);
        put(UndoLayout.STATE_AT, state.clear());
    }

    /** Notes what identifies a file now that Lacuna has changed it. Survives a kill at once, a power cut after a sync. */
    void note(int file, FileIdentity now) throws IOException {
        ByteBuffer slot = UndoLayout.buffer(UndoLayout.SLOT_SIZE);
        slot.putLong(now.inode()).putLong(now.size()).putLong(now.modifiedNanos()).putLong(now.changedNanos());
        UndoLayout.seal(run, slot);
        if (file >= files) {
            throw new IllegalArgumentException("file " + file + " of " + files);
        }
        put(UndoLayout.SLOTS_AT + (long) file * UndoLayout.SLOT_SIZE, slot.clear());
    }

    private void put(long position, ByteBuffer bytes) throws IOException {
        long at = position;
        while (bytes.hasRemaining()) {
            at += channel.write(bytes, at);
        }
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
