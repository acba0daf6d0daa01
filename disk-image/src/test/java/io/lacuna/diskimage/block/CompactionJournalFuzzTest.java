package io.lacuna.diskimage.block;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** The journal of a run that moved blocks. */
class CompactionJournalFuzzTest {

    private static final int HEADER = 112;
    private static final int PROGRESS = 16;
    private static final FuzzedImages JOURNALS = new FuzzedImages();

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() {
        ByteBuffer journal = ByteBuffer.allocate(HEADER + 2 * PROGRESS);
        journal.put(JournalRecords.header(new FileIdentity(0, 0, 10, 0, 0, false), 1 << 20, "vhd", "compact", 40));
        journal.put(JournalRecords.progress(12)).put(JournalRecords.progress(25));
        JOURNALS.add(journal.array(), CompactionJournalFuzzTest::seal);
        JOURNALS.add(new byte[8192]);
    }

    private static void seal(byte[] journal) {
        seal(journal, 0, HEADER);
        for (int at = HEADER; at + PROGRESS <= journal.length; at += PROGRESS) {
            seal(journal, at, PROGRESS);
        }
    }

    private static void seal(byte[] journal, int at, int length) {
        CRC32C crc = new CRC32C();
        crc.update(journal, at, length - 4);
        ByteBuffer.wrap(journal).putInt(at + length - 4, Integer.reverseBytes((int) crc.getValue()));
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(CompactionJournalFuzzTest.class, "journals", this::journals);
    }

    @Tag("fuzz")
    @FuzzTest
    void journals(byte[] input) {
        MemoryHostFile image = new MemoryHostFile(directory.resolve("image"), new byte[10]);
        JOURNALS.check(input, (journal, number, options) -> {
            Files.write(directory.resolve("image.lacuna-journal"), journal);
            CompactionJournal found = CompactionJournal.of(image, "vhd", 1 << 20);
            found.stands();
            found.notice();
        });
    }
}
