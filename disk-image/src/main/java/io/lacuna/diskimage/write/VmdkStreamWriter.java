package io.lacuna.diskimage.write;

import static io.lacuna.diskimage.write.VmdkHeader.GRAIN;
import static io.lacuna.diskimage.write.VmdkHeader.GRAIN_SECTORS;
import static io.lacuna.diskimage.write.VmdkHeader.SECTOR;
import static io.lacuna.diskimage.write.VmdkHeader.TABLE_BYTES;
import static io.lacuna.diskimage.write.VmdkHeader.TABLE_ENTRIES;
import static io.lacuna.diskimage.write.VmdkHeader.TABLE_SPAN;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * VMDK, streamOptimized: compressed grains, each behind a marker with its place on the disk, every grain table behind its grains,
 * then the directory and a footer that tells where it is.
 */
final class VmdkStreamWriter implements ImageWriter {

    /** Version 3 says "compressed, with markers, do not write". */
    private static final int VERSION = 3;
    private static final int FLAGS = 0x30001;
    private static final long IN_FOOTER = -1;
    private static final int MARKER_HEAD = 12;
    private static final int MOST_PACKED = GRAIN + 1024;
    private static final int TABLE = 1;
    private static final int DIRECTORY = 2;
    private static final int FOOTER = 3;

    private final OutputFile file;
    private final WriteRequest request;
    private final byte[] descriptor;
    private final int[] directory;
    private final int[] table = new int[TABLE_ENTRIES];
    private final Packer packer = new Packer(false);
    /** The table that is being filled; those below it are in the file. */
    private int tableIndex;
    private long end = GRAIN;

    VmdkStreamWriter(OutputFile file, WriteRequest request) throws IOException {
        this.file = file;
        this.request = request;
        this.descriptor = VmdkHeader.descriptor("streamOptimized", request);
        this.directory = new int[VmdkHeader.tables(request.virtualSize())];
    }

    @Override
    public void prepare(Chunk chunk) {
        for (int from = 0; from < chunk.length(); from += GRAIN) {
            if (!chunk.isZero(from, Math.min(chunk.length(), from + GRAIN))) {
                byte[] packed = packer.pack(chunk.copy(from, GRAIN), MARKER_HEAD, MOST_PACKED);
                ByteBuffer marker = ByteBuffer.allocate((int) BlockWriter.up(packed.length, SECTOR))
                        .order(ByteOrder.LITTLE_ENDIAN);
                marker.put(packed).putLong(0, (chunk.offset() + from) / SECTOR).putInt(8, packed.length - MARKER_HEAD);
                chunk.keepPacked(from / GRAIN, marker.array());
            }
        }
    }

    @Override
    public void write(Chunk chunk) throws IOException {
        startTable((int) (chunk.offset() / TABLE_SPAN));
        for (int from = 0; from < chunk.length(); from += GRAIN) {
            byte[] packed = chunk.packed(from / GRAIN);
            if (packed != null) {
                table[(int) ((chunk.offset() + from) / GRAIN % TABLE_ENTRIES)] = (int) append(packed);
            }
        }
    }

    private void startTable(int index) throws IOException {
        if (index != tableIndex) {
            if (Arrays.stream(table).anyMatch(entry -> entry != 0)) {
                append(marker(TABLE_BYTES / SECTOR, TABLE));
                directory[tableIndex] = (int) append(VmdkHeader.littleEndian(table, TABLE_BYTES));
                Arrays.fill(table, 0);
            }
            tableIndex = index;
        }
    }

    @Override
    public void finish() throws IOException {
        startTable(-1);
        int directoryBytes = (int) BlockWriter.up(4L * directory.length, SECTOR);
        append(marker(directoryBytes / SECTOR, DIRECTORY));
        long directorySector = append(VmdkHeader.littleEndian(directory, directoryBytes));
        append(marker(1, FOOTER));
        append(VmdkHeader.sparseHeader(VERSION, FLAGS, request.virtualSize(), 0, directorySector, GRAIN_SECTORS));
        append(marker(0, 0));
        file.write(SECTOR, descriptor);
        file.write(0, VmdkHeader.sparseHeader(VERSION, FLAGS, request.virtualSize(), 0, IN_FOOTER, GRAIN_SECTORS));
    }

    private static byte[] marker(int sectors, int type) {
        return ByteBuffer.allocate(SECTOR).order(ByteOrder.LITTLE_ENDIAN).putLong(sectors).putInt(0).putInt(type).array();
    }

    /** @param bytes whole sectors. @return the first sector's number */
    private long append(byte[] bytes) throws IOException {
        long sector = end / SECTOR;
        file.write(end, bytes);
        end += bytes.length;
        return sector;
    }

    @Override
    public void close() {
        packer.end();
    }
}
