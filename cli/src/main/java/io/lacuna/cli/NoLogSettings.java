package io.lacuna.cli;

/**
 * Named to {@code java.util.logging} by the launcher as what configures it, and leaves it as it is. A library that we use asks
 * for a logger at its start; without this class the JDK would read a file of settings for it, which costs every start some
 * milliseconds.
 */
public final class NoLogSettings {
}
