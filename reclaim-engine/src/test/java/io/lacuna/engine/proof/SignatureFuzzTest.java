package io.lacuna.engine.proof;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryTempDir;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Signatures and time stamps, whatever lies there in their place; never is one of another report good. */
class SignatureFuzzTest {

    private static final byte[] SIGNED = "{}".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] OTHER = "[]".getBytes(StandardCharsets.US_ASCII);
    private static final String[] SOUND = {"report.p7s", "report.tsr", "report.token"};
    private static final FuzzedImages FILES = new FuzzedImages();
    private static byte[] signature;
    private static byte[] stamp;

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void read() throws IOException {
        signature = resource(SOUND[0]);
        stamp = resource(SOUND[1]);
        for (String name : SOUND) {
            FILES.add(resource(name));
        }
        Files.write(directory.resolve("root.crt"), resource("root.crt"));
    }

    private static byte[] resource(String name) throws IOException {
        try (InputStream in = SignatureFuzzTest.class.getResourceAsStream("signed/" + name)) {
            return in.readAllBytes();
        }
    }

    private static SignatureCheck.Result check(byte[] content, byte[] signature, byte[] stamp) throws IOException {
        Path signatureFile = Files.write(directory.resolve("report.p7s"), signature);
        Path stampFile = Files.write(directory.resolve("report.tsr"), stamp);
        Path root = directory.resolve("root.crt");
        Path report = Files.write(directory.resolve("report"), content);
        try (ReportContent opened = ReportContent.open(report)) {
            return SignatureCheck.run(report, opened, signatureFile, new SignatureCheck.Trusted(null, root, null), stampFile);
        }
    }

    @Test
    void soundOnesAreGood() throws IOException {
        assertEquals(Finding.GOOD, check(SIGNED, signature, stamp).finding());
        assertEquals(Finding.GOOD, check(SIGNED, signature, resource(SOUND[2])).finding());
        assertEquals(Finding.REPORT_CHANGED, check(OTHER, signature, stamp).finding());
    }

    /** The library reads a stamp's certificates only when they are asked for, and complains unchecked then. */
    @Test
    void aStampWhoseCertificateCannotBeReadIsWrong() throws IOException {
        byte[] damaged = stamp.clone();
        // Tag and length of the algorithm that the clock's certificate was signed with.
        assertEquals(0x300A, ByteBuffer.wrap(damaged).getShort(183));
        damaged[184] = 0;
        SignatureCheck.Result result = check(SIGNED, signature, damaged);
        assertEquals(Finding.TIME_STAMP_WRONG, result.finding());
        assertTrue(result.sentences().toString().contains("the time stamp cannot be read"), result.toString());
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(SignatureFuzzTest.class, "signatures", this::signatures);
    }

    @Tag("fuzz")
    @FuzzTest
    void signatures(byte[] input) {
        FILES.check(input, (file, number, options) -> {
            boolean other = (options & 1) != 0;
            SignatureCheck.Result result = number == 0 ? check(other ? OTHER : SIGNED, file, stamp)
                    : check(SIGNED, other ? OTHER : signature, file);
            if (other && result.finding() == Finding.GOOD) {
                throw new AssertionError("a good signature of another report: " + result);
            }
        });
    }
}
