package io.lacuna.engine.proof;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportContentTest {

    private static final int SIZE = 300_000;

    @TempDir
    Path directory;

    private final byte[] message = new byte[SIZE];
    private Path file;

    @BeforeEach
    void write() throws IOException {
        new Random(1).nextBytes(message);
        file = Files.write(directory.resolve("message"), message);
    }

    @Test
    void readsTheSameEachTime() throws IOException {
        try (ReportContent content = ReportContent.open(file)) {
            assertArrayEquals(message, content.bytes());
            assertArrayEquals(message, content.bytes());
        }
    }

    @Test
    void whatIsWrittenToMeanwhileIsNoContent() throws IOException {
        try (ReportContent content = ReportContent.open(file)) {
            try (RandomAccessFile writer = new RandomAccessFile(file.toFile(), "rw")) {
                writer.seek(SIZE - 1);
                writer.write(message[SIZE - 1] ^ 1);
            }
            assertThrows(IOException.class, content::bytes);
            InputStream left = content.stream();
            assertEquals(message[0] & 0xFF, left.read());
            assertThrows(IOException.class, left::close, "what follows counts, too");
        }
    }

    @Test
    void whatIsCutOffMeanwhileIsNoContent() throws IOException {
        try (ReportContent content = ReportContent.open(file)) {
            Files.write(file, Arrays.copyOf(message, 1000));
            assertThrows(IOException.class, content::bytes);
        }
    }
}
