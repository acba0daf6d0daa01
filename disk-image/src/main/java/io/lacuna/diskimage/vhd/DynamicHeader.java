package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/**
 * The dynamic disk header: 1024 bytes, big-endian, of dynamic and differencing disks. Source: VHD specification, "Dynamic Disk
 * Header Format".
 *
 * @param offset byte of the file where it begins
 * @param tableOffset byte of the file where the block allocation table begins
 * @param entries how many entries the table has
 * @param blockSize bytes of the guest's disk in a block, a power of two
 * @param parentId the parent's own id; means nothing unless the disk is a differencing one
 * @param parentStamp when the parent was last changed, in seconds since 2000; 0 if that was not noted
 * @param parentName the parent's name, in Unicode; empty if none
 * @param locators where else the parent's name stands
 */
record DynamicHeader(long offset, long tableOffset, int entries, int blockSize, UUID parentId, long parentStamp,
        String parentName, List<ParentLocator> locators) {

    static final int SIZE = 1024;
    /** Bytes of an entry of the table. */
    static final int ENTRY = 4;

    private static final int SECTOR = 512;
    private static final String COOKIE = "cxsparse";
    private static final int TABLE_OFFSET = 16;
    private static final int VERSION = 24;
    private static final int ENTRIES = 28;
    private static final int BLOCK_SIZE = 32;
    private static final int CHECKSUM = 36;
    private static final int PARENT_ID = 40;
    private static final int PARENT_STAMP = 56;
    private static final int PARENT_NAME = 64;
    private static final int PARENT_NAME_LENGTH = 512;
    private static final int LOCATORS = 576;
    private static final int LOCATOR_COUNT = 8;

    /** Ours: 2040 GiB, the largest disk, in blocks of 512 KiB, the smallest that are made. 16 MiB of memory. */
    private static final int MAX_ENTRIES = 1 << 22;
    /** Ours; 2 MiB is what is made. */
    private static final int MAX_BLOCK_SIZE = 1 << 30;

    static DynamicHeader read(HostFile file, VhdFooter footer) throws IOException {
        Bytes header = Bytes.read(file, "VHD dynamic disk header", footer.dataOffset(), SIZE, ByteOrder.BIG_ENDIAN);
        if (!header.matches(0, COOKIE)) {
            throw header.corrupt("VHD dynamic disk header: cookie", 0, "'" + COOKIE + "'", "something else");
        }
        VhdFooter.requireChecksum("VHD dynamic disk header", header, CHECKSUM);
        VhdFooter.requireVersion("VHD dynamic disk header", header, VERSION);
        long entries = header.u32(ENTRIES);
        if (entries > MAX_ENTRIES) {
            throw header.unsupported("VHD dynamic disk header: entries of the table", ENTRIES, "at most " + MAX_ENTRIES, entries);
        }
        long blockSize = header.u32(BLOCK_SIZE);
        if (blockSize < SECTOR || Long.bitCount(blockSize) != 1) {
            throw header.corrupt("VHD dynamic disk header: block size", BLOCK_SIZE, "a power of two from 512 on", blockSize);
        }
        if (blockSize > MAX_BLOCK_SIZE) {
            throw header.unsupported("VHD dynamic disk header: block size", BLOCK_SIZE, "at most " + MAX_BLOCK_SIZE, blockSize);
        }
        long table = header.u64(TABLE_OFFSET);
        if (table % SECTOR != 0 || table > file.size() - entries * ENTRY) {
            throw header.corrupt("VHD dynamic disk header: table offset", TABLE_OFFSET, "a multiple of 512 with a table of "
                    + entries + " entries before the end at " + file.size(), table);
        }
        return new DynamicHeader(footer.dataOffset(), table, (int) entries, (int) blockSize, VhdFooter.id(header, PARENT_ID),
                header.u32(PARENT_STAMP), ParentNames.utf16(header.copy(PARENT_NAME, PARENT_NAME_LENGTH), true),
                footer.kind() == VhdFooter.Kind.DIFFERENCING ? locators(header, file) : List.of());
    }

    private static List<ParentLocator> locators(Bytes header, HostFile file) throws CorruptException, UnsupportedException {
        List<ParentLocator> locators = new ArrayList<>();
        for (int i = 0; i < LOCATOR_COUNT; i++) {
            ParentLocator locator = ParentLocator.parse(header.slice(LOCATORS + i * ParentLocator.SIZE, ParentLocator.SIZE), file);
            if (locator != null) {
                locators.add(locator);
            }
        }
        return List.copyOf(locators);
    }

    /** @return bytes of the guest's disk that the table can tell of */
    long capacity() {
        return (long) entries * blockSize;
    }

    /** @return bytes of a block's sector bitmap, whole sectors: one bit for each sector of the block */
    int bitmapSize() {
        int bytes = Math.max(1, blockSize / SECTOR / Byte.SIZE);
        return (bytes + SECTOR - 1) / SECTOR * SECTOR;
    }

    /** @return bytes that a block takes in the file: its sector bitmap, and behind it the data */
    long slotSize() {
        return (long) bitmapSize() + blockSize;
    }

    /** @return bytes of the table, whole sectors */
    long tableSize() {
        return ((long) entries * ENTRY + SECTOR - 1) / SECTOR * SECTOR;
    }
}
