package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.LongToIntFunction;

/** Writes entries of hosted grain tables, group by group, and makes them durable. */
final class TableWriter {

    private TableWriter() {
    }

    /**
     * Sets entries.
     *
     * @param grains numbers of grains, as ranges of the set
     * @param value the entry of each
     */
    static void set(TableFile copy, ExtentSet grains, LongToIntFunction value) throws IOException {
        int perGroup = copy.entriesPerGroup();
        for (int i = 0; i < grains.count(); ) {
            int group = (int) (grains.start(i) / perGroup);
            i = setInGroups(copy, group, grains, i, value);
        }
        copy.file().sync();
    }

    /** Sets what lies in the groups from this one to the last one that the first range reaches. @return the next range to set */
    private static int setInGroups(TableFile copy, int firstGroup, ExtentSet grains, int first, LongToIntFunction value)
            throws IOException {
        int perGroup = copy.entriesPerGroup();
        int index = first;
        for (int group = firstGroup; ; group++) { // Ends: the groups of the set are finite, and each is taken once.
            Extent span = new Extent((long) group * perGroup, perGroup);
            ByteBuffer entries = copy.load(group);
            int from = Integer.MAX_VALUE;
            int to = 0;
            while (index < grains.count() && grains.start(index) < span.end()) {
                long start = Math.max(span.offset(), grains.start(index));
                long end = Math.min(span.end(), grains.end(index));
                for (long grain = start; grain < end; grain++) {
                    entries.putInt((int) (grain - span.offset()) * Integer.BYTES, value.applyAsInt(grain));
                }
                from = Math.min(from, (int) (start - span.offset()) * Integer.BYTES);
                to = (int) (end - span.offset()) * Integer.BYTES;
                if (grains.end(index) > span.end()) {
                    break;
                }
                index++;
            }
            copy.store(group, entries, from, to);
            if (index == grains.count() || grains.start(index) >= span.end()) {
                return index;
            }
        }
    }

    /** Makes the second copy say what the first one says, for all grains of the disk. */
    static void copyAll(TableFile from, TableFile to, long grains) throws IOException {
        for (int group = 0; group < from.groups(); group++) {
            if (from.isAbsent(group)) {
                continue;
            }
            ByteBuffer right = from.load(group);
            int length = (int) Math.min(right.limit(), (grains - (long) group * from.entriesPerGroup()) * Integer.BYTES);
            ByteBuffer old = to.load(group);
            int first = right.slice(0, length).mismatch(old.slice(0, length));
            if (first >= 0) {
                to.store(group, right, first / Integer.BYTES * Integer.BYTES, length);
            }
        }
        to.file().sync();
    }
}
