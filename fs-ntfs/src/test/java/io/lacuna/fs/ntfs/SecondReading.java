package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/**
 * Reads $Bitmap and where the system files lie a second time, plainly, slowly and by code of its own: in volumes that
 * a reader has accepted, whose first records follow each other and have no attribute lists. Of others it knows nothing.
 */
final class SecondReading {

    private static final int ATTRIBUTE_LIST = 0x20;
    private static final int BITMAP = 6;
    /** $MFT, $MFTMirr, $LogFile, $Bitmap. */
    private static final int[] SYSTEM_FILES = {0, 1, 2, BITMAP};
    private static final int SPARSE = -1;

    private final byte[] image;
    private final ByteBuffer volume;
    private final int clusterSize;
    private final int recordSize;

    /** In clusters. */
    private record Run(long vcn, long length, long lcn) {
    }

    /** Sizes in bytes. */
    private record Stream(List<Run> runs, long dataSize, long validSize) {
    }

    private SecondReading(byte[] image) {
        this.image = image;
        volume = ByteBuffer.wrap(image).order(ByteOrder.LITTLE_ENDIAN);
        int perCluster = image[0x0D] & 0xFF;
        clusterSize = volume.getShort(0x0B) * (perCluster > 128 ? 1 << 256 - perCluster : perCluster);
        recordSize = image[0x40] > 0 ? image[0x40] * clusterSize : 1 << -image[0x40];
    }

    /** @throws AssertionError if a byte is called free that is marked used, has no mark, or belongs to a system file */
    static void requireFree(byte[] image, ExtentSet free) {
        if (!free.minus(ExtentSet.ofRange(0, image.length)).isEmpty()) {
            throw new AssertionError("free behind the end: " + free);
        }
        if (!free.isEmpty()) {
            new SecondReading(image).require(free);
        }
    }

    private void require(ExtentSet free) {
        if (free.intersects(0, clusterSize)) {
            throw new AssertionError("the boot sector is free");
        }
        Stream table = data(0);
        if (table == null || table.runs.get(0).length * clusterSize < (long) (BITMAP + 1) * recordSize) {
            return;
        }
        for (int number : SYSTEM_FILES) {
            Stream stream = data(number);
            for (Run run : stream == null ? List.<Run>of() : stream.runs) {
                if (run.lcn != SPARSE && free.intersects(run.lcn * clusterSize, run.length * clusterSize)) {
                    throw new AssertionError("free and in a run of file record " + number + ": " + run);
                }
            }
        }
        Stream bitmap = data(BITMAP);
        if (bitmap == null) {
            return;
        }
        for (Extent extent : free) {
            for (long cluster = extent.offset() / clusterSize; cluster * clusterSize < extent.end(); cluster++) {
                if (isUsed(bitmap, cluster)) {
                    throw new AssertionError("cluster " + cluster + " is free and marked used");
                }
            }
        }
    }

    private boolean isUsed(Stream bitmap, long cluster) {
        long at = cluster / 8;
        if (at >= Math.min(bitmap.dataSize, bitmap.validSize)) {
            return true;
        }
        for (Run run : bitmap.runs) {
            long within = at - run.vcn * clusterSize;
            if (within >= 0 && within < run.length * clusterSize) {
                return run.lcn == SPARSE || (image[(int) (run.lcn * clusterSize + within)] >> cluster % 8 & 1) != 0;
            }
        }
        return true;
    }

    /** @return the unnamed data of a file; null if this reading cannot tell it */
    private Stream data(int number) {
        byte[] bytes = new byte[recordSize];
        volume.get((int) volume.getLong(0x30) * clusterSize + number * recordSize, bytes);
        ByteBuffer record = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        int array = record.getShort(4);
        for (int i = 1; i <= recordSize / 512; i++) {
            record.putShort(i * 512 - 2, record.getShort(array + 2 * i));
        }
        Stream data = null;
        for (int at = record.getShort(0x14); record.getInt(at) != -1; at += record.getInt(at + 4)) {
            if (record.getInt(at) == ATTRIBUTE_LIST) {
                return null;
            }
            if (record.getInt(at) == NtfsEditor.DATA && record.get(at + 9) == 0 && record.get(at + 8) != 0) {
                data = new Stream(runs(record, at + record.getShort(at + 0x20)), record.getLong(at + 0x30),
                        record.getLong(at + 0x38));
            }
        }
        return data;
    }

    private static List<Run> runs(ByteBuffer record, int first) {
        List<Run> runs = new ArrayList<>();
        long vcn = 0;
        long lcn = 0;
        for (int at = first; record.get(at) != 0;) {
            int lengthSize = record.get(at) & 0xF;
            int offsetSize = record.get(at) >> 4 & 0xF;
            long length = number(record, at + 1, lengthSize) & (lengthSize == 8 ? -1 : (1L << 8 * lengthSize) - 1);
            lcn += number(record, at + 1 + lengthSize, offsetSize);
            runs.add(new Run(vcn, length, offsetSize == 0 ? SPARSE : lcn));
            vcn += length;
            at += 1 + lengthSize + offsetSize;
        }
        return runs;
    }

    /** @return a signed little-endian number; 0 of no bytes */
    private static long number(ByteBuffer record, int at, int size) {
        long number = size == 0 ? 0 : record.get(at + size - 1) < 0 ? -1 : 0;
        for (int i = size - 1; i >= 0; i--) {
            number = number << 8 | record.get(at + i) & 0xFF;
        }
        return number;
    }
}
