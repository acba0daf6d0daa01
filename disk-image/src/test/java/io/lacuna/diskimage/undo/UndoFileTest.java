package io.lacuna.diskimage.undo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation.HostRanges;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.undo.UndoFile.State;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Undo files as they are written, and damaged ones. */
class UndoFileTest {

    private static final int SIZE = 96 << 10;
    private static final ExtentSet RELEASED = ExtentSet.ofRange(16 << 10, 64 << 10);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path image;
    private Path undone;
    private byte[] before;

    @BeforeEach
    void makeImage() throws IOException {
        before = new byte[SIZE];
        Random random = new Random(3);
        // Some that packs, some that does not, some zeros.
        random.nextBytes(before);
        Arrays.fill(before, 24 << 10, 70 << 10, (byte) 7);
        Arrays.fill(before, 40 << 10, 48 << 10, (byte) 0);
        image = Files.write(directory.resolve("image.raw"), before);
        undone = directory.resolve("image.undo");
    }

    private static RunFacts facts() {
        return new RunFacts("test", "raw", SIZE, 0, false);
    }

    /** Overwrites, punches and cuts off. @return the file afterwards */
    private MemoryHostFile run(UndoMedium.Opener opener) throws IOException {
        MemoryHostFile file = new MemoryHostFile(image, before.clone());
        try (UndoRecorder recorder = new UndoRecorder(undone, opener)) {
            HostFile wrapped = recorder.wrap(file);
            wrapped.read(0, ByteBuffer.allocate(8192));
            recorder.arm(facts(), true, List.of(new HostRanges(wrapped, RELEASED, ExtentSet.EMPTY)));
            wrapped.write(9000, ByteBuffer.wrap("a new table".getBytes()));
            wrapped.sync();
            wrapped.write(9005, ByteBuffer.wrap("another one".getBytes()));
            assertEquals(directory.relativize(image), directory.relativize(wrapped.path()));
            ByteBuffer seen = ByteBuffer.allocate(16);
            wrapped.read(9000, seen);
            assertArrayEquals("a newanother one".getBytes(), seen.array());
            wrapped.punch(16 << 10, 64 << 10);
            wrapped.sync();
            wrapped.truncate(88 << 10);
            wrapped.sync();
            recorder.finish();
        }
        return file;
    }

    @Test
    void keepsWhatIsLostAndPutsItBack() throws IOException {
        MemoryHostFile file = run(UndoMedium::file);
        UndoFile undo = UndoFile.read(undone);
        assertEquals(State.DONE, undo.state());
        assertEquals(image, undo.files().get(0).path());
        assertEquals(facts(), undo.facts());
        long kept = undo.records().stream().filter(UndoRecord::isContent).mapToLong(UndoRecord::length).sum();
        // The second text covers six bytes of the first one, which were durable by then.
        assertEquals((64 << 10) + 16 + 6 + (8 << 10), kept);
        assertTrue(Files.size(undone) < 48 << 10, "packed: " + Files.size(undone));
        new Restorer(undo, List.of(file), Progress.NONE).run(false);
        assertArrayEquals(before, file.bytes());
        assertEquals(State.UNDONE, UndoFile.read(undone).state());
    }

