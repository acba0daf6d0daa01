package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * The block allocation table: for each block of the guest's disk the sector of the file where its sector bitmap begins, or
 * 0xFFFFFFFF for a block that is not stored. Big-endian, 4 bytes each. Source: VHD specification, "Block Allocation Table".
 */
final class Bat {

    private static final int NONE = 0xFFFF_FFFF;
    private static final int SECTOR = 512;
    /** Entries read or written at once. */
    private static final int CHUNK = 1 << 16;
    /** Changed entries that are no farther apart are written together: less than a host's page. */
    private static final int NEAR = 512;

    private final HostFile file;
    private final long offset;
    private final int[] entries;

    private Bat(HostFile file, long offset, int[] entries) {
        this.file = file;
        this.offset = offset;
        this.entries = entries;
    }

    static Bat read(HostFile file, DynamicHeader header) throws IOException {
        int[] entries = new int[header.entries()];
        ByteBuffer buffer = ByteBuffer.allocate(Math.min(CHUNK, entries.length) * DynamicHeader.ENTRY);
        for (int first = 0; first < entries.length; first += CHUNK) {
            int count = Math.min(CHUNK, entries.length - first);
            buffer.clear().limit(count * DynamicHeader.ENTRY);
            file.read(header.tableOffset() + (long) first * DynamicHeader.ENTRY, buffer);
            buffer.flip().asIntBuffer().get(entries, first, count);
        }
        return new Bat(file, header.tableOffset(), entries);
    }

    int size() {
        return entries.length;
    }

    /** @return byte of the file where the block's sector bitmap begins, as the table has it; -1 if it is not stored */
    long place(int block) {
        return entries[block] == NONE ? -1 : (entries[block] & 0xFFFF_FFFFL) * SECTOR;
    }

    /** @return the places of all stored blocks, in rising order, in sectors with the highest bit turned over */
    int[] sortedPlaces() {
        int count = 0;
        int[] places = new int[entries.length];
        for (int entry : entries) {
            if (entry != NONE) {
                places[count++] = entry ^ Integer.MIN_VALUE;
            }
        }
        int[] used = Arrays.copyOf(places, count);
        Arrays.sort(used);
        return used;
    }

    /** @param place one of {@link #sortedPlaces()} @return byte of the file */
    static long position(int place) {
        return ((place ^ Integer.MIN_VALUE) & 0xFFFF_FFFFL) * SECTOR;
    }

    void clear(int block) {
        entries[block] = NONE;
    }

    void move(int block, long place) {
        entries[block] = (int) (place / SECTOR);
    }

    /** Writes these entries as they are now. @param blocks their numbers */
    void write(ExtentSet blocks) throws IOException {
        long first = -1;
        long end = -1;
        for (Extent run : blocks) {
            if (first >= 0 && run.offset() - end > NEAR) {
                write(first, end);
                first = -1;
            }
            first = first < 0 ? run.offset() : first;
            end = run.end();
        }
        if (first >= 0) {
            write(first, end);
        }
    }

    private void write(long first, long end) throws IOException {
        for (long at = first; at < end; at += CHUNK) {
            int count = (int) Math.min(CHUNK, end - at);
            ByteBuffer buffer = ByteBuffer.allocate(count * DynamicHeader.ENTRY);
            buffer.asIntBuffer().put(entries, (int) at, count);
            file.write(offset + at * DynamicHeader.ENTRY, buffer);
        }
    }
}
