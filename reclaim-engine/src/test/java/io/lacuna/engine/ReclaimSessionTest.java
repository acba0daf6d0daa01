package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReclaimSessionTest {

    @TempDir
    Path directory;

    @Test
    void whatIsWrittenAfterTheOpeningIsNoticedEvenBeforeThePlan() throws IOException {
        Path image = GuestVolume.ext(directory, "vm.raw", 16 << 20, "-t ext4").file();
        try (ReclaimSession session = Reclaimer.open(image, ReclaimOptions.builder().build())) {
            Tools.shell("sleep 0.02; printf x | dd of=\"$1\" conv=notrunc status=none", image);
            ReclaimPlan plan = session.plan();
            assertFalse(plan.isEmpty());
            assertThrows(UnsafeException.class, () -> session.apply(plan, Progress.NONE));
        }
    }

    @Test
    void oneSessionCanPlanAndApplyAgain() throws IOException {
        Path image = GuestVolume.ext(directory, "vm.raw", 16 << 20, "-t ext4").file();
        try (ReclaimSession session = Reclaimer.open(image, ReclaimOptions.builder().minExtent(1 << 20).build())) {
            assertEquals(ImageReport.Verdict.RECLAIMED, session.apply(session.plan(), Progress.NONE).verdict());
            assertTrue(session.plan().isEmpty());
        }
    }

    /** "Refused" promises that nothing was changed. */
    @Test
    void whatStopsARunInItsMiddleIsAFailureAndNoRefusal() {
        DiskImage image = (DiskImage) Proxy.newProxyInstance(DiskImage.class.getClassLoader(), new Class<?>[] {DiskImage.class},
                (proxy, method, arguments) -> {
                    throw new UnsafeException("the tables changed");
                });
        IOException failure = assertThrows(IOException.class,
                () -> ReclaimSession.carryOut(image, Untouched.all(ExtentSet.EMPTY), Progress.NONE));
        assertFalse(failure instanceof DiskFormatException);
        assertTrue(failure.getMessage().contains("the tables changed"), failure.getMessage());
    }
}
