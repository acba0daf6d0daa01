package io.lacuna.partition;

import java.util.Optional;

/**
 * One entry of a partition table. The bytes {@code [offset, offset + length)} lie on the disk unless {@link #refusal()} says
 * otherwise, so look there first.
 *
 * @param index number as Linux counts: 1 and up, logical partitions from 5; 0 for a whole disk without a table
 * @param offset first byte, from the start of the disk
 * @param length number of bytes
 * @param type as the table says it: "0x83", or the type GUID in lower case; empty without a table
 * @param typeName what people call that type; the type itself where nobody has a name for it. Never proves what is inside
 * @param refusal why this partition must be left alone whatever it holds, in a sentence; empty if nothing speaks against it
 */
public record Partition(int index, long offset, long length, String type, String typeName, Optional<String> refusal) {

    /** @return this partition, to be left alone for this reason unless there is one already */
    Partition refused(String sentence) {
        return refusal.isPresent() ? this : new Partition(index, offset, length, type, typeName, Optional.of(sentence));
    }

    /** @return the first byte behind it */
    long end() {
        return offset + length;
    }

    boolean overlaps(long otherOffset, long otherLength) {
        return length > 0 && otherLength > 0 && offset < otherOffset + otherLength && otherOffset < end();
    }
}
