package io.lacuna.blockio;

import java.util.List;

/**
 * What a file system calls free, and why to believe it.
 *
 * @param free bytes of the volume that the file system does not use
 * @param kept bytes that the file system does not use and that must stay all the same, by reason; none of them in {@code free}
 * @param evidence the checks that were passed and what they rest on, each a short phrase for the report
 * @param remarks what a reader of the report should know although it stops nothing, each a sentence
 */
public record FreeSpace(ExtentSet free, List<Kept> kept, List<String> evidence, List<String> remarks) {

    public FreeSpace {
        kept = List.copyOf(kept);
        evidence = List.copyOf(evidence);
        remarks = List.copyOf(remarks);
    }

    /** Nothing of the free space must stay. */
    public FreeSpace(ExtentSet free, List<String> evidence, List<String> remarks) {
        this(free, List.of(), evidence, remarks);
    }

    /**
     * Bytes that are free and stay.
     *
     * @param why a short phrase: "still needed by a shadow copy", …
     * @param bytes of the volume
     */
    public record Kept(String why, ExtentSet bytes) {
    }
}
