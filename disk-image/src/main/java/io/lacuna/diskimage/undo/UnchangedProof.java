package io.lacuna.diskimage.undo;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.undo.UndoRecord.Phase;
import io.lacuna.diskimage.undo.UndoRecord.Type;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Finds out whether an image is as Lacuna left it, for what somebody wrote since would be lost or, worse, mixed with old bytes.
 *
 * <p>A file is proved by its inode, size, mtime and ctime. (Its device number is left out: it may be another one after a restart,
 * and times to the nanosecond are not met by chance.) Where these prove nothing - on a block device; after a cut, which may have
 * come between a change and the note of it - what the plan was made from, the bitmaps above all, must read as it did. Then a
 * device must still have what the run left there. After a cut of a run or an undo that changed no tables, what was to be released
 * must be as it was or zeros; if it changed some, the caller's word is needed.
 */
final class UnchangedProof {

    /** The least that a device writes or loses at a time. */
    private static final int SECTOR = 512;

    private final UndoFile undo;
    private final PayloadReader payloads;
    private final boolean word;

    /** @param word whether the caller vouches that nothing has written to the image since */
    UnchangedProof(UndoFile undo, PayloadReader payloads, boolean word) {
        this.undo = undo;
        this.payloads = payloads;
        this.word = word;
    }

    /** @throws UnsafeException if the image is not as it was left, or that cannot be told; says why and what to do */
    void require(List<HostFile> files) throws IOException {
        for (int i = 0; i < files.size(); i++) {
            try {
                require(i, files.get(i));
            } catch (UnsafeException e) {
                throw e.in(files.get(i).path());
            }
        }
    }

    private void require(int index, HostFile file) throws IOException {
        FileIdentity before = undo.files().get(index).before();
        FileIdentity now = file.identity();
        if (before.blockDevice() != now.blockDevice()) {
            throw new UnsafeException("this is not what the undo file was made for: it " + (now.blockDevice() ? "is" : "is not")
                    + " a block device");
        }
        if (now.blockDevice()) {
            requireDevice(index, file, before.size());
            return;
        }
        UndoFile.Slot slot = undo.slots().get(index);
        if (slot != null && slot.matches(now)) {
            return;
        }
        if (before.inode() != now.inode()) {
            throw new UnsafeException("another file has the image's place: its inode is " + now.inode() + ", and that of the image "
                    + "was " + before.inode() + "; put the very file back that the run worked on");
        }
        boolean cut = undo.state() != UndoFile.State.DONE;
        boolean sameContent = slot != null && slot.size() == now.size() && slot.modifiedNanos() == now.modifiedNanos();
        if (!cut && !sameContent) {
            throw new UnsafeException("the image has changed since the run: " + differences(slot, now)
                    + "; what it held before can no longer be put back without mixing it with what was written since");
        }
        if (cut) {
            requireCut(index, file, differences(slot, now));
            return;
        }
        if (!word) {
            throw new UnsafeException("only the image's ctime differs from what the run left, which a new owner, name or mode "
                    + "explains; if you know that nothing has written to the image since, say --unchanged");
        }
        requireEvidence(index, file);
    }

    /** @param differences from what was noted last, in words */
    private void requireCut(int index, HostFile file, String differences) throws IOException {
        boolean tables = undo.records().stream().anyMatch(record -> record.isContent() && record.phase() != Phase.RELEASED);
        boolean provable = !tables && file.punchSupport().zeroes();
        if (!provable && !word) {
            throw new UnsafeException("the " + (undo.state() == UndoFile.State.CUT ? "run" : "undo")
                    + " was cut, and whether anything else has written to the image since cannot be told ("
                    + differences + "); if you know that nothing has, say --unchanged");
        }
        requireEvidence(index, file);
        if (provable) {
            requireOldOrZeros(index, file);
        }
    }

    private static String differences(UndoFile.Slot slot, FileIdentity now) {
        if (slot == null) {
            return "the note of its size and times is damaged";
        }
        List<String> differences = new ArrayList<>();
        if (slot.inode() != now.inode()) {
            differences.add("inode " + slot.inode() + ", now " + now.inode());
        }
        if (slot.size() != now.size()) {
            differences.add("size " + slot.size() + ", now " + now.size());
        }
        if (slot.modifiedNanos() != now.modifiedNanos()) {
            differences.add("mtime " + time(slot.modifiedNanos()) + ", now " + time(now.modifiedNanos()));
        }
        if (slot.changedNanos() != now.changedNanos()) {
            differences.add("ctime " + time(slot.changedNanos()) + ", now " + time(now.changedNanos()));
        }
        return String.join("; ", differences);
    }

    private static String time(long nanos) {
        return java.time.Instant.ofEpochSecond(Math.floorDiv(nanos, 1_000_000_000L), Math.floorMod(nanos, 1_000_000_000L))
                .toString();
    }

