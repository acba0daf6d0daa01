package io.lacuna.diskimage.write;

import static io.lacuna.diskimage.write.VmdkHeader.GRAIN;
import static io.lacuna.diskimage.write.VmdkHeader.SECTOR;
import static io.lacuna.diskimage.write.VmdkHeader.TABLE_BYTES;
import static io.lacuna.diskimage.write.VmdkHeader.TABLE_ENTRIES;
import static io.lacuna.diskimage.write.VmdkHeader.TABLE_SPAN;

import java.io.IOException;
import java.util.Arrays;

/** VMDK, monolithicSparse: header, descriptor, both grain directories with all their tables, then the grains. */
final class VmdkSparseWriter implements ImageWriter {

    private static final int FLAGS = 3;

    private final OutputFile file;
    private final WriteRequest request;
    private final byte[] descriptor;
    private final int tables;
    private final long[] directories = new long[2];
    private final long overhead;
    private final int[] table = new int[TABLE_ENTRIES];
    /** The table that is being filled; those below it are in the file. */
    private int tableIndex;
    private long end;

    VmdkSparseWriter(OutputFile file, WriteRequest request) throws IOException {
        this.file = file;
        this.request = request;
        this.descriptor = VmdkHeader.descriptor("monolithicSparse", request);
        this.tables = VmdkHeader.tables(request.virtualSize());
        directories[0] = (1 + VmdkHeader.DESCRIPTOR_SECTORS) * (long) SECTOR;
        directories[1] = firstTable(0) + (long) tables * TABLE_BYTES;
        overhead = BlockWriter.up(firstTable(1) + (long) tables * TABLE_BYTES, GRAIN);
        end = overhead;
    }

    private long firstTable(int copy) {
        return directories[copy] + BlockWriter.up(4L * tables, SECTOR);
    }

    @Override
    public void write(Chunk chunk) throws IOException {
        startTable((int) (chunk.offset() / TABLE_SPAN));
        int at = 0;
        while (at < chunk.length()) {
            int from = at;
            long start = end;
            while (at < chunk.length() && !chunk.isZero(at, Math.min(chunk.length(), at + GRAIN))) {
                table[(int) ((chunk.offset() + at) / GRAIN % TABLE_ENTRIES)] = (int) (end / SECTOR);
                end += GRAIN;
                at += GRAIN;
            }
            file.write(start, chunk, from, Math.min(at, chunk.length()));
            at += GRAIN;
        }
    }

    private void startTable(int index) throws IOException {
        if (index != tableIndex) {
            byte[] bytes = VmdkHeader.littleEndian(table, TABLE_BYTES);
            for (int copy = 0; copy < 2; copy++) {
                file.writeSparse(firstTable(copy) + (long) tableIndex * TABLE_BYTES, bytes);
            }
            Arrays.fill(table, 0);
            tableIndex = index;
        }
    }

    @Override
    public void finish() throws IOException {
        startTable(-1);
        for (int copy = 0; copy < 2; copy++) {
            int[] directory = new int[tables];
            for (int i = 0; i < tables; i++) {
                directory[i] = (int) ((firstTable(copy) + (long) i * TABLE_BYTES) / SECTOR);
            }
            file.write(directories[copy], VmdkHeader.littleEndian(directory, 4 * tables));
        }
        file.setLength(end);
        file.write(SECTOR, descriptor);
        file.write(0, VmdkHeader.sparseHeader(1, FLAGS, request.virtualSize(), directories[0] / SECTOR,
                directories[1] / SECTOR, overhead / SECTOR));
    }
}
