package io.lacuna.diskimage.block;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.ReclaimMode;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CompactionJournalTest {

    @TempDir
    Path directory;

    private StrictHostFile image;
    private Path path;

    @BeforeEach
    void makeImage() throws IOException {
        Path file = Files.write(directory.resolve("disk.vhd"), new byte[10]);
        image = new StrictHostFile(file, new byte[10], 4096, true);
        path = directory.resolve("disk.vhd.lacuna-journal");
    }

    private CompactionJournal journal() throws IOException {
        return CompactionJournal.of(image, "vhd", 1 << 20);
    }

    private byte[] cutAfter(long... progress) throws IOException {
        CompactionJournal journal = journal();
        journal.create(ReclaimMode.COMPACT, 40);
        for (long done : progress) {
            journal.note(done);
        }
        journal.release();
        return Files.readAllBytes(path);
    }

    @Test
    void saysNothingWhereThereIsNone() throws IOException {
        assertFalse(journal().stands());
        assertNull(journal().notice());
        assertFalse(Files.exists(path));
    }

    @Test
    void tellsALaterRunHowFarItCame() throws IOException {
        cutAfter(12, 25);
        assertTrue(journal().stands());
        String notice = journal().notice();
        assertTrue(notice.contains("25 of 40") && notice.contains("--mode compact") && notice.contains(path.toString()), notice);
        CompactionJournal next = journal();
        next.create(ReclaimMode.COMPACT, 15);
        next.remove();
        assertFalse(Files.exists(path));
        assertFalse(next.stands());
    }

    @Test
    void isFoundThroughASymbolicLink() throws IOException {
        cutAfter();
        Path link = Files.createSymbolicLink(directory.resolve("link"), image.path());
        assertTrue(CompactionJournal.of(new StrictHostFile(link, new byte[10], 4096, true), "vhd", 1 << 20).stands());
    }

    @Test
    void everyTruncationAndFlippedByteIsANoticeAndNoMore() throws IOException {
        byte[] bytes = cutAfter(12, 25);
        assertEquals(112 + 2 * 16, bytes.length);
        for (int length = 0; length < bytes.length; length++) {
            Files.write(path, Arrays.copyOf(bytes, length));
            assertTrue(journal().stands());
            assertTrue(journal().notice().contains(length < 112 ? "incomplete" : length < 128 ? "after 0 of" : "after 12 of"));
        }
        for (int at = 0; at < bytes.length; at++) {
            byte[] damaged = bytes.clone();
            damaged[at] ^= 0x10;
            Files.write(path, damaged);
            CompactionJournal found = journal();
            if (at < 8) {
                assertNull(found.notice(), "not a journal at all");
                assertThrows(FileAlreadyExistsException.class, () -> found.create(ReclaimMode.COMPACT, 1));
                assertArrayEquals(damaged, Files.readAllBytes(path));
            } else {
                assertTrue(found.notice().contains(at < 112 ? "incomplete or damaged" : at < 128 ? "after 0 of" : "after 12 of"));
            }
        }
        Files.write(path, new byte[4096]);
        assertTrue(journal().notice().contains("incomplete"), "zeros, as a power cut leaves them");
    }

    @Test
    void ofAnotherImageProvesNothing() throws IOException {
        cutAfter();
        assertTrue(CompactionJournal.of(image, "vhd", 2 << 20).notice().contains("belongs to another file"));
        assertFalse(CompactionJournal.of(image, "vhd", 2 << 20).stands());
        assertFalse(CompactionJournal.of(image, "vdi", 1 << 20).stands());
        byte[] other = JournalRecords.header(new FileIdentity(1, 3, 10, 0, 0, false), 1 << 20, "vhd", "compact", 4).array();
        Files.write(path, other);
        assertFalse(journal().stands());
        byte[] restarted = JournalRecords.header(new FileIdentity(9, 2, 10, 0, 0, false), 1 << 20, "vhd", "compact", 4).array();
        Files.write(path, restarted);
        assertTrue(journal().stands(), "a device may have another number after a restart");
        Files.write(path, other);
        CompactionJournal ours = journal();
        ours.create(ReclaimMode.COMPACT, 2);
        ours.release();
        assertTrue(journal().stands(), "a run replaces it");
    }

    @Test
    void neverOverwritesWhatIsNoJournal() throws IOException {
        Files.writeString(path, "my notes");
        CompactionJournal journal = journal();
        assertNull(journal.notice());
        FileAlreadyExistsException refusal = assertThrows(FileAlreadyExistsException.class,
                () -> journal.create(ReclaimMode.COMPACT, 1));
        assertTrue(refusal.getMessage().contains("move the file away"), refusal.getMessage());
        assertEquals("my notes", Files.readString(path));
        Files.delete(path);
        Path target = Files.writeString(directory.resolve("target"), "");
        Files.createSymbolicLink(path, target);
        assertThrows(FileAlreadyExistsException.class, () -> journal().create(ReclaimMode.COMPACT, 1));
        assertEquals("", Files.readString(target));
    }
}