    private void requireDevice(int index, HostFile file, long size) throws IOException {
        if (file.size() != size) {
            throw new UnsafeException("the device has " + file.size() + " bytes, and the image had " + size
                    + ": it is another device, or it was resized");
        }
        if (undo.state() != UndoFile.State.DONE) {
            requireCut(index, file, "a block device has no times that tell");
            return;
        }
        requireEvidence(index, file);
        ExtentSet.Builder left = ExtentSet.builder();
        compare(index, file, Type.LEFT, ExtentSet.EMPTY, left);
        if (file.punchSupport().zeroes()) {
            requireZeros(file, ranges(index, Phase.RELEASED).minus(left.build()));
        }
    }

    private void requireEvidence(int index, HostFile file) throws IOException {
        if (!word && undo.records().stream().anyMatch(record -> record.file() == index && record.type() == Type.EVIDENCE
                && record.payloadLength() == 0)) {
            throw new UnsafeException("the run relied on more than the undo file remembers, so that whether anything else has "
                    + "written to the image since cannot be told; if you know that nothing has, say --unchanged");
        }
        ExtentSet changed = ranges(index, Phase.RELEASED).union(ranges(index, Phase.OVERWRITTEN))
                .union(ranges(index, Phase.REPLACED));
        compare(index, file, Type.EVIDENCE, changed, ExtentSet.builder());
    }

    /** @return all ranges of a file whose old bytes the undo file has */
    private ExtentSet ranges(int index, Phase phase) {
        ExtentSet.Builder ranges = ExtentSet.builder();
        for (UndoRecord record : undo.records()) {
            if (record.file() == index && record.isContent() && record.phase() == phase) {
                ranges.add(record.offset(), record.length());
            }
        }
        return ranges.build();
    }

    /** @param except ranges that were changed by the run @param compared receives what was looked at */
    private void compare(int index, HostFile file, Type type, ExtentSet except, ExtentSet.Builder compared) throws IOException {
        for (UndoRecord record : undo.records()) {
            if (record.file() != index || record.type() != type) {
                continue;
            }
            ByteBuffer entries = payloads.read(record).order(ByteOrder.LITTLE_ENDIAN);
            while (entries.remaining() >= Checksums.ENTRY_SIZE) {
                long offset = entries.getLong();
                int length = entries.getInt();
                int checksum = entries.getInt();
                if (offset < 0 || length < 1 || length > UndoLayout.CHUNK || offset > Long.MAX_VALUE - length) {
                    throw new CorruptException("checksum of the undo file", record.payloadAt(), "a range", "none");
                }
                if (!except.intersects(offset, length)) {
                    compared.add(offset, length);
                    requireSame(file, offset, length, checksum);
                }
            }
        }
    }

    private static void requireSame(HostFile file, long offset, int length, int checksum) throws IOException {
        boolean same = offset <= file.size() - length;
        if (same) {
            ByteBuffer bytes = ByteBuffer.allocate(length);
            file.read(offset, bytes);
            same = Checksums.of(bytes.flip()) == checksum;
        }
        if (!same) {
            throw new UnsafeException("the image has changed since the run: its " + length + " bytes at " + offset
                    + ", which the run relied on or wrote, are others now; what it held before can no longer be put back without "
                    + "mixing it with what was written since");
        }
    }

    private void requireOldOrZeros(int index, HostFile file) throws IOException {
        ExtentSet stored = file.map().allocated();
        for (UndoRecord record : undo.records()) {
            if (record.file() == index && record.type() == Type.ZERO) {
                requireZeros(file, ExtentSet.ofRange(record.offset(), record.length()).intersect(stored));
            } else if (record.file() == index && record.holdsData()) {
                byte[] old = payloads.data(record).array();
                StoredData.read(file, ExtentSet.ofRange(record.offset(), record.length()), (offset, bytes, length) -> {
                    for (int at = 0; at < length;) {
                        int end = (int) Math.min(length, at + SECTOR - (offset + at) % SECTOR);
                        if (!Arrays.equals(bytes, at, end, old, at, end) && !StoredData.isZero(bytes, at, end)) {
                            throw writtenTo(offset + at);
                        }
                        at = end;
                    }
                    return true;
                });
            }
        }
    }

    private static UnsafeException writtenTo(long offset) {
        return new UnsafeException("the image has changed since the run: something was written to the space that was given back, "
                + "near byte " + offset + "; what was there before can no longer be put back");
    }

    private static void requireZeros(HostFile file, ExtentSet ranges) throws IOException {
        long[] found = {-1};
        StoredData.read(file, ranges, (offset, bytes, length) -> {
            found[0] = StoredData.isZero(bytes, 0, length) ? -1 : offset;
            return found[0] < 0;
        });
        if (found[0] >= 0) {
            throw writtenTo(found[0]);
        }
    }
}
