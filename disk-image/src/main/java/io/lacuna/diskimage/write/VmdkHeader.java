package io.lacuna.diskimage.write;

import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ThreadLocalRandom;

/** What both kinds of VMDK begin with (VMware, Virtual Disk Format 5.0; little-endian): the sparse header and the descriptor. */
final class VmdkHeader {

    static final int SECTOR = 512;
    static final int GRAIN = 64 << 10;
    static final int GRAIN_SECTORS = GRAIN / SECTOR;
    /** Grains that a grain table names. */
    static final int TABLE_ENTRIES = 512;
    static final int TABLE_BYTES = 4 * TABLE_ENTRIES;
    static final long TABLE_SPAN = (long) TABLE_ENTRIES * GRAIN;
    static final int DESCRIPTOR_SECTORS = 20;
    /** Grain tables hold sector numbers of 32 bits. */
    static final long LARGEST_FILE = 1L << 41;

    private VmdkHeader() {
    }

    /** @return number of grain tables of a disk */
    static int tables(long virtualSize) throws IOException {
        if (virtualSize > LARGEST_FILE - (1L << 35)) {
            throw new UnsupportedException("a VMDK of one file holds less than 2 TiB; choose qcow2, vhdx or raw");
        }
        return (int) BlockWriter.count(virtualSize, TABLE_SPAN);
    }

    /**
     * @param flags 1 line ends, 2 redundant directory, 0x10000 compressed, 0x20000 markers
     * @param redundant sector of the redundant grain directory; 0 for none
     * @param directory sector of the grain directory; -1 if the footer tells
     * @param overhead sectors before the first grain
     */
    static byte[] sparseHeader(int version, int flags, long virtualSize, long redundant, long directory, long overhead) {
        ByteBuffer header = ByteBuffer.allocate(SECTOR).order(ByteOrder.LITTLE_ENDIAN);
        header.put("KDMV".getBytes(StandardCharsets.US_ASCII)).putInt(version).putInt(flags).putLong(virtualSize / SECTOR)
                .putLong(GRAIN_SECTORS).putLong(1).putLong(DESCRIPTOR_SECTORS).putInt(TABLE_ENTRIES).putLong(redundant)
                .putLong(directory).putLong(overhead).put((byte) 0).put(new byte[] {'\n', ' ', '\r', '\n'})
                .putShort((short) ((flags & 0x10000) != 0 ? 1 : 0));
        return header.array();
    }

    /** @throws UnsupportedException if the file's name cannot stand in a descriptor */
    static byte[] descriptor(String createType, WriteRequest request) throws IOException {
        if (request.name().chars().anyMatch(c -> c == '"' || c < ' ')) {
            throw new UnsupportedException("a VMDK names its own file inside, and that name cannot have quotes or control "
                    + "characters: choose another name");
        }
        long sectors = request.virtualSize() / SECTOR;
        Geometry geometry = Geometry.of(sectors);
        String text = String.join("\n", "# Disk DescriptorFile", "version=1", "encoding=\"UTF-8\"",
                String.format("CID=%08x", ThreadLocalRandom.current().nextInt(1, Integer.MAX_VALUE)), "parentCID=ffffffff",
                "createType=\"" + createType + "\"", "", "# Extent description",
                "RW " + sectors + " SPARSE \"" + request.name() + "\"", "", "# The Disk Data Base", "#DDB", "",
                "ddb.virtualHWVersion = \"4\"", "ddb.geometry.cylinders = \"" + Math.min(16383, geometry.cylinders()) + "\"",
                "ddb.geometry.heads = \"" + geometry.heads() + "\"", "ddb.geometry.sectors = \"" + geometry.sectors() + "\"",
                "ddb.adapterType = \"lsilogic\"", "");
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(DESCRIPTOR_SECTORS * SECTOR).put(bytes).array();
    }

    static byte[] littleEndian(int[] table, int size) {
        ByteBuffer bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(table);
        return bytes.array();
    }
}
