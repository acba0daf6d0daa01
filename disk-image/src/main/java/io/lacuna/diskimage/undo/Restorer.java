package io.lacuna.diskimage.undo;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.undo.UndoRecord.Phase;
import io.lacuna.diskimage.undo.UndoRecord.Type;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Puts an image's old bytes back: first what was released, then the tables, from the last change to the first, then what received
 * moved blocks; each durable before the next begins. So the image goes through the same states as in the run, and a cut anywhere
 * leaves one in which the live bytes are readable and nothing is in use that counts as free. The next undo goes on there.
 */
public final class Restorer {

    /** Bytes that the host may need beside the data. Ours. */
    private static final long ALLOWANCE = 1 << 20;

    private final UndoFile undo;
    private final List<HostFile> files;
    /** What the host stored before anything was put back. */
    private final List<ExtentSet> stored = new ArrayList<>();
    /** What was put back since. */
    private final List<KeptRanges> filled = new ArrayList<>();
    private final boolean[] written;
    private final Progress progress;
    private final UndoMedium.Opener opener;
    private final long total;
    private long done;
    private UndoWriter writer;
    private PayloadReader payloads;

    /** @param files the image's files in the order of {@link UndoFile#files()}, open for writing */
    public Restorer(UndoFile undo, List<HostFile> files, Progress progress) {
        this(undo, files, progress, UndoMedium::file);
    }

    Restorer(UndoFile undo, List<HostFile> files, Progress progress, UndoMedium.Opener opener) {
        this.undo = undo;
        this.opener = opener;
        this.files = List.copyOf(files);
        this.written = new boolean[files.size()];
        this.progress = progress;
        this.total = undo.dataBytes();
    }

    /**
     * Puts the bytes back, durably, and notes that in the undo file.
     *
     * @param word whether the caller vouches that nothing has written to the image since a run or an undo that was cut
     * @throws UnsafeException if the image is not as it was left, or that cannot be told; nothing was changed
     * @throws DiskFormatException if the undo file is damaged; nothing was changed
     * @throws IOException if a write failed; the next undo finishes the work
     */
    public void run(boolean word) throws IOException {
        run(word, () -> { });
    }

    /** As {@link #run(boolean)}. @param last done when the image is as it was, before that is noted */
    public void run(boolean word, Runnable last) throws IOException {
        if (undo.state() == UndoFile.State.UNCHANGED || undo.state() == UndoFile.State.UNDONE) {
            throw new IllegalStateException("nothing to put back: " + undo.state());
        }
        try (PayloadReader reader = new PayloadReader(undo.path(), undo.run())) {
            payloads = reader;
            new UnchangedProof(undo, payloads, word).require(files);
            requireRoom();
            if (Files.size(undo.path()) != undo.size()) {
                throw new UnsafeException("the undo file was written to while it was read: find out by what, then try again");
            }
            try (UndoMedium medium = opener.open(undo.path(), false)) {
                writer = UndoWriter.append(medium, undo.run(), files.size(), undo.end());
                begin();
                putBackAll(last);
            }
        }
    }

    private void putBackAll(Runnable last) throws IOException {
        try {
            putBack();
            end(last);
        } catch (IOException e) {
            throw new IOException("the image is half put back and must not be used before it is wholly: mend what is wrong, then "
                    + "run the undo again: " + e.getMessage(), e);
        }
    }

    private void requireRoom() throws IOException {
        Map<FileStore, Long> needs = new HashMap<>();
        for (int i = 0; i < files.size(); i++) {
            HostFile file = files.get(i);
            HostMap map = file.map();
            stored.add(map.allocated());
            filled.add(new KeptRanges());
            if (file.isBlockDevice() || !map.exact()) {
                continue;
            }
            ExtentSet.Builder data = ExtentSet.builder();
            for (UndoRecord record : undo.records()) {
                if (record.file() == i && record.holdsData()) {
                    data.add(record.offset(), record.length());
                }
            }
            Path directory = file.path().toAbsolutePath().getParent();
            FileStore store = Files.getFileStore(directory);
            long needed = needs.merge(store, ALLOWANCE + data.build().minus(map.allocated()).totalBytes(), Long::sum);
            long room = store.getUsableSpace();
            if (room < needed) {
                throw new IOException("nothing was changed, for there is not enough room to put the bytes back: they take up to "
                        + needed + " bytes, and " + directory + " has " + room + " left");
            }
        }
    }

