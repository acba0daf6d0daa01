package io.lacuna.diskimage.undo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.undo.UndoFile.State;
import io.lacuna.fixtures.CrashFile;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Cuts a run with an undo file, and the undo, before every step of either file; loses, reorders and tears what was not durable.
 * Then the image is as it was before, or the undo makes it so, and until then its live bytes are the same.
 */
class UndoCrashTest {

    /** How many of all the cuts in the middle of a run are tried, about. */
    private static final int CUTS = Integer.getInteger("lacuna.test.cuts", 20);

    /** Status of qemu-img check. */
    private static final int LEAKS_ONLY = 3;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private UndoneImages images;
    private byte[] before;
    private int closed;

    @ParameterizedTest
    @CsvSource({"raw,PUNCH", "qcow2,DEALLOCATE", "qcow2,COMPACT", "qcow2 v2,COMPACT", "qcow2 snapshot,DEALLOCATE",
        "qcow2 snapshot,COMPACT", "vpc,DEALLOCATE", "vpc,COMPACT", "vhdx,DEALLOCATE",
        "vhdx,COMPACT", "vmdk,DEALLOCATE", "vmdk,COMPACT", "vdi,COMPACT", "vdi,PUNCH"})
    void isAlwaysTheWayBack(String kind, ReclaimMode mode) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        images = UndoneImages.make(directory, kind);
        before = Files.readAllBytes(images.image());
        Path undone = directory.resolve("image.undo");
        CrashFile.Log log = new CrashFile.Log();
        byte[] after = run(mode, undone, log);
        assertTrue(!Arrays.equals(before, after), "something to undo");
        Path complete = Files.copy(undone, directory.resolve("complete.undo"));
        Map<State, Integer> ofRun = cut(log, before, null, undone);

