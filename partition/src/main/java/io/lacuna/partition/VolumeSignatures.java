package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.util.List;
import java.util.Set;

/** Names what stands on a volume besides the file systems that have their own reader. */
public final class VolumeSignatures {

    private VolumeSignatures() {
    }

    /**
     * Looks for all known signatures, at the start, at the end and in a few fixed places. Lax on purpose, as a stale
     * signature beside a file system must still be seen.
     *
     * @param volume the bytes of one partition or of a whole disk, of any length
     * @return all that were found, each name once; empty if none
     * @throws IOException if the bytes cannot be read; never because of what they are
     */
    public static List<VolumeSignature> scan(BlockSource volume) throws IOException {
        return signatures(volume).list();
    }

    /** Like {@link #scan}, of a partition: a partition table is a signature there, too. */
    public static List<VolumeSignature> scanPartition(BlockSource partition) throws IOException {
        Signatures signatures = signatures(partition);
        NestedTable.find(signatures, partition);
        return signatures.list();
    }

    /** @return where signatures stand, from the start of the volume: all copies of each, which {@link #scan} tells once */
    public static Set<Long> places(BlockSource volume) throws IOException {
        return signatures(volume).places();
    }

    private static Signatures signatures(BlockSource volume) throws IOException {
        Signatures signatures = new Signatures(new VolumeBytes(volume));
        SwapSignatures.find(signatures);
        RaidSignatures.find(signatures);
        FixedMagics.find(signatures);
        CheckedSignatures.find(signatures);
        return signatures;
    }
}