    private void begin() throws IOException {
        if (undo.state() != UndoFile.State.UNDOING) {
            writer.append(Type.UNDO_BEGUN);
        }
        writer.seal();
    }

    private void putBack() throws IOException {
        int from = undo.leftToPutBack();
        if (from == undo.records().size()) {
            putBackReleased();
        }
        for (int i = from - 1; i >= 0; i--) {
            UndoRecord record = undo.records().get(i);
            if (record.type() == Type.BARRIER) {
                sync();
                note(i);
            } else if (record.phase() == Phase.OVERWRITTEN) {
                putBack(record);
            }
        }
        sync();
        note(0);
        for (UndoRecord record : undo.records()) {
            if (record.phase() == Phase.REPLACED) {
                putBack(record);
            }
        }
        sync();
    }

    private void putBackReleased() throws IOException {
        for (int i = 0; i < files.size(); i++) {
            long size = undo.files().get(i).before().size();
            if (files.get(i).size() < size) {
                files.get(i).write(size - 1, ByteBuffer.allocate(1));
                changed(i);
            }
        }
        for (UndoRecord record : undo.records()) {
            if (record.phase() == Phase.RELEASED) {
                putBack(record);
            }
        }
        sync();
        note(undo.records().size());
    }

    /** Durably, before anything else is put back: to put back a table's last content again would undo what is right already. */
    private void note(int left) throws IOException {
        writer.append(Type.PUT_BACK, 0, Phase.OVERWRITTEN, left, 0, ByteBuffer.allocate(0));
        writer.sync();
    }

    private void putBack(UndoRecord record) throws IOException {
        if (record.holdsData()) {
            files.get(record.file()).write(record.offset(), payloads.data(record));
            filled.get(record.file()).add(record.offset(), record.end());
            changed(record.file());
            done += record.length();
            progress.advanced(done, total);
        } else if (record.type() == Type.ZERO) {
            zero(record);
        }
    }

    private void zero(UndoRecord record) throws IOException {
        HostFile file = files.get(record.file());
        ExtentSet range = ExtentSet.ofRange(record.offset(), record.length());
        ExtentSet present = present(record, range);
        if (present.isEmpty()) {
            return;
        }
        if (!file.isBlockDevice() && record.phase() != Phase.OVERWRITTEN) {
            // Holes were there, or might as well have been.
            ExtentSet holes = holes(file, range);
            for (Extent hole : holes) {
                file.punch(hole.offset(), hole.length());
                changed(record.file());
            }
            present = present.minus(holes);
        }
        boolean surely = file.isBlockDevice() && !file.punchSupport().zeroes();
        StoredData.read(file, present, (offset, bytes, length) -> {
            if (surely || !StoredData.isZero(bytes, 0, length)) {
                file.write(offset, ByteBuffer.allocate(length));
                changed(record.file());
            }
            return true;
        });
    }

    /** @return what of a range the host may store */
    private ExtentSet present(UndoRecord record, ExtentSet range) {
        ExtentSet.Builder empty = ExtentSet.builder();
        for (Extent hole : range.minus(stored.get(record.file()))) {
            for (Extent unfilled : filled.get(record.file()).missing(hole.offset(), hole.end())) {
                empty.add(unfilled.offset(), unfilled.length());
            }
        }
        return range.minus(empty.build());
    }

    /** @return what of a range to punch; nothing where the host cannot */
    private static ExtentSet holes(HostFile file, ExtentSet range) throws IOException {
        try {
            PunchSupport support = file.punchSupport();
            return range.inwardTo(support.granularity(), support.alignment());
        } catch (DiskFormatException cannotPunch) {
            return ExtentSet.EMPTY;
        }
    }

    private void changed(int index) throws IOException {
        written[index] = true;
        writer.note(index, files.get(index).identity());
    }

    private void sync() throws IOException {
        for (int i = 0; i < files.size(); i++) {
            if (written[i]) {
                files.get(i).sync();
                written[i] = false;
            }
        }
    }

    private void end(Runnable last) throws IOException {
        for (int i = 0; i < files.size(); i++) {
            HostFile file = files.get(i);
            FileIdentity before = undo.files().get(i).before();
            if (!file.isBlockDevice() && file.size() > before.size()) {
                file.truncate(before.size());
            }
            if (undo.facts().format().equals("vhd")) {
                // A child knows its parent by this time.
                file.setModified(before.modifiedNanos());
            }
            file.sync();
            writer.note(i, file.identity());
        }
        last.run();
        writer.append(Type.UNDONE);
        writer.seal();
    }
}