        CrashFile.Log undoLog = new CrashFile.Log();
        Files.copy(complete, undone, StandardCopyOption.REPLACE_EXISTING);
        Files.write(images.image(), after);
        MemoryHostFile file = new MemoryHostFile(images.image(), after.clone());
        new Restorer(UndoFile.read(undone), List.of(new CrashFile(file, undoLog)), Progress.NONE,
                logging(undoLog, false)).run(false);
        assertArrayEquals(before, file.bytes());
        Map<State, Integer> ofUndo = cut(undoLog, after, complete, undone);
        System.out.println("undo of " + kind + " " + mode + ": run " + log.steps() + " steps " + ofRun + ", undo "
                + undoLog.steps() + " steps " + ofUndo + ", closed by another run " + closed);
        assertTrue(ofRun.getOrDefault(State.CUT, 0) > 0);
        assertTrue(ofUndo.getOrDefault(State.UNDOING, 0) > 0);
    }

    private byte[] run(ReclaimMode mode, Path undone, CrashFile.Log log) throws IOException {
        MemoryHostFile file = new MemoryHostFile(images.image(), before.clone());
        CrashFile logged = new CrashFile(file, log);
        try (UndoRecorder recorder = new UndoRecorder(undone, logging(log, true));
                DiskImage disk = images.open(recorder.wrap(logged))) {
            var plan = disk.plan(images.request(mode));
            recorder.arm(images.facts(disk), plan.changesTables(), plan.hostRanges());
            disk.apply(plan, Progress.NONE);
            recorder.finish();
        }
        return file.bytes();
    }

    /** The second file of the log. */
    private static UndoMedium.Opener logging(CrashFile.Log log, boolean empty) {
        return (path, create) -> {
            if (create) {
                Files.createFile(path);
            }
            return new LoggedMedium(UndoMedium.file(path, false), new CrashFile(new MemoryHostFile(path, empty ? new byte[0]
                    : Files.readAllBytes(path)), log));
        };
    }

    /** @return how many states there were of each kind */
    private Map<State, Integer> cut(CrashFile.Log log, byte[] imageBefore, Path undoBefore, Path undone) throws IOException {
        Map<State, Integer> seenStates = new EnumMap<>(State.class);
        Set<Long> seen = new HashSet<>();
        // Of a long run a choice of cuts, another one for each kind of image; always all of the first ones and the last.
        Random random = new Random(log.steps());
        for (int cut = 0; cut <= log.steps(); cut++) {
            if (cut > 12 && cut < log.steps() - 10 && random.nextInt(log.steps()) > CUTS) {
                continue;
            }
            for (CrashFile.Loss loss : losses(cut)) {
                Files.write(images.image(), imageBefore);
                if (undoBefore == null) {
                    Files.write(undone, new byte[0]);
                } else {
                    Files.copy(undoBefore, undone, StandardCopyOption.REPLACE_EXISTING);
                }
                log.play(cut, loss, cut, images.image(), undone);
                byte[] image = Files.readAllBytes(images.image());
                byte[] undo = Files.readAllBytes(undone);
                if (seen.add((long) Arrays.hashCode(image) << 32 | Arrays.hashCode(undo) & 0xFFFF_FFFFL)) {
                    State state = goesBack(undone, image, "cut at " + cut + ", lost " + loss);
                    seenStates.merge(state, 1, Integer::sum);
                }
            }
        }
        return seenStates;
    }

    private static List<CrashFile.Loss> losses(int cut) {
        CrashFile.Loss[] others = {CrashFile.Loss.REORDERED, CrashFile.Loss.TORN_512, CrashFile.Loss.TORN_4096};
        return List.of(CrashFile.Loss.NOTHING, CrashFile.Loss.ALL_UNSYNCED, others[cut % others.length]);
    }

    private State goesBack(Path undone, byte[] image, String where) throws IOException {
        UndoFile undo;
        try {
            undo = UndoFile.read(undone);
        } catch (DiskFormatException damaged) {
            assertArrayEquals(before, image, where + ": " + damaged.getMessage());
            return State.UNCHANGED;
        }
        if (undo.state() == State.UNCHANGED || undo.state() == State.UNDONE) {
            assertArrayEquals(before, image, where + ": " + undo.state());
            return undo.state();
        }
        assertUsable(image, where);
        if (undo.state() == State.CUT && where.hashCode() % 4 == 0) {
            assertAnotherRunIsNoticed(undone, image, where);
        }
        if (undo.state() == State.UNDOING && where.hashCode() % 4 == 0) {
            cutAgain(undone, image, where);
        }
        MemoryHostFile file = new MemoryHostFile(images.image(), image);
        new Restorer(undo, List.of(file), Progress.NONE).run(true);
        assertArrayEquals(before, file.bytes(), where);
        assertEquals(State.UNDONE, UndoFile.read(undone).state(), where);
        return undo.state();
    }

    /** What lives reads as ever, and for QEMU, where it can tell, nothing is in use that counts as free: at most it leaks. */
    private void assertUsable(byte[] image, String where) throws IOException {
        images.assertLive(image, where);
        if (images.format().name().equals("qcow2")) {
            Files.write(images.image(), image);
            Tools.Result check = Tools.run("qemu-img", "check", "-f", "qcow2", images.image().toString());
            assertTrue(check.status() == 0 || check.status() == LEAKS_ONLY, where + ": " + check.output());
        }
    }

    /** The undo that finishes an undo may be cut as well. */
    private void cutAgain(Path undone, byte[] image, String where) throws IOException {
        byte[] undo = Files.readAllBytes(undone);
        CrashFile.Log log = new CrashFile.Log();
        new Restorer(UndoFile.read(undone), List.of(new CrashFile(new MemoryHostFile(images.image(), image.clone()), log)),
                Progress.NONE, logging(log, false)).run(true);
        Random random = new Random(where.hashCode());
        for (int i = 0; i < 4; i++) {
            int cut = random.nextInt(log.steps() + 1);
            Files.write(images.image(), image);
            Files.write(undone, undo);
            log.play(cut, losses(cut).get(i % 3), cut, images.image(), undone);
            byte[] left = Files.readAllBytes(images.image());
            String again = where + ", then cut at " + cut;
            assertUsable(left, again);
            UndoFile rest = UndoFile.read(undone);
            if (rest.state() == State.UNDOING) {
                MemoryHostFile file = new MemoryHostFile(images.image(), left);
                new Restorer(rest, List.of(file), Progress.NONE).run(true);
                left = file.bytes();
            }
            assertArrayEquals(before, left, again);
        }
        Files.write(undone, undo);
    }

    /**
     * A second run, without an undo file, changes what the first had not got to: then the way back is closed, or it is still right.
     */
    private void assertAnotherRunIsNoticed(Path undone, byte[] image, String where) throws IOException {
        byte[] undo = Files.readAllBytes(undone);
        byte[] unnoted = undo.clone();
        unnoted[UndoLayout.SLOTS_AT] ^= 1;
        Files.write(undone, unnoted);
        MemoryHostFile file = new MemoryHostFile(images.image(), image.clone());
        try (DiskImage disk = images.open(file)) {
            disk.apply(disk.plan(new DeallocationRequest(images.free(), ReclaimMode.DEALLOCATE, 0, 0, true)), Progress.NONE);
        }
        byte[] after = file.bytes().clone();
        try {
            new Restorer(UndoFile.read(undone), List.of(file), Progress.NONE).run(true);
            assertArrayEquals(before, file.bytes(), where + ", then another run");
        } catch (UnsafeException noticed) {
            assertArrayEquals(after, file.bytes(), where + ", then another run");
            closed++;
        }
        Files.write(undone, undo);
    }

    /** Writes to the real file, which is read back, and to the log. */
    private record LoggedMedium(UndoMedium file, CrashFile log) implements UndoMedium {

        @Override
        public void write(long position, java.nio.ByteBuffer bytes) throws IOException {
            log.write(position, bytes.duplicate());
            file.write(position, bytes);
        }

        @Override
        public void truncate(long size) throws IOException {
            log.truncate(size);
            file.truncate(size);
        }

        @Override
        public void force() throws IOException {
            log.sync();
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }
}
