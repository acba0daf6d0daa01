package io.lacuna.diskimage.write;

import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.UUID;
import java.util.zip.CRC32C;

/**
 * A dynamic VHDX (MS-VHDX; little-endian): header section, an empty log, metadata, block table, blocks, all at multiples of 1 MiB.
 * A block that holds nothing has the state "zero", since what one "not present" reads as is left open.
 */
final class VhdxWriter extends BlockWriter {

    private static final long MIB = 1 << 20;
    private static final long LARGEST = 64L << 40;
    private static final int HEADER = 4096;
    private static final int REGION_TABLE = 64 << 10;
    private static final long[] HEADERS = {64 << 10, 128 << 10};
    private static final long[] REGION_TABLES = {192 << 10, 256 << 10};
    private static final long LOG_OFFSET = MIB;
    private static final long METADATA_OFFSET = 2 * MIB;
    private static final long TABLE_OFFSET = 3 * MIB;
    private static final int ITEMS_OFFSET = 64 << 10;
    private static final int REQUIRED = 4;
    private static final int OF_VIRTUAL_DISK = 2;
    private static final int STATE_ZERO = 2;
    private static final int STATE_FULLY_PRESENT = 6;

    private final long virtualSize;
    private final long blockSize;
    private final int sectorSize;
    private final long chunkRatio;
    private final long tableLength;

    VhdxWriter(OutputFile file, long virtualSize, int sectorSize) throws IOException {
        super(file, blockSize(virtualSize), (int) count(virtualSize, blockSize(virtualSize)));
        this.virtualSize = virtualSize;
        this.blockSize = blockSize(virtualSize);
        this.sectorSize = sectorSize;
        this.chunkRatio = (1L << 23) * sectorSize / blockSize;
        this.tableLength = up(8 * entries(), MIB);
    }

    /** Small blocks make small files; a large disk has larger ones, so that its table stays below some megabytes. */
    private static long blockSize(long virtualSize) throws IOException {
        if (virtualSize > LARGEST) {
            throw new UnsupportedException("a VHDX holds at most 64 TiB; choose qcow2 or raw");
        }
        return virtualSize <= 1L << 40 ? 2 * MIB : virtualSize <= 8L << 40 ? 8 * MIB : 32 * MIB;
    }

    /** Behind every full chunk of blocks stands the entry of a sector bitmap, unused without a parent. */
    private long entries() {
        return blocks() + (blocks() - 1) / chunkRatio;
    }

    @Override
    long dataOffset(int place) {
        return TABLE_OFFSET + tableLength + place * blockSize;
    }

    @Override
    public void finish() throws IOException {
        ByteBuffer table = ByteBuffer.allocate((int) tableLength).order(ByteOrder.LITTLE_ENDIAN);
        for (int block = 0; block < blocks(); block++) {
            int at = (int) (8 * (block + block / chunkRatio));
            table.putLong(at, place(block) < 0 ? STATE_ZERO : dataOffset(place(block)) | STATE_FULLY_PRESENT);
        }
        file().writeSparse(TABLE_OFFSET, table.array());
        file().setLength(dataOffset(stored()));
        file().writeSparse(METADATA_OFFSET, metadata());
        for (long offset : REGION_TABLES) {
            file().writeSparse(offset, regionTable());
        }
        UUID fileWrite = UUID.randomUUID();
        UUID dataWrite = UUID.randomUUID();
        for (int i = 0; i < HEADERS.length; i++) {
            file().write(HEADERS[i], header(i, fileWrite, dataWrite));
        }
        ByteBuffer identifier = ByteBuffer.allocate(HEADER);
        identifier.put("vhdxfile".getBytes(StandardCharsets.US_ASCII)).put("Lacuna".getBytes(StandardCharsets.UTF_16LE));
        file().write(0, identifier.array());
    }

    private static byte[] header(int sequence, UUID fileWrite, UUID dataWrite) {
        ByteBuffer header = ByteBuffer.allocate(HEADER).order(ByteOrder.LITTLE_ENDIAN);
        header.put(0, "head".getBytes(StandardCharsets.US_ASCII)).putLong(8, sequence);
        putGuid(header, 16, fileWrite);
        putGuid(header, 32, dataWrite);
        // The log's GUID stays 0: nothing to replay.
        header.putShort(64, (short) 0).putShort(66, (short) 1).putInt(68, (int) MIB).putLong(72, LOG_OFFSET);
        return withChecksum(header);
    }

    private byte[] regionTable() {
        ByteBuffer regions = ByteBuffer.allocate(REGION_TABLE).order(ByteOrder.LITTLE_ENDIAN);
        regions.put(0, "regi".getBytes(StandardCharsets.US_ASCII)).putInt(8, 2);
        putGuid(regions, 16, UUID.fromString("2dc27766-f623-4200-9d64-115e9bfd4a08"));
        regions.putLong(32, TABLE_OFFSET).putInt(40, (int) tableLength).putInt(44, 1);
        putGuid(regions, 48, UUID.fromString("8b7ca206-4790-4b9a-b8fe-575f050f886e"));
        regions.putLong(64, METADATA_OFFSET).putInt(72, (int) MIB).putInt(76, 1);
        return withChecksum(regions);
    }

    private byte[] metadata() {
        ByteBuffer data = ByteBuffer.allocate((int) MIB).order(ByteOrder.LITTLE_ENDIAN);
        data.put(0, "metadata".getBytes(StandardCharsets.US_ASCII)).putShort(10, (short) 5);
        int items = ITEMS_OFFSET;
        putItem(data, 0, "caa16737-fa36-4d43-b3b6-33f0aa44e76b", items, 8, REQUIRED);
        data.putInt(items, (int) blockSize);
        putItem(data, 1, "2fa54224-cd1b-4876-b211-5dbed83bf4b8", items + 8, 8, REQUIRED | OF_VIRTUAL_DISK);
        data.putLong(items + 8, virtualSize);
        putItem(data, 2, "beca12ab-b2e6-4523-93ef-c309e000c746", items + 16, 16, REQUIRED | OF_VIRTUAL_DISK);
        putGuid(data, items + 16, UUID.randomUUID());
        putItem(data, 3, "8141bf1d-a96f-4709-ba47-f233a8faab5f", items + 32, 4, REQUIRED | OF_VIRTUAL_DISK);
        data.putInt(items + 32, sectorSize);
        putItem(data, 4, "cda348c7-445d-4471-9cc9-e9885251c556", items + 36, 4, REQUIRED | OF_VIRTUAL_DISK);
        data.putInt(items + 36, 4096);
        return data.array();
    }

    private static void putItem(ByteBuffer data, int index, String id, int offset, int length, int flags) {
        int at = 32 + 32 * index;
        putGuid(data, at, UUID.fromString(id));
        data.putInt(at + 16, offset).putInt(at + 20, length).putInt(at + 24, flags);
    }

    private static byte[] withChecksum(ByteBuffer structure) {
        CRC32C checksum = new CRC32C();
        checksum.update(structure.array());
        return structure.putInt(4, (int) checksum.getValue()).array();
    }

    /** Writes a GUID as Microsoft stores it: the first three fields little-endian, the rest byte by byte. */
    static void putGuid(ByteBuffer littleEndian, int at, UUID id) {
        long high = id.getMostSignificantBits();
        littleEndian.putInt(at, (int) (high >>> 32)).putShort(at + 4, (short) (high >>> 16)).putShort(at + 6, (short) high);
        littleEndian.putLong(at + 8, Long.reverseBytes(id.getLeastSignificantBits()));
    }
}
