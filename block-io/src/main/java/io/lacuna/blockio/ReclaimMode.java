package io.lacuna.blockio;

/** What may be done to an image's free blocks. */
public enum ReclaimMode {
    /** Release host bytes inside blocks that stay mapped; no table of the format changes. */
    PUNCH,
    /** Unmap blocks that are wholly free and release them; punch in blocks that are free in part. */
    DEALLOCATE,
    /** Deallocate, then move blocks from the tail into the gaps and make the file shorter. */
    COMPACT
}
