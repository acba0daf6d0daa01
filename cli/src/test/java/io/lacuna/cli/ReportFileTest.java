package io.lacuna.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.engine.RunReport;
import io.lacuna.engine.proof.ReportSigner;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What becomes of a report at the end of a run that has changed its images. */
class ReportFileTest {

    @TempDir
    Path directory;

    private record Failing(boolean ofMemory) implements ReportSigner {

        @Override
        public String suffix() {
            return ".sig";
        }

        @Override
        public Map<String, String> description() {
            return Map.of("algorithm", "none");
        }

        @Override
        public byte[] sign(Path report) throws IOException {
            if (ofMemory) {
                throw new OutOfMemoryError("too large");
            }
            throw new IOException("too large");
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aReportThatCannotBeSignedIsKept(boolean ofMemory) throws IOException {
        Path target = directory.resolve("run.json");
        ReportFile file = ReportFile.prepare(target, new Signing(new Failing(ofMemory), null, null), true);
        IOException told = assertThrows(IOException.class, () -> file.write(new RunReport(false, List.of())));
        file.discardUnlessWritten();
        assertTrue(told.getMessage().contains("was written to " + target + ", but not signed: too large"), told.getMessage());
        assertTrue(Files.readString(target).contains("\"signedBy\":{\"algorithm\":\"none\"}"));
        assertFalse(Files.exists(directory.resolve("run.json.sig")));
        try (var files = Files.list(directory)) {
            assertTrue(files.allMatch(target::equals));
        }
    }

    /** Somebody else's file has come to that place while the images were changed. */
    @Test
    void aReportWhosePlaceIsTakenIsKeptUnderAnotherName() throws IOException {
        Path target = directory.resolve("run.json");
        ReportFile file = ReportFile.prepare(target, null, true);
        Files.writeString(target, "my own notes");
        IOException told = assertThrows(IOException.class, () -> file.write(new RunReport(false, List.of())));
        file.discardUnlessWritten();
        assertEquals("my own notes", Files.readString(target));
        String message = told.getMessage();
        Path kept = Path.of(message.replaceAll(".*The report is in (.*), without a signature", "$1"));
        assertTrue(Files.readString(kept).contains("\"images\":[]"), message);
    }
}
