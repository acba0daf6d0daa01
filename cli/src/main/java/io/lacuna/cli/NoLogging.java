package io.lacuna.cli;

import java.io.IOException;
import java.util.logging.LogManager;

/**
 * Named to {@code java.util.logging} by the launcher as its manager. A library that we use asks for a logger at its start; the
 * JDK would then read a file of settings and search the class path for other ways to log, which costs every start some ten
 * milliseconds.
 */
public final class NoLogging extends LogManager {

    /** Fails, always: the JDK goes on without settings then, and without the search. */
    @Override
    public void readConfiguration() throws IOException {
        throw new IOException("no settings");
    }
}
