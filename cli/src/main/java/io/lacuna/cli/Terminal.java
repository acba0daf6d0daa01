package io.lacuna.cli;

import io.lacuna.blockio.Progress;
import java.io.PrintStream;
import java.nio.file.Path;

/** A progress bar on the error stream of a terminal; nothing at all elsewhere. */
final class Terminal {

    private static final int BAR = 30;
    private static final long REDRAW_NANOS = 100_000_000;

    private final PrintStream out;
    private final boolean interactive;
    private long lastDrawn;
    private int lastLength;

    Terminal(PrintStream out, boolean interactive) {
        this.out = out;
        this.interactive = interactive;
    }

    Progress progress(Path image) {
        if (!interactive) {
            return Progress.NONE;
        }
        String name = String.valueOf(image.getFileName());
        return (done, total) -> draw(name, done, total);
    }

    private synchronized void draw(String name, long done, long total) {
        long now = System.nanoTime();
        if (now - lastDrawn < REDRAW_NANOS || total <= 0) {
            return;
        }
        lastDrawn = now;
        double part = Math.min(1, (double) done / total);
        int filled = (int) (part * BAR);
        String line = Text.printable(name) + " [" + "#".repeat(filled) + " ".repeat(BAR - filled) + "] "
                + (int) (part * 100) + " %  " + Sizes.show(done) + " of " + Sizes.show(total);
        out.print("\r" + line + " ".repeat(Math.max(0, lastLength - line.length())));
        out.flush();
        lastLength = line.length();
    }

    /** Takes the bar away, so that lines can follow. */
    synchronized void clear() {
        if (lastLength > 0) {
            out.print("\r" + " ".repeat(lastLength) + "\r");
            out.flush();
            lastLength = 0;
        }
    }
}
