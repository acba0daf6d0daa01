package io.lacuna.diskimage.undo;

import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.PunchSupport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * One file of an image whose old bytes are kept before they go. Steps whose records are not durable yet wait for each other, so
 * that one sync of the undo file serves many: nobody can tell, for without {@link #sync()} none of them is durable anyway, and
 * whoever reads sees them done.
 */
final class RecordingHostFile implements HostFile {

    /** Bytes that wait at most; ours. */
    private static final int MOST_WAITING = 16 << 20;
    private static final int MOST_STEPS = 4096;

    /** @param bytes to be written; null for a hole */
    private record Step(long offset, long length, byte[] bytes) {
    }

    private final HostFile file;
    private final UndoRecorder recorder;
    private final int index;
    private final List<Step> waiting = new ArrayList<>();
    private long waitingBytes;

    RecordingHostFile(HostFile file, UndoRecorder recorder, int index) {
        this.file = file;
        this.recorder = recorder;
        this.index = index;
    }

    HostFile file() {
        return file;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        int from = target.position();
        settleIn(offset, target.remaining());
        file.read(offset, target);
        recorder.seen(index, offset, target.duplicate().flip().position(from));
    }

    /** What waits in a range is done before the range is read, or kept. */
    private synchronized void settleIn(long offset, long length) throws IOException {
        for (Step step : waiting) {
            if (step.offset < offset + length && offset < step.offset + step.length) {
                settle();
                return;
            }
        }
    }

    @Override
    public synchronized void write(long offset, ByteBuffer source) throws IOException {
        int length = source.remaining();
        recorder.overwriting(index, offset, source);
        boolean grows = offset + length > file.size();
        if (grows) {
            settle();
        }
        if (grows || waiting.isEmpty() && recorder.isDurable()) {
            recorder.changing();
            file.write(offset, source);
            recorder.changed(index);
            return;
        }
        byte[] bytes = new byte[length];
        source.get(bytes);
        later(new Step(offset, length, bytes));
    }

    @Override
    public synchronized void punch(long offset, long length) throws IOException {
        settleIn(offset, length);
        recorder.releasing(index, offset, length);
        if (waiting.isEmpty() && recorder.isDurable()) {
            recorder.changing();
            file.punch(offset, length);
            recorder.changed(index);
        } else {
            later(new Step(offset, length, null));
        }
    }

    @Override
    public void insistOnZeroes() {
        file.insistOnZeroes();
    }

    private void later(Step step) throws IOException {
        waiting.add(step);
        waitingBytes += step.bytes == null ? 0 : step.length;
        if (waitingBytes >= MOST_WAITING || waiting.size() >= MOST_STEPS) {
            settle();
        }
    }

    /** Does what waits. */
    synchronized void settle() throws IOException {
        if (waiting.isEmpty()) {
            return;
        }
        List<Step> steps = List.copyOf(waiting);
        // A failure ends the run: no step is done twice, nor one whose record may not be durable.
        waiting.clear();
        waitingBytes = 0;
        recorder.changing();
        for (Step step : steps) {
            if (step.bytes == null) {
                file.punch(step.offset, step.length);
            } else {
                file.write(step.offset, ByteBuffer.wrap(step.bytes));
            }
        }
        recorder.changed(index);
    }

    @Override
    public synchronized void truncate(long size) throws IOException {
        settle();
        if (size < file.size()) {
            recorder.releasing(index, size, file.size() - size);
        }
        recorder.changing();
        file.truncate(size);
        recorder.changed(index);
    }

    @Override
    public synchronized void setModified(long nanos) throws IOException {
        settle();
        recorder.changing();
        file.setModified(nanos);
        recorder.changed(index);
    }

    @Override
    public synchronized void sync() throws IOException {
        settle();
        file.sync();
        recorder.barrier();
    }

    @Override
    public synchronized FileIdentity identity() throws IOException {
        settle();
        return file.identity();
    }

    @Override
    public synchronized HostMap map() throws IOException {
        settle();
        return file.map();
    }

    @Override
    public synchronized long hostBytes() throws IOException {
        settle();
        return file.hostBytes();
    }

    @Override
    public PunchSupport punchSupport() throws IOException {
        return file.punchSupport();
    }

    @Override
    public Path path() {
        return file.path();
    }

    @Override
    public boolean isBlockDevice() {
        return file.isBlockDevice();
    }

    @Override
    public boolean isWritable() {
        return file.isWritable();
    }

    @Override
    public long size() {
        return file.size();
    }

    @Override
    public void prefetch(long offset, long length) {
        file.prefetch(offset, length);
    }

    /** What still waits after a failure is dropped, as a cut would have dropped it. */
    @Override
    public void close() throws IOException {
        file.close();
    }
}
