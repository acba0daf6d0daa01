package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * What the metadata region says of the disk. Source: [MS-VHDX] 2.6.2.
 *
 * @param blockSize bytes of a payload block, a power of two from 1 MiB to 256 MiB
 * @param leaveBlocksAllocated whether the disk is fixed: every block keeps its place in the file
 * @param virtualSize bytes of the guest's disk, whole sectors, at most 64 TiB
 * @param sectorSize bytes of a logical sector, 512 or 4096
 * @param parent where the parent is; null if the disk has none
 */
record VhdxMetadata(int blockSize, boolean leaveBlocksAllocated, long virtualSize, int sectorSize, ParentLocator parent) {

    static final Guid FILE_PARAMETERS = Guid.of("caa16737-fa36-4d43-b3b6-33f0aa44e76b");
    static final Guid VIRTUAL_DISK_SIZE = Guid.of("2fa54224-cd1b-4876-b211-5dbed83bf4b8");
    static final Guid VIRTUAL_DISK_ID = Guid.of("beca12ab-b2e6-4523-93ef-c309e000c746");
    static final Guid LOGICAL_SECTOR_SIZE = Guid.of("8141bf1d-a96f-4709-ba47-f233a8faab5f");
    static final Guid PHYSICAL_SECTOR_SIZE = Guid.of("cda348c7-445d-4471-9cc9-e9885251c556");
    static final Guid PARENT_LOCATOR = Guid.of("a8d35f2d-b30b-454d-abf7-d3d84834ab0c");

    private static final int MAX_BLOCK_SIZE = 256 << 20;
    private static final long MAX_VIRTUAL_SIZE = 64L << 40;
    private static final long LEAVE_BLOCKS_ALLOCATED = 1;
    private static final long HAS_PARENT = 2;

    /**
     * @param file with its log laid over
     * @param region bytes of the file, inside it
     */
    static VhdxMetadata read(BlockSource file, Extent region) throws IOException {
        MetadataTable table = MetadataTable.read(file, region);
        Bytes parameters = fixedSize(file, table, "file parameters", FILE_PARAMETERS, 8);
        long blockSize = parameters.u32(0);
        if (Long.bitCount(blockSize) != 1 || blockSize < VhdxHeader.MIB || blockSize > MAX_BLOCK_SIZE) {
            throw parameters.corrupt("VHDX file parameters: block size", 0, "a power of two from 1 MiB to 256 MiB", blockSize);
        }
        long flags = parameters.u32(4);
        if ((flags & ~(LEAVE_BLOCKS_ALLOCATED | HAS_PARENT)) != 0) {
            throw parameters.unsupported("VHDX file parameters: flags", 4, "none but bits 0 and 1",
                    "0x" + Long.toHexString(flags));
        }
        int sectorSize = sectorSize(fixedSize(file, table, "logical sector size", LOGICAL_SECTOR_SIZE, 4));
        sectorSize(fixedSize(file, table, "physical sector size", PHYSICAL_SECTOR_SIZE, 4));
        fixedSize(file, table, "virtual disk id", VIRTUAL_DISK_ID, Guid.SIZE);
        Bytes size = fixedSize(file, table, "virtual disk size", VIRTUAL_DISK_SIZE, 8);
        long virtualSize = size.u64(0);
        if (virtualSize == 0 || virtualSize % sectorSize != 0 || virtualSize > MAX_VIRTUAL_SIZE) {
            throw size.corrupt("VHDX virtual disk size", 0, "whole sectors of " + sectorSize + " bytes, at most 64 TiB",
                    virtualSize);
        }
        boolean hasParent = (flags & HAS_PARENT) != 0;
        return new VhdxMetadata((int) blockSize, (flags & LEAVE_BLOCKS_ALLOCATED) != 0 && !hasParent, virtualSize, sectorSize,
                hasParent ? parent(file, table) : null);
    }

    private static ParentLocator parent(BlockSource file, MetadataTable table) throws IOException {
        MetadataTable.Item item = table.item(PARENT_LOCATOR);
        if (item == null) {
            throw new CorruptException("VHDX metadata", table.offset(), "a parent locator, for the disk is a differencing one",
                    "none");
        }
        return ParentLocator.parse(Bytes.read(file, "VHDX parent locator", item.offset(), item.length(),
                ByteOrder.LITTLE_ENDIAN));
    }

    private static Bytes fixedSize(BlockSource file, MetadataTable table, String name, Guid id, int size) throws IOException {
        MetadataTable.Item item = table.item(id);
        if (item == null) {
            throw new CorruptException("VHDX metadata", table.offset(), "an item for the " + name, "none");
        }
        if (item.length() != size) {
            throw new CorruptException("VHDX metadata: length of the " + name, item.offset(), size + " bytes", item.length());
        }
        return Bytes.read(file, "VHDX " + name, item.offset(), size, ByteOrder.LITTLE_ENDIAN);
    }

    private static int sectorSize(Bytes item) throws CorruptException, UnsupportedException {
        long size = item.u32(0);
        if (size != 512 && size != 4096) {
            throw item.corrupt("VHDX sector size", 0, "512 or 4096", size);
        }
        return (int) size;
    }

    /** @return whether sectors that this image does not hold are its parent's */
    boolean isDifferencing() {
        return parent != null;
    }
}
