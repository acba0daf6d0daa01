package io.lacuna.engine.proof;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.fixtures.FuzzBounds;
import io.lacuna.fixtures.KeptInputs;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;

/** Reports as they are verified, and the one form of their JSON. */
class ReportFuzzTest {

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(ReportFuzzTest.class, "reports", this::reports);
    }

    @Tag("fuzz")
    @FuzzTest
    void reports(byte[] document) {
        FuzzBounds.check(document.length, () -> {
            ReadReport report = ReadReport.of(new ByteArrayInputStream(document));
            report.images().forEach(image -> {
                image.text("path");
                image.number("virtualSize");
                image.proof("before");
            });
        });
        FuzzBounds.check(document.length, () -> {
            byte[] canonical = canonical(document);
            if (!Arrays.equals(canonical, canonical(canonical))) {
                throw new AssertionError("the one form is not one");
            }
        });
    }

    private static byte[] canonical(byte[] document) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        CanonicalJson.write(CanonicalJson.parse(document), out);
        return out.toByteArray();
    }
}
