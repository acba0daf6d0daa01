package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;

/**
 * Mapping pairs: a header byte whose low half is the size of a length and whose high half that of a signed distance from the
 * run before (0: sparse), then both, little-endian; a header of 0 ends them. Source: libfsntfs, "Data runs".
 */
final class DataRuns {

    private static final String WHAT = "NTFS data runs";

    private DataRuns() {
    }

    /**
     * Decodes the runs of one attribute behind those that are there.
     *
     * @param pairs from the first header byte to the end of the attribute
     * @param endVcn the VCN behind the last one that the attribute says it maps; below 2^42
     * @param volumeClusters clusters of the volume
     * @throws CorruptException if the runs leave the volume, or end before or behind {@code endVcn}
     */
    static void decode(Bytes pairs, long endVcn, long volumeClusters, RunList.Builder runs) throws DiskFormatException {
        int at = 0;
        long lcn = 0;
        // Every turn moves on by at least two bytes of an attribute that a record bounds.
        while (at < pairs.length() && pairs.u8(at) != 0) {
            int lengthSize = pairs.u8(at) & 0xF;
            int distanceSize = pairs.u8(at) >> 4;
            if (lengthSize == 0 || lengthSize > 8 || distanceSize > 8) {
                throw pairs.corrupt(WHAT + ": header", at, "two sizes of at most 8", NtfsBootSector.hex(pairs.u8(at)));
            }
            long length = signed(pairs, at + 1, lengthSize);
            if (length <= 0 || length > endVcn - runs.nextVcn()) {
                throw pairs.corrupt(WHAT + ": length of a run", at + 1, "1 to " + (endVcn - runs.nextVcn()), length);
            }
            if (distanceSize == 0) {
                runs.add(RunList.SPARSE, length);
            } else {
                long distance = signed(pairs, at + 1 + lengthSize, distanceSize);
                // lcn lies in the volume, so neither difference overflows.
                if (distance < -lcn || distance > volumeClusters - length - lcn) {
                    throw pairs.corrupt(WHAT + ": place of a run", at + 1 + lengthSize,
                            "all " + length + " clusters inside the " + volumeClusters + " of the volume",
                            "a step of " + distance + " from cluster " + lcn);
                }
                lcn += distance;
                runs.add(lcn, length);
            }
            at += 1 + lengthSize + distanceSize;
        }
        if (runs.nextVcn() != endVcn) {
            throw pairs.corrupt(WHAT, at, "runs up to cluster " + endVcn + " of the stream", runs.nextVcn());
        }
    }

    private static long signed(Bytes pairs, int at, int size) throws CorruptException {
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (long) pairs.u8(at + i) << (8 * i);
        }
        int unused = 64 - 8 * size;
        return value << unused >> unused;
    }
}
