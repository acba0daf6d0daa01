package io.lacuna.engine;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.DiskImages;
import java.io.IOException;
import java.nio.file.Path;
import java.util.function.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The way in: opens images, and runs whole reclaims of one image. */
public final class Reclaimer {

    /** The version of this build. */
    public static final String VERSION = "0.1.0";

    private Reclaimer() {
    }

    /**
     * Loads what every run needs: the host's calls, the formats, the file systems. A program that has something else to do at
     * its start can call it meanwhile in another thread; nobody has to.
     */
    public static void prepare() {
        DiskImages.prepare();
        FileSystems.probes();
    }

    /**
     * Opens an image for what the options say. For a dry run and a reclaim the locks are taken here, before anything is read,
     * and are held until the session is closed.
     *
     * @throws DiskFormatException if the image is refused; nothing was changed
     * @throws IOException if it cannot be read
     */
    public static ReclaimSession open(Path image, ReclaimOptions options) throws IOException {
        return ReclaimSession.open(image, options, RunContext.ofOneImage());
    }

    /** Opens, plans and, unless the options only ask to look, applies. Never throws for what one image does wrong. */
    public static ImageReport run(Path image, ReclaimOptions options, Progress progress) {
        return run(image, options, progress, RunContext.ofOneImage());
    }

    static ImageReport run(Path image, ReclaimOptions options, Progress progress, RunContext context) {
        ImageReport[] ended = new ImageReport[1];
        ImageReport done = reporting(image, failure -> ended[0] = failure, () -> {
            try (ReclaimSession session = ReclaimSession.open(image, options, context)) {
                return carryOut(session, session.plan(), options, progress);
            }
        });
        return done != null ? done : ended[0];
    }

    static ImageReport carryOut(ReclaimSession session, ReclaimPlan plan, ReclaimOptions options, Progress progress)
            throws IOException {
        return options.purpose() == ReclaimOptions.Purpose.RECLAIM ? session.apply(plan, progress)
                : session.report(plan, progress);
    }

    /** What a command does with one image. */
    interface Work<T> {
        T run() throws IOException;
    }

    /**
     * Does it, and turns whatever goes wrong into a report.
     *
     * @param failed receives that report
     * @return what the work returns; null if it failed
     */
    static <T> T reporting(Path image, Consumer<ImageReport> failed, Work<T> work) {
        long start = System.nanoTime();
        try {
            return work.run();
        } catch (DiskFormatException e) {
            Log.LOG.debug("refused {}", image, e);
            boolean named = image.toString().equals(e.path()) || e.path() == null;
            failed.accept(ImageReport.ended(image, ImageReport.Verdict.REFUSED, named ? e.reason() : e.getMessage(),
                    millisSince(start)));
        } catch (IOException | RuntimeException | Error e) {
            // Even a library that cannot be loaded must not stop the other images of a batch.
            Log.LOG.debug("failed {}", image, e);
            failed.accept(ImageReport.ended(image, ImageReport.Verdict.FAILED, describe(e), millisSince(start)));
        }
        return null;
    }

    /** Loaded at the first failure only: most runs have nothing to log, and logging is a tenth of their start. */
    private static final class Log {
        static final Logger LOG = LoggerFactory.getLogger(Reclaimer.class);
    }

    static long millisSince(long startNanos) {
        return (System.nanoTime() - startNanos) / 1_000_000;
    }

    private static String describe(Throwable e) {
        if (e instanceof java.nio.file.NoSuchFileException) {
            return "no such file";
        }
        if (e instanceof java.nio.file.AccessDeniedException) {
            return "permission denied";
        }
        String message = e.getMessage() == null ? e.toString() : e.getMessage();
        return e instanceof IOException ? message : "internal error: " + e.getClass().getSimpleName() + ": " + message;
    }
}
