package io.lacuna.fs.ntfs;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.util.Arrays;

/** The file system's own files: what $Bitmap must know of if it is to be believed. */
final class SystemFiles {

    /** $Mft, $MFTMirr, $LogFile and $Volume are in the mirror. */
    private static final int MIRRORED_RECORDS = 4;
    /** The system files of NTFS 1.2 end with $Boot, as far as their numbers are the same as today. */
    private static final long LAST_OF_OLD_VERSION = FileRecord.BOOT;

    private final MasterFileTable mft;
    private final NtfsBootSector boot;

    SystemFiles(MasterFileTable mft, NtfsBootSector boot) {
        this.mft = mft;
        this.boot = boot;
    }

    /**
     * Compares the MFT's first records with their copy. A difference is a write that did not get through to both, or damage.
     *
     * @return a short phrase for the report
     * @throws CorruptException if they differ or the copy cannot be read
     */
    String requireMirror() throws IOException {
        NtfsStream mirror = mft.stream(mft.record(FileRecord.MFT_MIRROR), Attribute.DATA, "");
        if (mirror.position(0) != boot.mirrorCluster() * boot.clusterSize()) {
            throw new CorruptException("$MFTMirr: its first byte", mirror.position(0), "the place in the boot sector, "
                    + NtfsBootSector.hex(boot.mirrorCluster() * boot.clusterSize()), "another one");
        }
        for (int number = 0; number < MIRRORED_RECORDS; number++) {
            long offset = (long) number * boot.recordSize();
            long position = mirror.position(offset);
            FileRecord copy = FileRecord.parse(mirror.read(offset, boot.recordSize()), number, position);
            if (!Arrays.equals(withoutFixups(copy), withoutFixups(mft.record(number)))) {
                throw new CorruptException("$MFTMirr: copy of " + copy.describe(), position, "the same as in the MFT",
                        "a difference");
            }
        }
        return "the MFT's first records equal their mirror";
    }

    /** Both are written one after the other, each with an update sequence number of its own. */
    private static byte[] withoutFixups(FileRecord record) throws CorruptException {
        byte[] bytes = record.bytes().copy(0, record.bytes().length());
        int from = record.bytes().u16(Fixup.ARRAY_OFFSET);
        Arrays.fill(bytes, from, Math.min(bytes.length, from + 2 * record.bytes().u16(Fixup.ARRAY_COUNT)), (byte) 0);
        return bytes;
    }

    /**
     * Finds the clusters of all system files.
     *
     * @param free what the bitmap calls free
     * @return a short phrase for the report
     * @throws CorruptException if that takes in one of them, one of their records cannot be read, or the boot file does not hold
     *     the boot sector
     */
    String requireUsed(VolumeInformation volume, ExtentSet free) throws IOException {
        long[] clusters = new long[1];
        long last = volume.majorVersion() >= 3 ? FileRecord.SYSTEM_RECORDS - 1 : LAST_OF_OLD_VERSION;
        for (long number = 0; number <= last; number++) {
            FileRecord record = mft.record(number);
            boolean[] atStart = new boolean[1];
            mft.forEachStream(record, stream -> {
                atStart[0] |= stream.position(0) == 0;
                clusters[0] += usedClusters(stream, free);
            });
            if (number == FileRecord.BOOT && !atStart[0]) {
                throw new CorruptException(record.describe() + ": its first byte", record.bytes().position(0),
                        "byte 0 of the volume", "another one");
            }
        }
        return "$Bitmap marks the " + clusters[0] + " clusters of the system files as in use";
    }

    private static long usedClusters(NtfsStream stream, ExtentSet free) throws CorruptException {
        RunList runs = stream.runs();
        for (int run = 0; run < runs.count(); run++) {
            long start = runs.lcn(run) * stream.clusterSize();
            if (runs.lcn(run) != RunList.SPARSE && free.intersects(start, runs.length(run) * stream.clusterSize())) {
                throw new CorruptException("$Bitmap: clusters of " + stream.what(), start, "in use", "free");
            }
        }
        return runs.placedCount();
    }
}
