package io.lacuna.fs.ntfs;

import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.function.Consumer;

/**
 * Changes an NTFS volume in memory, byte by byte, and puts the fix-ups right again. Knows the format on its own, so that a
 * misreading of the parser's is not shared; the first file records must follow each other, as mkntfs leaves them.
 */
final class NtfsEditor {

    static final int DATA = 0x80;

    final byte[] bytes;
    final ByteBuffer volume;

    NtfsEditor(byte[] original) {
        bytes = original.clone();
        volume = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    FreeSpace freeSpace() throws IOException {
        return new NtfsProbe().open(new ByteArraySource(bytes)).freeSpace();
    }

    int sectorSize() {
        return volume.getShort(0x0B);
    }

    int clusterSize() {
        int perCluster = bytes[0x0D] & 0xFF;
        return sectorSize() * (perCluster > 128 ? 1 << 256 - perCluster : perCluster);
    }

    int clusterCount() {
        return (int) (volume.getLong(0x28) * sectorSize() / clusterSize());
    }

    int recordSize() {
        return bytes[0x40] > 0 ? bytes[0x40] * clusterSize() : 1 << -bytes[0x40];
    }

    int recordOffset(int number) {
        return (int) volume.getLong(0x30) * clusterSize() + number * recordSize();
    }

    int mirrorOffset(int number) {
        return (int) volume.getLong(0x38) * clusterSize() + number * recordSize();
    }

    /** Changes a record without its fix-ups and, where there is one, its mirror in the same way. */
    NtfsEditor record(int number, Consumer<ByteBuffer> change) {
        fixed(recordOffset(number), recordSize(), change);
        if (number < 4) {
            System.arraycopy(bytes, recordOffset(number), bytes, mirrorOffset(number), recordSize());
        }
        return this;
    }

    /** Changes one attribute's bytes in a record: from its first byte to the end of the record. */
    NtfsEditor attribute(int number, int type, Consumer<ByteBuffer> change) {
        return record(number, record -> {
            int at = attributeOffset(record, type);
            change.accept(record.slice(at, record.limit() - at).order(ByteOrder.LITTLE_ENDIAN));
        });
    }

    /** Changes a structure that has fix-ups: takes them out, changes it, puts new ones in. */
    NtfsEditor fixed(int offset, int size, Consumer<ByteBuffer> change) {
        ByteBuffer record = volume.slice(offset, size).order(ByteOrder.LITTLE_ENDIAN);
        int array = record.getShort(4);
        for (int i = 1; i <= size / 512; i++) {
            record.putShort(i * 512 - 2, record.getShort(array + 2 * i));
        }
        change.accept(record);
        seal(record);
        return this;
    }

    /** Writes fix-ups for what stands in the record now. */
    static void seal(ByteBuffer record) {
        int array = record.getShort(4);
        for (int i = 1; i <= record.limit() / 512; i++) {
            record.putShort(array + 2 * i, record.getShort(i * 512 - 2));
            record.putShort(i * 512 - 2, record.getShort(array));
        }
    }

    /** @return where the first attribute of this type starts, in a record without fix-ups */
    static int attributeOffset(ByteBuffer record, int type) {
        for (int at = record.getShort(0x14); record.getInt(at) != -1; at += record.getInt(at + 4)) {
            if (record.getInt(at) == type) {
                return at;
            }
        }
        throw new AssertionError("no attribute " + Integer.toHexString(type));
    }

    /** @return where the first run of the first attribute of this type in a record starts on the volume */
    int firstRun(int number, int type) {
        int[] offset = new int[1];
        new NtfsEditor(bytes).fixed(recordOffset(number), recordSize(), record -> {
            int at = attributeOffset(record, type);
            int run = at + record.getShort(at + 0x20);
            int lengthSize = record.get(run) & 0xF;
            int lcn = 0;
            for (int i = (record.get(run) >> 4) - 1; i >= 0; i--) {
                lcn = lcn << 8 | record.get(run + 1 + lengthSize + i) & 0xFF;
            }
            offset[0] = lcn * clusterSize();
        });
        return offset[0];
    }

    /** Overwrites a resident-to-be or non-resident attribute with other data runs; there must be room for them. */
    NtfsEditor runs(int number, int type, byte[] pairs) {
        return attribute(number, type, attribute -> attribute.put(attribute.getShort(0x20), pairs));
    }

    /** Sets one cluster's bit in $Bitmap. */
    NtfsEditor mark(int cluster, boolean used) {
        int at = firstRun(6, DATA) + cluster / 8;
        bytes[at] = (byte) (used ? bytes[at] | 1 << cluster % 8 : bytes[at] & ~(1 << cluster % 8));
        return this;
    }

    boolean isUsed(int cluster) {
        return (bytes[firstRun(6, DATA) + cluster / 8] >> cluster % 8 & 1) != 0;
    }

    /** Writes a restart page of 4096 bytes into $LogFile: the first (index 0) or the second. */
    NtfsEditor restartPage(int index, String magic, int major, int minor, long lsn, int clientsInUse, int flags) {
        ByteBuffer page = volume.slice(firstRun(2, DATA) + index * 4096, 4096).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < page.limit(); i++) {
            page.put(i, (byte) 0);
        }
        for (int i = 0; i < 4; i++) {
            page.put(i, (byte) magic.charAt(i));
        }
        page.putShort(0x04, (short) 0x1E).putShort(0x06, (short) 9);
        page.putInt(0x10, 4096).putInt(0x14, 4096).putShort(0x18, (short) 0x30);
        page.putShort(0x1A, (short) minor).putShort(0x1C, (short) major).putShort(0x1E, (short) 7);
        page.putLong(0x30, lsn).putShort(0x38, (short) 1).putShort(0x3A, (short) -1);
        page.putShort(0x3C, (short) clientsInUse).putShort(0x3E, (short) flags);
        seal(page);
        return this;
    }

    /** A journal as Windows leaves it when it lets go of a volume. */
    NtfsEditor cleanLog() {
        return restartPage(0, "RSTR", 1, 1, 1000, 0, 2).restartPage(1, "RSTR", 1, 1, 1000, 0, 2);
    }
}
