package io.lacuna.engine.proof;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.fixtures.FuzzBounds;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Timeout;

/** Reports as they are verified, and the one form of their JSON. */
@Tag("fuzz")
@Timeout(150)
class ReportFuzzTest {

    @FuzzTest(maxDuration = "1m")
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
