package io.lacuna.engine;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import java.util.List;

/**
 * What the survey found on one volume.
 *
 * @param index number on the disk, from 1; 0 for a disk without a table or for space between partitions
 * @param offset first byte on the virtual disk
 * @param length bytes
 * @param scheme "gpt", "mbr" or "none"
 * @param type the file system, or what is there instead
 * @param label its name; empty if none
 * @param free free bytes of the virtual disk (not of the volume); empty if skipped
 * @param refusal why it must be left alone; null if its free space is believed
 * @param kept bytes of the virtual disk that its file system calls free and that must stay all the same, by reason; none of them in
 *     {@code free}
 */
record SurveyedVolume(int index, long offset, long length, String scheme, String type, String label, ExtentSet free,
        String refusal, List<String> evidence, List<String> remarks, List<FreeSpace.Kept> kept) {

    SurveyedVolume {
        kept = List.copyOf(kept);
        evidence = List.copyOf(evidence);
        remarks = List.copyOf(remarks);
    }

    /** Nothing of the free space must stay. */
    SurveyedVolume(int index, long offset, long length, String scheme, String type, String label, ExtentSet free,
            String refusal, List<String> evidence, List<String> remarks) {
        this(index, offset, length, scheme, type, label, free, refusal, evidence, remarks, List.of());
    }

    /** @return what the file system calls free, whether it may go or not */
    ExtentSet allFree() {
        ExtentSet all = free;
        for (FreeSpace.Kept reason : kept) {
            all = all.union(reason.bytes());
        }
        return all;
    }

    /** @return what of it must stay whatever the image's format could do */
    List<VolumeReport.NotReclaimable> notReclaimable() {
        return kept.stream().map(reason -> new VolumeReport.NotReclaimable(reason.bytes().totalBytes(), reason.why())).toList();
    }

    SurveyedVolume refused(String reason) {
        return new SurveyedVolume(index, offset, length, scheme, type, label, ExtentSet.EMPTY, reason, List.of(), remarks);
    }
}
