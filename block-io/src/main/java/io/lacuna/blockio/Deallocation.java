package io.lacuna.blockio;

import java.util.List;

/**
 * What a request comes to on one image: computed, nothing done. Every byte of the request is either
 * {@link #reclaimable()} or in exactly one of {@link #retained()}.
 */
public interface Deallocation {

    /** @return free bytes of the virtual disk that cost host storage and will be released */
    ExtentSet reclaimable();

    /**
     * @return free bytes of the virtual disk that may read otherwise afterwards: the reclaimable ones, and where a whole block is
     *     unmapped or moved also those of its free bytes that cost nothing or share their storage. Every other byte stays the same
     */
    default ExtentSet discarded() {
        return reclaimable();
    }

    /** @return free bytes that stay as they are, by reason */
    List<Retained> retained();

    /** @return host bytes that will be released, as the host's own map counts them */
    long plannedBytes();

    /** @return host bytes among these that belong to no guest byte: blocks that nothing in the image refers to */
    long unreferencedBytes();

    /** @return whether there is nothing to do, so that nothing at all would be written */
    boolean isEmpty();

    /** @return whether the image's own tables change, so that a cut run would leave something to take back */
    boolean changesTables();

    /** @return what a reader of the report should know, each a sentence */
    List<String> remarks();

    /**
     * Names ahead what will be lost, for whoever wants to keep a copy of it: a hint, with which he reads it in one go. Tables are
     * left out, and so may be anything else that changes.
     *
     * @return at most one entry a file
     */
    default List<HostRanges> hostRanges() {
        return List.of();
    }

    /**
     * What will be lost of one file.
     *
     * @param file the one that the image was given
     * @param released bytes of it that will be punched or cut off
     * @param replaced bytes of it that blocks from elsewhere will be moved to; may overlap the others
     */
    record HostRanges(HostFile file, ExtentSet released, ExtentSet replaced) {
    }

    /**
     * Free bytes that stay.
     *
     * @param why a short phrase: "smaller than a host block", "shared with snapshot 'a'", …
     * @param bytes of the virtual disk
     */
    record Retained(String why, ExtentSet bytes) {
    }
}
