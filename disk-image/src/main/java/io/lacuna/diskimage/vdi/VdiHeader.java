package io.lacuna.diskimage.vdi;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.UUID;

/**
 * Pre-header and header of a VDI image, 456 bytes or more at byte 0, little-endian. Source of names and limits: the structures
 * of VirtualBox's storage back end as it documents them (VDIPREHEADER, VDIHEADER1).
 *
 * @param type dynamic, fixed or differencing
 * @param mapOffset byte where the block map starts
 * @param dataOffset byte where slot 0 starts
 * @param virtualSize bytes of the disk, whole sectors
 * @param blockSize bytes, a power of two
 * @param blocks entries of the map
 * @param allocated number of blocks in the file, which is the next free slot, too; what the header says, true or not
 * @param id UUID of this image
 * @param modification UUID of its last modification, which its children remember
 * @param parent UUID of the parent; 0 for none
 * @param parentModification the parent's modification UUID when this image was made; 0 if not recorded
 */
record VdiHeader(Type type, long mapOffset, long dataOffset, long virtualSize, int blockSize, long blocks, long allocated,
        UUID id, UUID modification, UUID parent, UUID parentModification) {

    enum Type { DYNAMIC, FIXED, DIFFERENCING }

    static final int SIGNATURE_OFFSET = 0x40;
    static final int SIGNATURE = 0xBEDA107F;
    static final UUID NO_UUID = new UUID(0, 0);
    /** u32; see {@link #allocated}. */
    static final int ALLOCATED_OFFSET = 0x184;

    private static final int VERSION = 0x44;
    private static final int HEADER_SIZE = 0x48;
    static final int TYPE = 0x4C;
    private static final int MAP_OFFSET = 0x154;
    private static final int DATA_OFFSET = 0x158;
    private static final int SECTOR_SIZE = 0x168;
    private static final int DISK_SIZE = 0x170;
    private static final int BLOCK_SIZE = 0x178;
    private static final int BLOCK_EXTRA = 0x17C;
    private static final int BLOCKS = 0x180;
    private static final int ID = 0x188;
    private static final int MODIFICATION = 0x198;
    private static final int PARENT = 0x1A8;
    private static final int PARENT_MODIFICATION = 0x1B8;
    private static final int LENGTH = 0x1C8;
    /** Bytes before the field that tells the header's size. */
    private static final int PRE_HEADER = 0x48;
    private static final int SMALLEST_HEADER = 0x180;

    private static final int VERSION_1_1 = 0x0001_0001;
    private static final int SECTOR = 512;
    static final int ENTRY = 4;
    /** Ours; VirtualBox makes blocks of 1 MiB unless it is told otherwise. */
    private static final long LARGEST_BLOCK = 1L << 30;
    /** Ours: 256 TiB of the usual blocks, whose map takes 1 GiB. */
    private static final long MOST_BLOCKS = 1L << 28;

    static VdiHeader parse(BlockSource file) throws IOException {
        Bytes bytes = Bytes.read(file, "VDI header", 0, LENGTH, ByteOrder.LITTLE_ENDIAN);
        if (bytes.s32(SIGNATURE_OFFSET) != SIGNATURE) {
            throw bytes.corrupt("VDI header: signature", SIGNATURE_OFFSET, "0xbeda107f", hex(bytes.u32(SIGNATURE_OFFSET)));
        }
        if (bytes.s32(VERSION) != VERSION_1_1) {
            throw bytes.unsupported("VDI header: version", VERSION, "1.1 (clone the disk with a current VirtualBox to convert it)",
                    bytes.u16(VERSION + 2) + "." + bytes.u16(VERSION));
        }
        if (bytes.u32(HEADER_SIZE) < SMALLEST_HEADER) {
            throw bytes.corrupt("VDI header: size", HEADER_SIZE, "at least " + SMALLEST_HEADER, bytes.u32(HEADER_SIZE));
        }
        if (bytes.u32(SECTOR_SIZE) != SECTOR && bytes.u32(SECTOR_SIZE) != 0) {
            throw bytes.unsupported("VDI header: sector size", SECTOR_SIZE, Integer.toString(SECTOR),
                    bytes.u32(SECTOR_SIZE));
        }
        if (bytes.u32(BLOCK_EXTRA) != 0) {
            throw bytes.unsupported("VDI header: extra bytes of each block", BLOCK_EXTRA, "0", bytes.u32(BLOCK_EXTRA));
        }
        UUID parent = uuid(bytes, PARENT);
        Type type = type(bytes, parent);
        long blockSize = bytes.u32(BLOCK_SIZE);
        if (Long.bitCount(blockSize) != 1 || blockSize < SECTOR) {
            throw bytes.corrupt("VDI header: block size", BLOCK_SIZE, "a power of two of at least " + SECTOR, blockSize);
        }
        if (blockSize > LARGEST_BLOCK) {
            throw bytes.unsupported("VDI header: block size", BLOCK_SIZE, "at most " + LARGEST_BLOCK, blockSize);
        }
        VdiHeader header = new VdiHeader(type, bytes.u32(MAP_OFFSET), bytes.u32(DATA_OFFSET),
                bytes.u64(DISK_SIZE) / SECTOR * SECTOR, (int) blockSize, bytes.u32(BLOCKS), bytes.u32(ALLOCATED_OFFSET),
                uuid(bytes, ID), uuid(bytes, MODIFICATION), parent, uuid(bytes, PARENT_MODIFICATION));
        header.check(bytes, file.size());
        return header;
    }

    private static Type type(Bytes bytes, UUID parent) throws IOException {
        Type type = switch (bytes.s32(TYPE)) {
            case 1 -> Type.DYNAMIC;
            case 2 -> Type.FIXED;
            case 3 -> throw bytes.unsupported("VDI header: type", TYPE, "1 (dynamic), 2 (fixed) or 4 (differencing)", "3 (undo)");
            case 4 -> Type.DIFFERENCING;
            default -> throw bytes.corrupt("VDI header: type", TYPE, "1 (dynamic), 2 (fixed) or 4 (differencing)",
                    bytes.u32(TYPE));
        };
        if (parent.equals(NO_UUID) == (type == Type.DIFFERENCING)) {
            throw bytes.corrupt("VDI header: UUID of the parent", PARENT, type == Type.DIFFERENCING
                    ? "one, as the image is a differencing one" : "none, as the image is not a differencing one", parent);
        }
        return type;
    }

    /** The fields against each other and against the file's end. */
    private void check(Bytes bytes, long fileSize) throws CorruptException, UnsupportedException {
        if (virtualSize == 0 || virtualSize > blocks * blockSize) {
            throw bytes.corrupt("VDI header: size of the disk", DISK_SIZE, "1 sector to " + blocks + " blocks of " + blockSize,
                    bytes.u64(DISK_SIZE));
        }
        if (mapOffset < PRE_HEADER + SMALLEST_HEADER) {
            throw bytes.corrupt("VDI header: offset of the block map", MAP_OFFSET, "at least " + (PRE_HEADER + SMALLEST_HEADER),
                    mapOffset);
        }
        if (blocks > MOST_BLOCKS) {
            throw bytes.unsupported("VDI header: number of blocks", BLOCKS, "at most " + MOST_BLOCKS, blocks);
        }
        if (dataOffset < mapOffset + blocks * ENTRY) {
            throw bytes.corrupt("VDI header: offset of the data", DATA_OFFSET, "at least " + (mapOffset + blocks * ENTRY)
                    + ", the end of the block map", dataOffset);
        }
        if (dataOffset > fileSize) {
            throw bytes.corrupt("VDI header: offset of the data", DATA_OFFSET, "inside the file's " + fileSize + " bytes",
                    dataOffset);
        }
        if (mapOffset % SECTOR != 0 || dataOffset % SECTOR != 0) {
            throw bytes.unsupported("VDI header: offsets of map and data", MAP_OFFSET, "multiples of " + SECTOR,
                    mapOffset + " and " + dataOffset);
        }
    }

    /** @return bytes 0 to 3, 4 to 5 and 6 to 7 are little-endian numbers, the rest is in order, as VirtualBox prints it */
    private static UUID uuid(Bytes bytes, int at) throws CorruptException {
        long high = bytes.u32(at) << 32 | (long) bytes.u16(at + 4) << 16 | bytes.u16(at + 6);
        long low = 0;
        for (int i = 8; i < 16; i++) {
            low = low << 8 | bytes.u8(at + i);
        }
        return new UUID(high, low);
    }

    private static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }

    boolean hasParent() {
        return type == Type.DIFFERENCING;
    }
}
