package io.lacuna.diskimage.undo;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.undo.UndoRecord.Phase;
import io.lacuna.diskimage.undo.UndoRecord.Type;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Reads an undo file from its start to its end and checks every checksum. Used once. */
final class UndoReader implements Closeable {

    /** Of a file's mode: the group, or everybody. */
    private static final int OTHERS_MAY_WRITE = 0022;

    private final Path path;
    private final FileChannel channel;
    private final long size;
    private byte[] run;
    private long durable;
    private final List<FileFacts> files = new ArrayList<>();
    private final List<UndoRecord> records = new ArrayList<>();
    private RunFacts facts;

    UndoReader(Path path) throws IOException {
        if (Files.exists(path) && !Files.isRegularFile(path)) {
            throw new UnsupportedException("this is not a regular file, so it is no undo file");
        }
        this.path = path;
        this.channel = FileChannel.open(path, StandardOpenOption.READ);
        this.size = channel.size();
        try {
            requireTrusted(path);
        } catch (IOException e) {
            channel.close();
            throw e;
        }
    }

    /** It names the files that are written, and what to write. */
    private static void requireTrusted(Path path) throws IOException {
        Object self = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        Object owner = Files.getAttribute(path, "unix:uid");
        int mode = (Integer) Files.getAttribute(path, "unix:mode");
        if (!owner.equals(self) && !owner.equals(0)) {
            throw new UnsafeException("the undo file belongs to another user (" + Files.getOwner(path).getName() + "), who could "
                    + "have it write into any file: if it may be trusted, work with a copy of your own");
        }
        if ((mode & OTHERS_MAY_WRITE) != 0) {
            throw new UnsafeException("others may write into the undo file, and so into any file that it names: if it may be "
                    + "trusted, take that right away (chmod go-w)");
        }
    }

    UndoFile read() throws IOException {
        int count = readStart();
        List<UndoFile.Slot> slots = readSlots(count);
        long at = UndoLayout.recordsAt(count);
        while (at < size) {
            UndoRecord record = record(at, count);
            if (record == null) {
                if (at < durable) {
                    throw new CorruptException("record of the undo file", at, "what was written", "something else");
                }
                break;
            }
            take(record, at);
            at = record.payloadAt() + record.payloadLength();
        }
        if (at < durable) {
            throw new CorruptException("undo file's end", at, "records up to byte " + durable, "the end");
        }
        UndoFile found = new UndoFile(path, run, facts, files, slots, records, durable, Math.min(at, size), size);
        if (found.state() != UndoFile.State.UNCHANGED && (facts == null || files.size() != count)) {
            throw new CorruptException("undo file", UndoLayout.recordsAt(count), "facts about " + count + " files",
                    "about " + files.size());
        }
        return found;
    }

    private int readStart() throws IOException {
        ByteBuffer start = bytes(0, UndoLayout.SECTOR);
        if (start == null || !Arrays.equals(UndoLayout.MAGIC, Arrays.copyOf(start.array(), UndoLayout.MAGIC.length))) {
            throw new UnsupportedException("this is not an undo file of Lacuna: its signature is missing");
        }
        run = Arrays.copyOfRange(start.array(), UndoLayout.MAGIC.length, UndoLayout.MAGIC.length + UndoLayout.RUN_ID_SIZE);
        int count = start.getInt(UndoLayout.MAGIC.length + UndoLayout.RUN_ID_SIZE);
        ByteBuffer state = bytes(UndoLayout.STATE_AT, UndoLayout.SECTOR);
        if (!UndoLayout.isSealed(run, start) || count < 1 || count > UndoLayout.MAX_FILES || state == null
                || size < UndoLayout.recordsAt(count)) {
            throw new CorruptException("start of the undo file", 0, "a whole one", "a damaged one");
        }
        durable = state.getLong(0);
        if (!UndoLayout.isSealed(run, state) || durable < 0) {
            throw new CorruptException("state of the undo file", UndoLayout.STATE_AT, "a whole one", "a damaged one");
        }
        return count;
    }

    private List<UndoFile.Slot> readSlots(int count) throws IOException {
        List<UndoFile.Slot> slots = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            ByteBuffer slot = bytes(UndoLayout.SLOTS_AT + (long) i * UndoLayout.SLOT_SIZE, UndoLayout.SLOT_SIZE);
            slots.add(UndoLayout.isSealed(run, slot)
                    ? new UndoFile.Slot(slot.getLong(0), slot.getLong(8), slot.getLong(16), slot.getLong(24)) : null);
        }
        return slots;
    }

    /** @return null if there is no whole record here */
    private UndoRecord record(long at, int files) throws IOException {
        ByteBuffer header = bytes(at, UndoLayout.RECORD_HEADER);
        if (header == null || header.getInt(0) != UndoLayout.RECORD_MAGIC || !UndoLayout.isSealed(run, header)) {
            return null;
        }
        Type type = Type.of(header.getInt(4));
        int file = header.getInt(8);
        Phase phase = Phase.of(header.getInt(12));
        long offset = header.getLong(16);
        long length = header.getLong(24);
        int payloadLength = header.getInt(32);
        if (type == null || phase == null) {
            throw new UnsupportedException("the undo file was written by a later version of Lacuna: use that one");
        }
        if (file < 0 || file >= files || offset < 0 || length < 0 || offset > Long.MAX_VALUE - length || payloadLength < 0
                || payloadLength > UndoLayout.MAX_PAYLOAD) {
            throw new CorruptException("record of the undo file", at, "numbers in their bounds", "others");
        }
        ByteBuffer payload = bytes(at + UndoLayout.RECORD_HEADER, payloadLength);
        if (payload == null || UndoLayout.checksum(run, payload.array(), 0, payloadLength) != header.getInt(36)) {
            return null;
        }
        UndoRecord record = new UndoRecord(type, file, phase, offset, length, at + UndoLayout.RECORD_HEADER, payloadLength,
                header.getInt(36));
        if (type == Type.RUN) {
            facts = Payload.parse(payload, at, RunFacts::parse);
        } else if (type == Type.FILE) {
            if (file != this.files.size()) {
                throw new CorruptException("record of the undo file", at, "file " + this.files.size(), "file " + file);
            }
            this.files.add(Payload.parse(payload, at, FileFacts::parse));
        }
        return record;
    }

    private void take(UndoRecord record, long at) throws CorruptException {
        if (record.isContent()) {
            boolean fits = record.length() > 0 && record.file() < files.size()
                    && record.end() <= files.get(record.file()).before().size();
            if (!fits || record.holdsData() && record.length() > UndoLayout.CHUNK
                    || record.type() == Type.STORED && record.payloadLength() != record.length()) {
                throw new CorruptException("range of the undo file", at, "one inside of the image's file", record.offset() + " to "
                        + record.end());
            }
        }
        if (record.type() == Type.PUT_BACK && record.offset() > records.size()) {
            throw new CorruptException("record of the undo file", at, "a number up to " + records.size(), record.offset());
        }
        records.add(record);
    }

    /** @return null if there are not so many */
    private ByteBuffer bytes(long at, int length) throws IOException {
        if (at > size - length) {
            return null;
        }
        ByteBuffer buffer = UndoLayout.buffer(length);
        while (buffer.hasRemaining()) {
            if (channel.read(buffer, at + buffer.position()) < 0) {
                return null;
            }
        }
        return buffer.clear();
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
