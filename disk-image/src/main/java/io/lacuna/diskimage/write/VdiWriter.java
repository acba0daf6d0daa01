package io.lacuna.diskimage.write;

import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.UUID;

/**
 * A dynamic VDI, version 1.1 (VirtualBox, VDICore.h; little-endian): header, block map, then blocks of 1 MiB without gaps. Blocks
 * that hold nothing are -1 in the map.
 */
final class VdiWriter extends BlockWriter {

    private static final int BLOCK = 1 << 20;
    private static final long MOST_BLOCKS = 1 << 26;
    private static final int MAP_OFFSET = 512;
    private static final int SIGNATURE = 0xBEDA_107F;
    private static final int VERSION_1_1 = 0x0001_0001;
    /** Counted from the size field itself, with VirtualBox's second geometry. */
    private static final int HEADER_SIZE = 400;
    private static final int DYNAMIC = 1;
    private static final int NONE = -1;

    private final long virtualSize;
    private final long dataStart;

    VdiWriter(OutputFile file, long virtualSize) throws IOException {
        super(file, BLOCK, blocks(virtualSize));
        this.virtualSize = virtualSize;
        this.dataStart = up(MAP_OFFSET + 4L * blocks(), Chunk.PAGE);
    }

    private static int blocks(long virtualSize) throws IOException {
        long blocks = count(virtualSize, BLOCK);
        if (blocks > MOST_BLOCKS) {
            throw new UnsupportedException("the disk is too large for a VDI of 1 MiB blocks (64 TiB); choose raw or qcow2");
        }
        return (int) blocks;
    }

    @Override
    long dataOffset(int place) {
        return dataStart + (long) place * BLOCK;
    }

    @Override
    public void finish() throws IOException {
        ByteBuffer map = ByteBuffer.allocate(4 * blocks()).order(ByteOrder.LITTLE_ENDIAN);
        for (int block = 0; block < blocks(); block++) {
            map.putInt(place(block) < 0 ? NONE : place(block));
        }
        file().write(MAP_OFFSET, map.flip());
        file().setLength(dataOffset(stored()));
        file().write(0, header());
    }

    private byte[] header() {
        ByteBuffer header = ByteBuffer.allocate(MAP_OFFSET).order(ByteOrder.LITTLE_ENDIAN);
        header.put(0, "<<< Lacuna VDI disk image >>>\n".getBytes(StandardCharsets.US_ASCII));
        header.putInt(64, SIGNATURE).putInt(68, VERSION_1_1).putInt(72, HEADER_SIZE).putInt(76, DYNAMIC);
        header.putInt(340, MAP_OFFSET).putInt(344, (int) dataStart);
        header.putInt(360, 512).putLong(368, virtualSize).putInt(376, BLOCK);
        header.putInt(384, blocks()).putInt(388, stored());
        putUuid(header, 392);
        putUuid(header, 408);
        // No cylinders and heads: VirtualBox works them out at the first start.
        header.putInt(468, 512);
        return header.array();
    }

    /** Random; the first three fields in little-endian order, which for random bytes matters only for version and variant. */
    private static void putUuid(ByteBuffer header, int at) {
        VhdxWriter.putGuid(header, at, UUID.randomUUID());
    }
}
