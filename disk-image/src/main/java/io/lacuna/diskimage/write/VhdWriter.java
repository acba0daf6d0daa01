package io.lacuna.diskimage.write;

import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.Arrays;
import java.util.UUID;

/**
 * A dynamic VHD (Microsoft, Virtual Hard Disk Image Format 1.0; big-endian): a copy of the footer, the dynamic header, the block
 * table, then each block of 2 MiB behind the sector of its bitmap, and the footer. The bitmap's sector ends where a page of the
 * host begins, so that the data lies on whole pages.
 */
final class VhdWriter extends BlockWriter {

    private static final int SECTOR = 512;
    private static final int BLOCK = 2 << 20;
    /** 2040 GiB, the format's limit. */
    private static final long LARGEST = 2040L << 30;
    private static final int HEADER_OFFSET = 512;
    private static final int TABLE_OFFSET = 1536;
    private static final int VERSION = 0x0001_0000;
    private static final int DYNAMIC = 3;
    private static final long EPOCH_2000 = 946_684_800L;
    private static final byte[] ALL_SECTORS = new byte[SECTOR];

    static {
        Arrays.fill(ALL_SECTORS, (byte) 0xFF);
    }

    private final long virtualSize;
    private final long firstData;

    VhdWriter(OutputFile file, long virtualSize) throws IOException {
        super(file, BLOCK, blocks(virtualSize));
        this.virtualSize = virtualSize;
        this.firstData = up(TABLE_OFFSET + 4L * blocks() + SECTOR, Chunk.PAGE);
    }

    private static int blocks(long virtualSize) throws IOException {
        if (virtualSize > LARGEST) {
            throw new UnsupportedException("a VHD holds at most 2040 GiB; choose vhdx, qcow2 or raw");
        }
        return (int) count(virtualSize, BLOCK);
    }

    @Override
    long dataOffset(int place) {
        return firstData + place * (long) (BLOCK + Chunk.PAGE);
    }

    @Override
    void blockAdded(int place) throws IOException {
        file().write(dataOffset(place) - SECTOR, ALL_SECTORS);
    }

    @Override
    public void finish() throws IOException {
        ByteBuffer table = ByteBuffer.allocate((int) up(4L * blocks(), SECTOR));
        Arrays.fill(table.array(), (byte) 0xFF);
        for (int block = 0; block < blocks(); block++) {
            if (place(block) >= 0) {
                table.putInt(4 * block, (int) ((dataOffset(place(block)) - SECTOR) / SECTOR));
            }
        }
        file().write(TABLE_OFFSET, table);
        file().write(HEADER_OFFSET, header());
        byte[] footer = footer();
        // Without a block right behind the table, where QEMU puts the first one, and so this footer out of the way: it fills in
        // only what it is asked to write.
        long end = stored() == 0 ? TABLE_OFFSET + table.capacity() : dataOffset(stored() - 1) + BLOCK;
        file().write(end, footer);
        file().write(0, footer);
    }

    private byte[] header() {
        ByteBuffer header = ByteBuffer.allocate(1024);
        header.put(0, "cxsparse".getBytes(StandardCharsets.US_ASCII)).putLong(8, -1).putLong(16, TABLE_OFFSET)
                .putInt(24, VERSION).putInt(28, blocks()).putInt(32, BLOCK);
        return header.putInt(36, checksum(header)).array();
    }

    private byte[] footer() {
        Geometry geometry = Geometry.of(virtualSize / SECTOR);
        UUID id = UUID.randomUUID();
        ByteBuffer footer = ByteBuffer.allocate(SECTOR);
        footer.put(0, "conectix".getBytes(StandardCharsets.US_ASCII)).putInt(8, 2).putInt(12, VERSION)
                .putLong(16, HEADER_OFFSET).putInt(24, (int) (Instant.now().getEpochSecond() - EPOCH_2000));
        // QEMU believes the size field only of creators it knows, and takes cylinders times heads times sectors of all others,
        // which is mostly less; this is its own name for "go by the size".
        footer.put(28, "qem2".getBytes(StandardCharsets.US_ASCII)).putInt(32, VERSION);
        footer.put(36, "Wi2k".getBytes(StandardCharsets.US_ASCII));
        footer.putLong(40, virtualSize).putLong(48, virtualSize);
        footer.putShort(56, (short) geometry.cylinders()).put(58, (byte) geometry.heads()).put(59, (byte) geometry.sectors());
        footer.putInt(60, DYNAMIC);
        footer.putLong(68, id.getMostSignificantBits()).putLong(76, id.getLeastSignificantBits());
        return footer.putInt(64, checksum(footer)).array();
    }

    /** @return the one's complement of the sum of all bytes, the checksum field being 0 */
    private static int checksum(ByteBuffer bytes) {
        int sum = 0;
        for (byte one : bytes.array()) {
            sum += one & 0xFF;
        }
        return ~sum;
    }
}
