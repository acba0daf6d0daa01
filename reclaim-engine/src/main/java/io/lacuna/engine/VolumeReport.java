package io.lacuna.engine;

import java.util.List;

/**
 * What was found on one volume and what became of it.
 *
 * @param index number of the volume on its disk, from 1 as partition tables count; 0 for a disk without a table
 * @param offset first byte on the virtual disk
 * @param length bytes
 * @param scheme "gpt", "mbr" or "none"
 * @param type the file system, or the name of what is there instead, or "unknown"
 * @param label the name its user gave it; empty if none
 * @param skipped whether it was left alone
 * @param reason why it was left alone, in a sentence; null if it was not
 * @param freeBytes what the file system calls free
 * @param reclaimableBytes what of it costs host storage and can go
 * @param freeExtents number of free ranges
 * @param notReclaimable the difference, explained
 * @param evidence why the free space is believed
 * @param remarks what else is worth knowing
 */
public record VolumeReport(int index, long offset, long length, String scheme, String type, String label, boolean skipped,
        String reason, long freeBytes, long reclaimableBytes, int freeExtents, List<NotReclaimable> notReclaimable,
        List<String> evidence, List<String> remarks) {

    public VolumeReport {
        notReclaimable = List.copyOf(notReclaimable);
        evidence = List.copyOf(evidence);
        remarks = List.copyOf(remarks);
    }

    /** Free bytes that stay, and why. */
    public record NotReclaimable(long bytes, String why) {
    }
}
