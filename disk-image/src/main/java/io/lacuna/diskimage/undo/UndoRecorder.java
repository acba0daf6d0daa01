package io.lacuna.diskimage.undo;

import io.lacuna.blockio.Deallocation.HostRanges;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.undo.UndoRecord.Phase;
import io.lacuna.diskimage.undo.UndoRecord.Type;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * Keeps the old bytes of an image's files in an undo file. The calls of a run: {@link #wrap} for each file that may be written,
 * {@link #arm} before the first change, {@link #finish} behind the last, {@link #close}.
 */
public final class UndoRecorder implements Closeable {

    private final Path path;
    private final UndoMedium.Opener opener;
    private final List<RecordingHostFile> files = new ArrayList<>();
    private final List<Checksums> evidence = new ArrayList<>();
    private final List<KeptFile> kept = new ArrayList<>();
    private final List<ExtentSet.Builder> overwritten = new ArrayList<>();
    private final List<FileIdentity> before = new ArrayList<>();
    private UndoMedium medium;
    private UndoWriter writer;
    private PreImages images;
    private boolean armed;
    private boolean changed;
    private boolean barrierDue;

    /** Makes nothing yet. @param path of the undo file */
    public UndoRecorder(Path path) {
        this(path, UndoMedium::file);
    }

    UndoRecorder(Path path, UndoMedium.Opener opener) {
        this.path = path;
        this.opener = opener;
    }

    public Path path() {
        return path;
    }

    /** @throws UnsafeException if there is such a file already, which is never overwritten */
    public void requireAbsent() throws IOException {
        if (Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            throw taken();
        }
    }

    private UnsafeException taken() {
        UnsafeException taken = new UnsafeException("the undo file exists already, and may be the only copy of what an earlier run"
                + " discarded: choose another name, or delete it");
        taken.in(path);
        return taken;
    }

    /** @return the file as the image shall have it */
    public HostFile wrap(HostFile file) {
        if (files.size() == UndoLayout.MAX_FILES) {
            throw new IllegalArgumentException("too many files");
        }
        RecordingHostFile wrapped = new RecordingHostFile(file, this, files.size());
        files.add(wrapped);
        evidence.add(new Checksums());
        kept.add(new KeptFile());
        overwritten.add(ExtentSet.builder());
        return wrapped;
    }

    /** Remembers what the plan rests on: as long as it reads the same, what was free is free. */
    void seen(int index, long offset, ByteBuffer bytes) {
        if (!armed) {
            Checksums checksums = evidence.get(index);
            synchronized (checksums) {
                checksums.add(offset, bytes);
            }
        }
    }

    /** @return bytes that the undo file takes at most, as the host's map of the files tells it */
    public static long atMost(List<HostRanges> ranges) throws IOException {
        return UndoRoom.atMost(ranges);
    }

    /**
     * Makes the undo file and keeps all that the plan names, durably. Nothing of the image may have changed before.
     *
     * @param tables whether the image's tables change
     * @param ranges what will be lost; the files as {@link #wrap} gave them
     * @throws UnsafeException if the file exists
     * @throws IOException if there is no room for it, or it cannot be written; it is gone again then
     */
    public void arm(RunFacts facts, boolean tables, List<HostRanges> ranges) throws IOException {
        requireAbsent();
        long reserve = UndoRoom.reserve(facts, tables, ranges);
        UndoRoom.require(path, ranges, reserve);
        try {
            medium = opener.open(path, true);
            writer = UndoWriter.create(medium, files.size());
            images = new PreImages(writer);
            begin(facts);
            for (HostRanges range : ranges) {
                int index = indexOf(range);
                ExtentSet stored = range.file().map().allocated();
                keepAll(index, Phase.REPLACED, range.replaced(), stored);
                keepAll(index, Phase.RELEASED, range.released(), stored);
            }
            writer.append(Type.ARMED);
            writer.reserve(reserve);
            writer.seal();
            syncDirectory();
            armed = true;
        } catch (FileAlreadyExistsException e) {
            throw taken();
        } catch (IOException e) {
            throw new IOException("nothing was changed, for the undo file " + path + " cannot be written: " + e.getMessage(), e);
        } finally {
            if (!armed) {
                close();
            }
        }
    }

    private void begin(RunFacts facts) throws IOException {
        writer.append(Type.RUN, 0, Phase.RELEASED, 0, 0, facts.encode());
        for (int i = 0; i < files.size(); i++) {
            HostFile file = files.get(i).file();
            FileIdentity identity = file.identity();
            before.add(identity);
            // A device's own name may be another one after the next start; the one that was given is made to last, if any is.
            Path name = file.isBlockDevice() ? file.path().toAbsolutePath() : file.path().toRealPath();
            writer.append(Type.FILE, i, Phase.RELEASED, 0, 0, new FileFacts(name, identity).encode());
            writer.note(i, identity);
            for (ByteBuffer payload : evidence.get(i).encode()) {
                writer.append(Type.EVIDENCE, i, Phase.RELEASED, 0, 0, payload);
            }
            if (evidence.get(i).isFull()) {
                writer.append(Type.EVIDENCE, i, Phase.RELEASED, 0, 0, ByteBuffer.allocate(0));
            }
            evidence.set(i, null);
        }
    }

    private int indexOf(HostRanges range) {
        for (int i = 0; i < files.size(); i++) {
            if (files.get(i) == range.file()) {
                return i;
            }
        }
        throw new IllegalArgumentException("a plan of other files");
    }

    private void keepAll(int index, Phase phase, ExtentSet ranges, ExtentSet stored) throws IOException {
        ExtentSet inFile = ranges.intersect(ExtentSet.ofRange(0, before.get(index).size()));
        for (Extent range : kept.get(index).planned(phase, inFile)) {
            images.keep(files.get(index).file(), index, phase, range, stored);
        }
    }

    /** Keeps what a range holds that is about to be overwritten. @param bytes that it is going to hold */
    synchronized void overwriting(int index, long offset, ByteBuffer bytes) throws IOException {
        requireArmed();
        long end = Math.addExact(offset, bytes.remaining());
        overwritten.get(index).add(offset, bytes.remaining());
        KeptFile file = kept.get(index);
        Extent range = inFile(index, offset, end);
        if (range == null) {
            return;
        }
        for (Extent missing : file.overwriting(range)) {
            if (barrierDue) {
                writer.append(Type.BARRIER, index, Phase.OVERWRITTEN, 0, 0, ByteBuffer.allocate(0));
                barrierDue = false;
            }
            keepNow(index, Phase.OVERWRITTEN, missing);
        }
        // It is put back with what it holds in the end, for the tables may name it until they are as they were.
        for (Extent released : file.released(range)) {
            int from = bytes.position() + (int) (released.offset() - offset);
            images.keepNew(index, Phase.RELEASED, released.offset(),
                    bytes.duplicate().limit(from + (int) released.length()).position(from));
        }
    }

    /** Keeps what a range holds that is about to be punched or cut off, if the plan did not say so. */
    synchronized void releasing(int index, long offset, long length) throws IOException {
        requireArmed();
        Extent range = inFile(index, offset, Math.addExact(offset, length));
        if (range != null) {
            for (Extent missing : kept.get(index).releasing(range)) {
                keepNow(index, Phase.RELEASED, missing);
            }
        }
    }

    private void requireArmed() throws IOException {
        if (!armed) {
            throw new IOException("a change before the undo file was ready");
        }
    }

    /** @return the part that was in the file before the run; null if none of it was */
    private Extent inFile(int index, long from, long to) {
        long end = Math.min(to, before.get(index).size());
        return from >= end ? null : new Extent(from, end - from);
    }

    private void keepNow(int index, Phase phase, Extent range) throws IOException {
        images.keep(files.get(index).file(), index, phase, range, ExtentSet.ofRange(range.offset(), range.length()));
    }

    synchronized boolean isDurable() {
        return writer.isDurable();
    }

    /** Called before a file is changed: what is kept becomes durable. */
    synchronized void changing() throws IOException {
        requireArmed();
        writer.sync();
        changed = true;
    }

    /** Called when a file was changed. */
    synchronized void changed(int index) throws IOException {
        writer.note(index, files.get(index).file().identity());
    }

    /** Called when all changes of a file are durable: the next ones come behind them. */
    synchronized void barrier() {
        barrierDue = armed;
        kept.forEach(KeptFile::barrier);
    }

    /** Notes durably that the run came to its end. */
    public void finish() throws IOException {
        for (int i = 0; i < files.size(); i++) {
            files.get(i).settle();
            HostFile file = files.get(i).file();
            if (file.isBlockDevice()) {
                // Its times tell nothing, so its bytes have to.
                for (ByteBuffer payload : StoredData.checksums(file, overwritten.get(i).build()).encode()) {
                    writer.append(Type.LEFT, i, Phase.OVERWRITTEN, 0, 0, payload);
                }
            }
            // The note must not be of times that a power cut takes back.
            file.sync();
            writer.note(i, file.identity());
        }
        writer.append(Type.DONE);
        writer.trim();
        writer.seal();
    }

    private void syncDirectory() throws IOException {
        try (FileChannel directory = FileChannel.open(path.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
            directory.force(true);
        }
    }

    /** An undo file of a run that has changed nothing is of no use, and goes. */
    @Override
    public void close() throws IOException {
        if (medium != null) {
            medium.close();
            medium = null;
            if (!changed) {
                Files.deleteIfExists(path);
            }
        }
    }
}
