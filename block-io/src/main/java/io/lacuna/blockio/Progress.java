package io.lacuna.blockio;

/** Hears how far a run has come. */
@FunctionalInterface
public interface Progress {

    Progress NONE = (done, total) -> { };

    /**
     * @param doneBytes host bytes released so far
     * @param totalBytes host bytes that will be
     */
    void advanced(long doneBytes, long totalBytes);
}
