package io.lacuna.diskimage.undo;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation.HostRanges;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Progress;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** In which order an undo writes, and what is durable before what. */
class UndoOrderTest {

    private static final int SIZE = 96 << 10;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private final List<String> events = new ArrayList<>();
    private byte[] before;
    private MemoryHostFile file;
    private Path undone;

    /** Its last 8 KiB are zeros. */
    @BeforeEach
    void makeImage() throws IOException {
        before = new byte[SIZE];
        new Random(4).nextBytes(before);
        Arrays.fill(before, 88 << 10, SIZE, (byte) 0);
        Path image = Files.write(directory.resolve("image.raw"), before);
        file = new MemoryHostFile(image, before.clone());
        undone = directory.resolve("image.undo");
    }

    private interface Changes {
        void make(HostFile image) throws IOException;
    }

    private void run(ExtentSet released, ExtentSet replaced, Changes changes) throws IOException {
        try (UndoRecorder recorder = new UndoRecorder(undone)) {
            HostFile wrapped = recorder.wrap(file);
            recorder.arm(new RunFacts("test", "raw", SIZE, 0, false), true,
                    List.of(new HostRanges(wrapped, released, replaced)));
            changes.make(wrapped);
            recorder.finish();
        }
    }

    /** @return what the undo did, a word or two a step */
    private String undo() throws IOException {
        ClassLoader loader = getClass().getClassLoader();
        HostFile logged = (HostFile) Proxy.newProxyInstance(loader, new Class<?>[] {HostFile.class},
                (proxy, method, arguments) -> {
                    if (List.of("write", "punch", "truncate", "sync").contains(method.getName())) {
                        events.add(method.getName() + (arguments == null ? "" : " " + arguments[0]));
                    }
                    try {
                        return method.invoke(file, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
        UndoFile undo = UndoFile.read(undone);
        UndoMedium.Opener opener = (path, create) -> new Noted(UndoMedium.file(path, create), events);
        new Restorer(undo, List.of(logged), Progress.NONE, opener).run(false);
        assertArrayEquals(before, file.bytes());
        return String.join(", ", events);
    }

    private static class Noted implements UndoMedium {
        private final UndoMedium medium;
        private final List<String> events;

        Noted(UndoMedium medium, List<String> events) {
            this.medium = medium;
            this.events = events;
        }

        @Override
        public void write(long position, ByteBuffer bytes) throws IOException {
            // The note of the image's times comes after every change.
            if (position < UndoLayout.SLOTS_AT || position >= UndoLayout.recordsAt(1)) {
                events.add("record");
            }
            medium.write(position, bytes);
        }

        @Override
        public void truncate(long size) throws IOException {
            medium.truncate(size);
        }

        @Override
        public void force() throws IOException {
            events.add("force");
            medium.force();
        }

        @Override
        public void close() throws IOException {
            medium.close();
        }
    }

    private static void write(HostFile image, long offset, String text) throws IOException {
        image.write(offset, ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII)));
        image.sync();
    }

    /** Released data first, for the tables lead to it; then the tables backwards, each step durable before the next. */
    @Test
    void tablesComeBackFromTheLastChangeToTheFirst() throws IOException {
        run(ExtentSet.ofRange(16 << 10, 64 << 10), ExtentSet.EMPTY, image -> {
            write(image, 9000, "first");
            write(image, 9003, "second");
            write(image, 2000, "third");
            image.punch(16 << 10, 64 << 10);
            image.sync();
        });
        String did = undo();
        // How far it is becomes durable each time, for the next undo must not put a later content back again.
        assertTrue(did.matches("record, .*force, write 16384, (write \\d{5}, )*sync, record, force, record, write 2000, sync, "
                + "record, force, record, write 9003, sync, record, force, record, write 9000, sync, .*record, .*force"), did);
    }

    @Test
    void aFileThatWasCutOffBecomesAsLongAsItWas() throws IOException {
        run(ExtentSet.EMPTY, ExtentSet.EMPTY, image -> {
            image.truncate(88 << 10);
            image.sync();
        });
        undo();
    }

    /** A hole that received a moved block is a hole again. */
    @Test
    void whatWasMovedIntoAHoleGoesFromThere() throws IOException {
        run(ExtentSet.EMPTY, ExtentSet.ofRange(80 << 10, 16 << 10), image -> write(image, 90 << 10, "moved"));
        undo();
    }

    /** Steps that wait for the undo file to be durable are done in their order all the same. */
    @Test
    void aWriteThatWaitsComesBeforeTheCut() throws IOException {
        run(ExtentSet.EMPTY, ExtentSet.EMPTY, image -> {
            image.write(90 << 10, ByteBuffer.wrap(new byte[] {1}));
            image.truncate(88 << 10);
        });
        assertEquals(88 << 10, file.size());
        undo();
    }

    /** What an undo file says is done must not be undone by a power cut. */
    @Test
    void theEndIsNotedWhenItIsDurable() throws IOException {
        run(ExtentSet.EMPTY, ExtentSet.EMPTY, image -> write(image, SIZE, "more"));
        String did = undo();
        assertTrue(did.matches("(record, )+(force, |record, )+(sync, )?truncate " + SIZE
                + ", sync, record, .*force"), did);
    }

    /** The system tells of what it could not store once; whoever asks again hears that all is well. */
    @Test
    void nothingChangesOnceTheUndoFileDidNotBecomeDurable() throws IOException {
        boolean[] fails = {false};
        UndoMedium.Opener opener = (path, create) -> new Noted(UndoMedium.file(path, create), events) {
            @Override
            public void force() throws IOException {
                if (fails[0]) {
                    fails[0] = false;
                    throw new IOException("no such luck");
                }
                super.force();
            }
        };
        try (UndoRecorder recorder = new UndoRecorder(undone, opener)) {
            HostFile wrapped = recorder.wrap(file);
            recorder.arm(new RunFacts("test", "raw", SIZE, 0, false), true,
                    List.of(new HostRanges(wrapped, ExtentSet.EMPTY, ExtentSet.EMPTY)));
            wrapped.write(9000, ByteBuffer.wrap(new byte[100]));
            fails[0] = true;
            assertEquals("no such luck", assertThrows(IOException.class, wrapped::sync).getMessage());
            assertFalse(fails[0]);
            String again = assertThrows(IOException.class, () -> wrapped.setModified(1)).getMessage();
            assertTrue(again.contains("no such luck"), again);
            wrapped.punch(0, 4096);
            assertThrows(IOException.class, wrapped::sync);
        }
        assertArrayEquals(before, file.bytes());
    }
}
