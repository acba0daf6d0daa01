package io.lacuna.blockio;

import java.util.List;

/**
 * What a file system calls free, and why to believe it.
 *
 * @param free bytes of the volume that the file system does not use
 * @param evidence the checks that were passed and what they rest on, each a short phrase for the report
 * @param remarks what a reader of the report should know although it stops nothing, each a sentence
 */
public record FreeSpace(ExtentSet free, List<String> evidence, List<String> remarks) {

    public FreeSpace {
        evidence = List.copyOf(evidence);
        remarks = List.copyOf(remarks);
    }
}
