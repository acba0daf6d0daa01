package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Where the grain tables of a sparse extent lie. All of them are inside the file, and no two structures share a byte.
 *
 * @param tables the sector of each table, unsigned; 0 where there is none
 * @param redundant the sector of each second table; null if there are none
 * @param structures bytes of the file that can hold no grain
 */
record GrainDirectory(int[] tables, int[] redundant, ExtentSet structures) {

    private static final int READ_SIZE = 1 << 20;

    static GrainDirectory read(HostFile file, GrainLayout layout) throws IOException {
        int[] tables = entries(file, layout, layout.directory());
        int[] redundant = layout.redundantDirectory() == 0 ? null : entries(file, layout, layout.redundantDirectory());
        long size = (long) layout.directoryEntries() * layout.kind().entrySize();
        ExtentSet.Builder all = ExtentSet.builder();
        long sum = add(all, layout, layout.directory(), size, tables);
        if (redundant != null) {
            sum += add(all, layout, layout.redundantDirectory(), size, redundant);
            for (int i = 0; i < tables.length; i++) {
                if ((tables[i] == 0) != (redundant[i] == 0)) {
                    throw new CorruptException("redundant grain directory entry " + i, layout.redundantDirectory() + i * 4L,
                            tables[i] == 0 ? "none, as in the other directory" : "a table, as in the other directory",
                            Integer.toUnsignedString(redundant[i]));
                }
            }
        }
        ExtentSet directories = all.build();
        // seSparse sets an area for its tables aside, which is one of the structures.
        boolean overlaps = layout.kind() != GrainLayout.Kind.SESPARSE && !directories.intersect(layout.structures()).isEmpty();
        if (directories.totalBytes() != sum || overlaps) {
            throw new CorruptException("grain directory", layout.directory(), "tables at places of their own",
                    "tables that share a place with each other or with the header");
        }
        return new GrainDirectory(tables, redundant, directories.union(layout.structures()));
    }

    private static long add(ExtentSet.Builder all, GrainLayout layout, long directory, long size, int[] tables) {
        all.add(directory, size);
        long sum = size;
        for (int table : tables) {
            if (table != 0) {
                all.add(Integer.toUnsignedLong(table) << Sectors.SHIFT, layout.kind().tableSize());
                sum += layout.kind().tableSize();
            }
        }
        return sum;
    }

    private static int[] entries(HostFile file, GrainLayout layout, long directory) throws IOException {
        int entrySize = layout.kind().entrySize();
        int tableSize = layout.kind().tableSize();
        long size = (long) layout.directoryEntries() * entrySize;
        if (directory > file.size() - size) {
            throw new CorruptException("grain directory", directory, size + " bytes before the file's end at " + file.size(),
                    "an end inside of them");
        }
        int[] entries = new int[layout.directoryEntries()];
        long most = file.size() / tableSize;
        ByteBuffer buffer = ByteBuffer.allocate((int) Math.min(READ_SIZE, size)).order(ByteOrder.LITTLE_ENDIAN);
        int count = 0;
        for (int i = 0; i < entries.length; i++) {
            if (i * (long) entrySize % READ_SIZE == 0) {
                buffer.clear().limit((int) Math.min(READ_SIZE, size - (long) i * entrySize));
                file.read(directory + (long) i * entrySize, buffer);
                buffer.flip();
            }
            long entry = entrySize == Integer.BYTES ? buffer.getInt() & 0xFFFF_FFFFL : buffer.getLong();
            long sector = layout.tableSector(entry, i);
            long place = sector << Sectors.SHIFT;
            if (sector != 0 && (sector > 0xFFFF_FFFFL || place > file.size() - tableSize)) {
                throw new CorruptException("grain directory entry " + i, directory + (long) i * entrySize,
                        "a table in the file's " + file.size() + " bytes", sector > 0xFFFF_FFFFL ? "sector " + sector : place);
            }
            entries[i] = (int) sector;
            if (sector != 0 && ++count > most) {
                throw new CorruptException("grain directory", directory, "at most " + most + " tables, which the file can hold",
                        "more");
            }
        }
        return entries;
    }
}