    /** What a guest has deleted is not for everybody who may list the directory. */
    @Test
    void isForNobodyButItsOwner() throws IOException {
        run(UndoMedium::file);
        assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(undone)));
    }

    @Test
    void neverTakesThePlaceOfAnother() throws IOException {
        run(UndoMedium::file);
        byte[] content = Files.readAllBytes(undone);
        UnsafeException refusal = assertThrows(UnsafeException.class, () -> run(UndoMedium::file));
        assertTrue(refusal.getMessage().contains("exists already"), refusal.getMessage());
        assertArrayEquals(content, Files.readAllBytes(undone));
    }

    @Test
    void refusesAChangeBeforeItIsReady() throws IOException {
        MemoryHostFile file = new MemoryHostFile(image, before.clone());
        try (UndoRecorder recorder = new UndoRecorder(undone)) {
            HostFile wrapped = recorder.wrap(file);
            assertThrows(IOException.class, () -> wrapped.write(0, ByteBuffer.allocate(1)));
            assertThrows(IOException.class, () -> wrapped.punch(0, 4096));
            assertThrows(IOException.class, () -> wrapped.truncate(0));
        }
        assertEquals(0, file.changes());
        assertFalse(Files.exists(undone));
    }

    /** Writes so many bytes, then says that the disk is full. */
    private static UndoMedium.Opener full(long after) {
        return (path, create) -> {
            UndoMedium file = UndoMedium.file(path, create);
            long[] left = {after};
            return new UndoMedium() {
                @Override
                public void write(long position, ByteBuffer bytes) throws IOException {
                    left[0] -= bytes.remaining();
                    if (left[0] < 0) {
                        throw new IOException("No space left on device");
                    }
                    file.write(position, bytes);
                }

                @Override
                public void truncate(long size) throws IOException {
                    file.truncate(size);
                }

                @Override
                public void force() throws IOException {
                    file.force();
                }

                @Override
                public void close() throws IOException {
                    file.close();
                }
            };
        };
    }

    @Test
    void aFullDiskIsAnErrorBeforeAnythingChanged() throws IOException {
        run(UndoMedium::file);
        long whole = Files.size(undone);
        Files.delete(undone);
        int stopped = 0;
        for (long room = 0; room < whole + 4096; room += 501) {
            long after = room;
            MemoryHostFile file = new MemoryHostFile(image, before.clone());
            try (UndoRecorder recorder = new UndoRecorder(undone, full(after))) {
                HostFile wrapped = recorder.wrap(file);
                try {
                    recorder.arm(facts(), true, List.of(new HostRanges(wrapped, RELEASED, ExtentSet.EMPTY)));
                } catch (IOException e) {
                    stopped++;
                    assertTrue(e.getMessage().contains("nothing was changed") && e.getMessage().contains("No space left"),
                            e.getMessage());
                    assertFalse(Files.exists(undone), "the half file is gone");
                    assertEquals(0, file.changes());
                    continue;
                }
                // From here on the disk may be full behind the first change: what was kept is the way back.
                try {
                    wrapped.punch(16 << 10, 64 << 10);
                    wrapped.write(9000, ByteBuffer.allocate(3000));
                    wrapped.sync();
                    recorder.finish();
                } catch (IOException e) {
                    assertTrue(e.getMessage().contains("No space left"), e.getMessage());
                }
            }
            if (Files.exists(undone)) {
                new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(true);
                Files.delete(undone);
            }
            assertArrayEquals(before, file.bytes(), "room for " + room);
        }
        assertTrue(stopped > 10);
    }

    @Test
    @Timeout(120)
    void aFlippedByteNeverHarmsTheImage() throws IOException {
        byte[] after = run(UndoMedium::file).bytes();
        byte[] good = Files.readAllBytes(undone);
        int refused = 0;
        Random random = new Random(9);
        for (int at = 0; at < good.length; at++) {
            // All of the start, the state, the slot and the records' headers; of the rest some.
            if (at % 512 < 96 || random.nextInt(16) == 0) {
                byte[] damaged = good.clone();
                damaged[at] ^= (byte) (1 << random.nextInt(8));
                refused += isRefused(damaged, after, "byte " + at) ? 1 : 0;
            }
        }
        assertTrue(refused > 1000, "only " + refused + " were noticed");
    }

    @Test
    @Timeout(120)
    void aTruncatedFileIsRefused() throws IOException {
        byte[] after = run(UndoMedium::file).bytes();
        byte[] good = Files.readAllBytes(undone);
        for (int length = 0; length < good.length; length += length < 8192 ? 509 : 61) {
            assertTrue(isRefused(Arrays.copyOf(good, length), after, "length " + length), "length " + length);
        }
    }

    /** Each record is whole, and yet some are missing. */
    @Test
    void aFileThatEndsBetweenRecordsIsRefused() throws IOException {
        byte[] after = run(UndoMedium::file).bytes();
        byte[] good = Files.readAllBytes(undone);
        for (UndoRecord record : UndoFile.read(undone).records()) {
            int end = (int) record.payloadAt() + record.payloadLength();
            if (end < good.length) {
                assertTrue(isRefused(Arrays.copyOf(good, end), after, "up to " + end), "up to " + end);
            }
        }
    }

    /** @return whether it was refused and nothing changed; else it must have been put right */
    private boolean isRefused(byte[] undoFile, byte[] after, String where) throws IOException {
        Files.write(undone, undoFile);
        MemoryHostFile file = new MemoryHostFile(image, after.clone());
        try {
            new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(false);
        } catch (DiskFormatException e) {
            assertEquals(0, file.changes(), where);
            return true;
        }
        assertArrayEquals(before, file.bytes(), where);
        return false;
    }

    @Test
    void saysWhatIsWrong() throws IOException {
        assertThrows(UnsupportedException.class, () -> UndoFile.read(image));
        assertThrows(UnsupportedException.class, () -> UndoFile.read(directory));
        run(UndoMedium::file);
        byte[] good = Files.readAllBytes(undone);
        good[good.length / 2] ^= 1;
        Files.write(undone, good);
        CorruptException damaged = assertThrows(CorruptException.class, () -> UndoFile.read(undone));
        assertTrue(damaged.getMessage().startsWith(undone + ": record of the undo file @0x"), damaged.getMessage());
    }

    @Test
    void aCutRunNeedsAWordWhereItsLastStepWasNotNoted() throws IOException {
        MemoryHostFile file = run(UndoMedium::file);
        byte[] cut = cut();
        byte[] unnoted = cut.clone();
        unnoted[UndoLayout.SLOTS_AT] ^= 1;
        Files.write(undone, unnoted);
        UndoFile undo = UndoFile.read(undone);
        assertEquals(State.CUT, undo.state());
        UnsafeException refusal = assertThrows(UnsafeException.class,
                () -> new Restorer(undo, List.of(file), Progress.NONE).run(false));
        assertTrue(refusal.getMessage().contains("--unchanged"), refusal.getMessage());

        byte[] live = file.bytes();
        live[100] ^= 1;
        assertThrows(UnsafeException.class, () -> new Restorer(undo, List.of(file), Progress.NONE).run(true),
                "what the plan was made from is another thing now: no word helps");
        live[100] ^= 1;
        new Restorer(undo, List.of(file), Progress.NONE).run(true);
        assertArrayEquals(before, file.bytes());

        // Noted: no word needed.
        Files.write(undone, cut);
        MemoryHostFile again = new MemoryHostFile(image, before.clone());
        again.truncate(88 << 10);
        new Restorer(UndoFile.read(undone), List.of(again), Progress.NONE).run(false);
        assertArrayEquals(before, again.bytes());
    }

    /**
     * The undo file as if the run had been killed before its end: without the last record, and a state that does not tell of it.
     */
    private byte[] cut() throws IOException {
        byte[] bytes = Files.readAllBytes(undone);
        byte[] cut = Arrays.copyOf(bytes, bytes.length - UndoLayout.RECORD_HEADER);
        ByteBuffer state = UndoLayout.buffer(UndoLayout.SECTOR).putLong(cut.length);
        UndoLayout.seal(Arrays.copyOfRange(bytes, 16, 32), state);
        System.arraycopy(state.array(), 0, cut, UndoLayout.STATE_AT, UndoLayout.SECTOR);
        return cut;
    }

    @Test
    void aCutRunThatChangedNoTablesIsProvedByItsBytes() throws IOException {
        MemoryHostFile file = new MemoryHostFile(image, before.clone());
        try (UndoRecorder recorder = new UndoRecorder(undone)) {
            HostFile wrapped = recorder.wrap(file);
            wrapped.read(0, ByteBuffer.allocate(8192));
            recorder.arm(facts(), false, List.of(new HostRanges(wrapped, RELEASED, ExtentSet.EMPTY)));
            wrapped.punch(16 << 10, 32 << 10);
            recorder.finish();
        }
        byte[] cut = cut();
        cut[UndoLayout.SLOTS_AT] ^= 1;
        byte[] after = file.bytes().clone();
        // The bitmaps; what was punched; what was to be; what was zeros.
        for (int at : new int[] {100, 17 << 10, 60 << 10, 42 << 10}) {
            Files.write(undone, cut);
            MemoryHostFile changed = new MemoryHostFile(image, after.clone());
            changed.bytes()[at] ^= 5;
            UnsafeException refusal = assertThrows(UnsafeException.class,
                    () -> new Restorer(UndoFile.read(undone), List.of(changed), Progress.NONE).run(true), "byte " + at);
            assertTrue(refusal.getMessage().contains("has changed since"), refusal.getMessage());
            assertEquals(0, changed.changes());
        }
        new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(false);
        assertArrayEquals(before, file.bytes());
    }

    /** It names the files that are written, and root would write any. */
    @Test
    void isTrustedFromItsOwnerOnly() throws IOException {
        MemoryHostFile file = run(UndoMedium::file);
        Files.setPosixFilePermissions(undone, PosixFilePermissions.fromString("rw-rw----"));
        UnsafeException open = assertThrows(UnsafeException.class, () -> UndoFile.read(undone));
        assertTrue(open.getMessage().contains("others may write"), open.getMessage());
        Files.setPosixFilePermissions(undone, PosixFilePermissions.fromString("rw-r-----"));
        Tools.skipUnless("root".equals(System.getProperty("user.name")), "only root can give files away");
        Files.setAttribute(undone, "unix:uid", 54321);
        UnsafeException foreign = assertThrows(UnsafeException.class, () -> UndoFile.read(undone));
        assertTrue(foreign.getMessage().contains("another user"), foreign.getMessage());
        Files.setAttribute(undone, "unix:uid", 0);
        new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(false);
        assertArrayEquals(before, file.bytes());
    }

    /** A large one is read from the disk twice, and a failing disk need not answer the same. */
    @Test
    void bytesThatChangeAfterTheyWereProvedAreNotPutBack() throws IOException {
        MemoryHostFile file = run(UndoMedium::file);
        UndoFile undo = UndoFile.read(undone);
        UndoRecord first = undo.records().stream().filter(UndoRecord::holdsData).findFirst().orElseThrow();
        byte[] bytes = Files.readAllBytes(undone);
        bytes[(int) first.payloadAt() + first.payloadLength() - 1] ^= 1;
        Files.write(undone, bytes);
        IOException failure = assertThrows(IOException.class, () -> new Restorer(undo, List.of(file), Progress.NONE).run(false));
        assertTrue(failure.getMessage().contains("payload"), failure.getMessage());
    }

    @Test
    void aCutUndoGoesOnUnlessSomethingElseWrote() throws IOException {
        MemoryHostFile file = run(UndoMedium::file);
        byte[] after = file.bytes().clone();
        IOException full = assertThrows(IOException.class, () -> new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE,
                full(UndoLayout.RECORD_HEADER + UndoLayout.SECTOR + 2 * UndoLayout.SLOT_SIZE)).run(false));
        assertTrue(full.getMessage().contains("No space left") && full.getMessage().contains("half put back"), full.getMessage());
        assertEquals(State.UNDOING, UndoFile.read(undone).state());
        byte[] undo = Files.readAllBytes(undone);
        undo[UndoLayout.SLOTS_AT] ^= 1;
        Files.write(undone, undo);
        byte[] half = file.bytes().clone();
        // A guest may have run since, and what it wrote over what the run changed proves nothing.
        UnsafeException asked = assertThrows(UnsafeException.class,
                () -> new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(false));
        assertTrue(asked.getMessage().contains("the undo was cut") && asked.getMessage().contains("--unchanged"),
                asked.getMessage());
        file.bytes()[100] ^= 1;
        assertThrows(UnsafeException.class, () -> new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(true));
        file.bytes()[100] ^= 1;
        assertArrayEquals(half, file.bytes());
        assertFalse(Arrays.equals(half, after));
        new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(true);
        assertArrayEquals(before, file.bytes());
    }
}
