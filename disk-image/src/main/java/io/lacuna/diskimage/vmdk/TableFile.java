package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * One copy of an extent's grain tables, in groups of some neighbouring tables, which mostly lie side by side in the file.
 *
 * @param file where they lie
 * @param kind what they are like
 * @param tables sector of each table, unsigned; 0 where there is none
 */
record TableFile(HostFile file, GrainLayout.Kind kind, int[] tables) {

    private static final int GROUP_SIZE = 64 << 10;

    int tablesPerGroup() {
        return GROUP_SIZE / kind.tableSize();
    }

    /** @return entries of a group, the last one's too */
    int entriesPerGroup() {
        return GROUP_SIZE / kind.entrySize();
    }

    boolean isAbsent(int group) {
        for (int i = first(group); i < end(group); i++) {
            if (tables[i] != 0) {
                return false;
            }
        }
        return true;
    }

    /** @return the entries of a group, little-endian; tables that are not there are zeros */
    ByteBuffer load(int group) throws IOException {
        int size = kind.tableSize();
        ByteBuffer buffer = ByteBuffer.allocate((end(group) - first(group)) * size).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = first(group); i < end(group); ) {
            int run = run(i, end(group));
            int from = (i - first(group)) * size;
            if (tables[i] != 0) {
                buffer.limit(from + run * size).position(from);
                file.read(place(i), buffer);
            }
            i += run;
        }
        return buffer.clear();
    }

    /** Writes bytes of a group back. */
    void store(int group, ByteBuffer entries, int from, int to) throws IOException {
        int size = kind.tableSize();
        for (int i = first(group); i < end(group); ) {
            int run = run(i, end(group));
            int start = Math.max(from, (i - first(group)) * size);
            int stop = Math.min(to, (i - first(group) + run) * size);
            if (tables[i] != 0 && start < stop) {
                file.write(place(i) + start - (long) (i - first(group)) * size, entries.slice(start, stop - start));
            }
            i += run;
        }
    }

    /** @return how many tables from this one on lie side by side, or are all absent */
    private int run(int table, int end) {
        int next = table + 1;
        if (tables[table] == 0) {
            while (next < end && tables[next] == 0) {
                next++;
            }
        } else {
            while (next < end && tables[next] != 0 && place(next) == place(next - 1) + kind.tableSize()) {
                next++;
            }
        }
        return next - table;
    }

    private long place(int table) {
        return Integer.toUnsignedLong(tables[table]) << Sectors.SHIFT;
    }

    private int first(int group) {
        return group * tablesPerGroup();
    }

    private int end(int group) {
        return Math.min(tables.length, first(group) + tablesPerGroup());
    }

    int groups() {
        return (tables.length + tablesPerGroup() - 1) / tablesPerGroup();
    }
}
