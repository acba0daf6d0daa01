package io.lacuna.diskimage.undo;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.blockio.Deallocation.HostRanges;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Progress;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Undo files, read and, where they can be, put back. */
class UndoFuzzTest {

    private static final int SIZE = 96 << 10;
    private static final FuzzedImages UNDO_FILES = new FuzzedImages();

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() throws IOException {
        for (boolean complete : new boolean[] {true, false}) {
            Path undone = directory.resolve("made-" + complete);
            MemoryHostFile file = new MemoryHostFile(directory.resolve("image.raw"), new byte[SIZE]);
            Files.write(file.path(), new byte[0]);
            Arrays.fill(file.bytes(), 24 << 10, 70 << 10, (byte) 7);
            for (int i = 0; i < 24 << 10; i++) {
                file.bytes()[i] = (byte) (i * i * 31 >>> 3);
            }
            try (UndoRecorder recorder = new UndoRecorder(undone)) {
                HostFile wrapped = recorder.wrap(file);
                recorder.arm(new RunFacts("test", "raw", SIZE, 0, false), true,
                        List.of(new HostRanges(wrapped, ExtentSet.ofRange(16 << 10, 64 << 10), ExtentSet.EMPTY)));
                wrapped.write(9000, ByteBuffer.wrap(new byte[] {1, 2, 3}));
                wrapped.sync();
                wrapped.punch(16 << 10, 64 << 10);
                wrapped.sync();
                wrapped.truncate(88 << 10);
                wrapped.sync();
                if (complete) {
                    recorder.finish();
                }
            }
            byte[] bytes = Files.readAllBytes(undone);
            List<UndoRecord> records = UndoFile.read(undone).records();
            List<Integer> regions = new ArrayList<>(List.of(0, 64, UndoLayout.STATE_AT, 16, UndoLayout.SLOTS_AT, 64));
            for (UndoRecord record : records) {
                regions.addAll(List.of((int) record.payloadAt() - UndoLayout.RECORD_HEADER,
                        UndoLayout.RECORD_HEADER + Math.min(256, record.payloadLength())));
            }
            UNDO_FILES.add(bytes, image -> seal(image, records), regions.stream().mapToInt(Integer::intValue).toArray());
        }
    }

    private static void seal(byte[] image, List<UndoRecord> records) {
        byte[] run = Arrays.copyOfRange(image, UndoLayout.MAGIC.length, UndoLayout.MAGIC.length + UndoLayout.RUN_ID_SIZE);
        seal(run, image, 0, UndoLayout.SECTOR);
        seal(run, image, UndoLayout.STATE_AT, UndoLayout.SECTOR);
        seal(run, image, UndoLayout.SLOTS_AT, UndoLayout.SLOT_SIZE);
        ByteBuffer fields = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
        for (UndoRecord record : records) {
            int at = (int) record.payloadAt() - UndoLayout.RECORD_HEADER;
            int length = fields.getInt(at + 32);
            if (length >= 0 && length <= image.length - at - UndoLayout.RECORD_HEADER) {
                fields.putInt(at + 36, UndoLayout.checksum(run, image, at + UndoLayout.RECORD_HEADER, length));
            }
            seal(run, image, at, UndoLayout.RECORD_HEADER);
        }
    }

    private static void seal(byte[] run, byte[] image, int at, int length) {
        ByteBuffer part = UndoLayout.buffer(length).put(0, image, at, length);
        UndoLayout.seal(run, part);
        System.arraycopy(part.array(), 0, image, at, length);
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(UndoFuzzTest.class, "undoFiles", this::undoFiles);
    }

    @Tag("fuzz")
    @FuzzTest
    void undoFiles(byte[] input) {
        UNDO_FILES.check(input, (bytes, number, options) -> {
            Path path = directory.resolve("image.undo");
            Files.write(path, bytes);
            UndoFile undo = UndoFile.read(path);
            undo.state();
            undo.dataBytes();
            // A larger file would be the memory's fault, not the reader's.
            boolean small = undo.files().size() == 1 && undo.files().get(0).before().size() <= 1 << 20;
            if (small && undo.state() != UndoFile.State.UNCHANGED && undo.state() != UndoFile.State.UNDONE) {
                MemoryHostFile image = new MemoryHostFile(directory.resolve("image.raw"), new byte[88 << 10]);
                try {
                    new Restorer(undo, List.of(image), Progress.NONE).run((options & 1) == 0);
                } catch (DiskFormatException refused) {
                    if (image.changes() != 0) {
                        throw new AssertionError("changed and refused", refused);
                    }
                }
            }
        });
    }
}
