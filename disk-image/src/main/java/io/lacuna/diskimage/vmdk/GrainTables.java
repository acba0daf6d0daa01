package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;

/** Where the grains of one sparse extent lie. Holds a few tables in memory; may be used by several threads. */
final class GrainTables {

    /** Of 64 KiB each. */
    private static final int MAX_CACHED = 32;

    private final HostFile file;
    private final GrainLayout layout;
    private final GrainDirectory directory;
    private final TableFile primary;
    private final boolean packed;
    private final Map<Integer, ByteBuffer> cache = new LinkedHashMap<>(MAX_CACHED * 2, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, ByteBuffer> eldest) {
            return size() > MAX_CACHED;
        }
    };

    /** Takes runs of grains. */
    @FunctionalInterface
    interface RunVisitor {
        /**
         * @param grain number of the first grain
         * @param count grains, above 0
         * @param place byte in the file of the first, where the others follow; or {@link GrainLayout#NONE} or
         *     {@link GrainLayout#ZERO}
         */
        void run(long grain, long count, long place) throws IOException;
    }

    /** @param packed whether a grain takes fewer bytes of the file than of the disk */
    GrainTables(HostFile file, GrainLayout layout, boolean packed) throws IOException {
        this.packed = packed;
        this.file = file;
        this.layout = layout;
        this.directory = GrainDirectory.read(file, layout);
        this.primary = new TableFile(file, layout.kind(), directory.tables());
    }

    HostFile file() {
        return file;
    }

    GrainLayout layout() {
        return layout;
    }

    GrainDirectory directory() {
        return directory;
    }

    TableFile primary() {
        return primary;
    }

    /** @return the second copy; null if there is none */
    TableFile redundant() {
        return directory.redundant() == null ? null : new TableFile(file, layout.kind(), directory.redundant());
    }

    /** Forgets what was read of tables that have changed since. */
    void changed() {
        synchronized (cache) {
            cache.clear();
        }
    }

    private ByteBuffer group(int group) throws IOException {
        synchronized (cache) {
            ByteBuffer entries = cache.get(group);
            if (entries == null) {
                entries = primary.load(group);
                cache.put(group, entries);
            }
            return entries;
        }
    }

    long entry(ByteBuffer entries, int index) {
        return layout.kind().entrySize() == Integer.BYTES ? entries.getInt(index * Integer.BYTES) & 0xFFFF_FFFFL
                : entries.getLong(index * Long.BYTES);
    }

    /**
     * Visits the grains {@code [first, end)} in runs, which may be split anywhere.
     *
     * @throws DiskFormatException if a grain lies outside of the file or in one of its structures
     */
    void forEachRun(long first, long end, RunVisitor visitor) throws IOException {
        int perGroup = primary.entriesPerGroup();
        long fileSize = file.size();
        long grain = first;
        while (grain < end) { // Ends: every round takes at least one grain.
            int group = (int) (grain / perGroup);
            long stop = Math.min(end, (group + 1L) * perGroup);
            if (primary.isAbsent(group)) {
                visitor.run(grain, stop - grain, GrainLayout.NONE);
            } else {
                forEachRun(group(group), (long) group * perGroup, grain, stop, fileSize, visitor);
            }
            grain = stop;
        }
    }

    private void forEachRun(ByteBuffer entries, long base, long first, long end, long fileSize, RunVisitor visitor)
            throws IOException {
        long start = first;
        long place = place(entries, base, first);
        for (long grain = first + 1; grain <= end; grain++) {
            long next = grain == end ? 0 : place(entries, base, grain);
            boolean continues = grain < end && (place < 0 ? next == place
                    : !packed && next == place + (grain - start) * layout.grainSize());
            if (!continues) {
                if (place >= 0) {
                    check(start, grain - start, place, fileSize);
                }
                visitor.run(start, grain - start, place);
                start = grain;
                place = next;
            }
        }
    }

    private long place(ByteBuffer entries, long base, long grain) throws IOException {
        try {
            return layout.place(entry(entries, (int) (grain - base)), grain);
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    private void check(long grain, long count, long place, long fileSize) throws DiskFormatException {
        long length = packed ? 1 : (count - 1) * layout.grainSize() + layout.used(grain + count - 1);
        if (place > fileSize - length || directory.structures().intersects(place, length)) {
            throw new CorruptException("grain table entries from grain " + grain + " on", -1, "places in the file's " + fileSize
                    + " bytes and outside of its tables", length + " bytes at " + place).in(file.path());
        }
    }
}
