package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;

/**
 * How the file of a sparse extent is laid out; its header comes to this, whatever kind it is.
 *
 * @param kind the kind of file
 * @param capacity bytes of the disk that the extent holds
 * @param grainSize bytes of a grain, a power of two
 * @param directory byte of the grain directory
 * @param redundantDirectory byte of the second grain directory; 0 if there is none
 * @param directoryEntries entries of a directory, each for one grain table
 * @param zeroGrains whether a grain table can say that a grain is zeros
 * @param structures bytes that hold neither grains nor tables: header, descriptor, journal …
 * @param tables byte where the grain tables of seSparse begin; else 0
 * @param grains byte where the grains of seSparse begin; else 0
 */
record GrainLayout(Kind kind, long capacity, long grainSize, long directory, long redundantDirectory, int directoryEntries,
        boolean zeroGrains, ExtentSet structures, long tables, long grains) {

    /** Ours: 64 TiB, the most that VMware makes, as seSparse; 16 MiB of memory. */
    static final int MAX_DIRECTORY_ENTRIES = 1 << 22;
    /** Ours; VMware makes 64 KiB. */
    static final long MAX_GRAIN = 2 << 20;
    /** Entry of a grain table: nothing is stored. */
    static final long NONE = -1;
    /** Entry of a grain table: zeros. */
    static final long ZERO = -2;

    private static final int ZERO_ENTRY = 1;
    /** The upper 4 bits of an seSparse entry tell its kind. */
    private static final int SE_KIND_SHIFT = 60;

    /** Kinds of sparse files. */
    enum Kind {
        /** Hosted sparse. */
        HOSTED(512, 4),
        /** COWD, vmfsSparse. */
        COWD(4096, 4),
        /** seSparse. */
        SESPARSE(4096, 8);

        private final int entriesPerTable;
        private final int entrySize;

        Kind(int entriesPerTable, int entrySize) {
            this.entriesPerTable = entriesPerTable;
            this.entrySize = entrySize;
        }

        int entriesPerTable() {
            return entriesPerTable;
        }

        /** @return bytes of an entry, in tables and directories */
        int entrySize() {
            return entrySize;
        }

        /** @return bytes of a grain table */
        int tableSize() {
            return entriesPerTable * entrySize;
        }
    }

    /** @return directory entries that this many bytes of disk need; any too large number comes as the least one */
    static int neededEntries(Kind kind, long capacity, long grainSize) {
        long span = grainSize * kind.entriesPerTable();
        return (int) Math.min(capacity / span + (capacity % span == 0 ? 0 : 1), MAX_DIRECTORY_ENTRIES + 1L);
    }

    /** @return the same of an extent that holds fewer bytes of the disk, in as many grains */
    GrainLayout withCapacity(long bytes) {
        return new GrainLayout(kind, bytes, grainSize, directory, redundantDirectory, directoryEntries, zeroGrains, structures,
                tables, grains);
    }

    long grainCount() {
        return (capacity + grainSize - 1) / grainSize;
    }

    /** @return bytes of the disk that a grain holds: the last one can be cut by the end of the extent */
    long used(long grain) {
        return Math.min(grainSize, capacity - grain * grainSize);
    }

    /** @return the sector of a grain table; 0 if there is none */
    long tableSector(long entry, int index) throws CorruptException {
        if (kind != Kind.SESPARSE || entry == 0) {
            return entry;
        }
        long number = entry & 0xFFFF_FFFFL;
        if (entry >>> 32 != 0x1000_0000L) {
            throw new CorruptException("grain directory entry " + index, directory + index * 8L,
                    "0, or 0x10000000 in the upper half",
                    "0x" + Long.toHexString(entry));
        }
        return (tables >>> Sectors.SHIFT) + number * (kind.tableSize() >>> Sectors.SHIFT);
    }

    /** @return the byte in the file where a grain lies, {@link #NONE} or {@link #ZERO} */
    long place(long entry, long grain) throws CorruptException {
        if (entry == 0) {
            return NONE;
        }
        if (kind == Kind.SESPARSE) {
            long number = entry >>> 48 & 0xFFF | (entry & 0xFFFF_FFFF_FFFFL) << 12;
            int type = (int) (entry >>> SE_KIND_SHIFT);
            if (type == 1 || type == 2) {
                return ZERO;
            }
            if (type != 3 || number > Long.MAX_VALUE / 2 / grainSize || grains > Long.MAX_VALUE / 2) {
                throw wrongEntry(entry, grain, "a grain or a kind of none");
            }
            return grains + number * grainSize;
        }
        if (entry == ZERO_ENTRY && kind == Kind.HOSTED) {
            if (!zeroGrains) {
                throw wrongEntry(entry, grain, "no zeroed grain, for the header says that there are none");
            }
            return ZERO;
        }
        return entry << Sectors.SHIFT;
    }

    private static CorruptException wrongEntry(long entry, long grain, String expected) {
        return new CorruptException("grain table entry of grain " + grain, -1, expected, "0x" + Long.toHexString(entry));
    }
}
