package io.lacuna.partition;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import java.util.zip.CRC32;

/**
 * A GPT header: 92 bytes or more at the start of a sector, little-endian (UEFI specification, 5.3.2). The primary one is in
 * sector 1, the backup in the last sector of the disk as it was when the table was written.
 *
 * @param own sector this header is in
 * @param alternate sector of the other one
 * @param firstUsable first sector that a partition may use
 * @param lastUsable last such sector
 * @param arraySector first sector of the entries
 * @param entryCount number of entries, used or not
 * @param entrySize bytes of one
 * @param arrayCrc CRC32 of the entries
 */
record GptHeader(long own, long alternate, long firstUsable, long lastUsable, String diskGuid, long arraySector,
        int entryCount, int entrySize, long arrayCrc) {

    static final String SIGNATURE = "EFI PART";
    static final long PRIMARY_SECTOR = 1;
    private static final int REVISION = 8;
    private static final int HEADER_SIZE = 12;
    private static final int HEADER_CRC = 16;
    private static final int OWN = 24;
    private static final int ALTERNATE = 32;
    private static final int FIRST_USABLE = 40;
    private static final int LAST_USABLE = 48;
    private static final int DISK_GUID = 56;
    private static final int ARRAY_SECTOR = 72;
    private static final int ENTRY_COUNT = 80;
    private static final int ENTRY_SIZE = 84;
    private static final int ARRAY_CRC = 88;
    private static final int MIN_HEADER_SIZE = 92;
    private static final int MIN_ENTRY_SIZE = 128;
    /** Ours: 32768 entries of the usual size; sgdisk and Windows write 128. */
    static final int MAX_ARRAY_SIZE = 4 << 20;

    /**
     * @param sector the whole sector
     * @param expectedOwn number of that sector
     * @throws CorruptException if it is no header, or one that contradicts itself or the disk
     * @throws DiskFormatException also if it is sound and has more entries than Lacuna reads
     */
    static GptHeader parse(Bytes sector, long expectedOwn, DiskGeometry geometry) throws DiskFormatException {
        if (!sector.matches(0, SIGNATURE)) {
            throw sector.corrupt("GPT header: signature", 0, "\"" + SIGNATURE + "\"", "something else");
        }
        long size = sector.u32(HEADER_SIZE);
        if (size < MIN_HEADER_SIZE || size > sector.length()) {
            throw sector.corrupt("GPT header: size", HEADER_SIZE, MIN_HEADER_SIZE + " to " + sector.length(), size);
        }
        long crc = headerCrc(sector, (int) size);
        if (crc != sector.u32(HEADER_CRC)) {
            throw sector.corrupt("GPT header: CRC", HEADER_CRC, "0x" + Long.toHexString(crc),
                    "0x" + Long.toHexString(sector.u32(HEADER_CRC)));
        }
        if (sector.u32(REVISION) >>> 16 != 1) {
            throw sector.unsupported("GPT header: revision", REVISION, "1.x", "0x" + Long.toHexString(sector.u32(REVISION)));
        }
        long own = sector.u64(OWN);
        if (own != expectedOwn) {
            throw sector.corrupt("GPT header: its own sector", OWN, String.valueOf(expectedOwn), own);
        }
        long alternate = sector.u64(ALTERNATE);
        if (alternate == own || expectedOwn != PRIMARY_SECTOR && alternate != PRIMARY_SECTOR) {
            throw sector.corrupt("GPT header: sector of the other copy", ALTERNATE,
                    own == PRIMARY_SECTOR ? "another sector" : "1", alternate);
        }
        GptHeader header = new GptHeader(own, alternate, sector.u64(FIRST_USABLE), sector.u64(LAST_USABLE),
                Guid.text(sector, DISK_GUID), sector.u64(ARRAY_SECTOR),
                entryCount(sector), (int) sector.u32(ENTRY_SIZE), sector.u32(ARRAY_CRC));
        header.checkRanges(sector, geometry);
        return header;
    }

    private static long headerCrc(Bytes sector, int size) throws CorruptException {
        byte[] bytes = sector.copy(0, size);
        bytes[HEADER_CRC] = bytes[HEADER_CRC + 1] = bytes[HEADER_CRC + 2] = bytes[HEADER_CRC + 3] = 0;
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return crc.getValue();
    }

    /** Bounds count and size of the entries, before anything is allocated for them. */
    private static int entryCount(Bytes sector) throws DiskFormatException {
        long count = sector.u32(ENTRY_COUNT);
        long size = sector.u32(ENTRY_SIZE);
        if (size < MIN_ENTRY_SIZE || size % 8 != 0) {
            throw sector.corrupt("GPT header: size of an entry", ENTRY_SIZE, "a multiple of 8 from " + MIN_ENTRY_SIZE + " on",
                    size);
        }
        if (count == 0) {
            throw sector.corrupt("GPT header: number of entries", ENTRY_COUNT, "at least 1", count);
        }
        if (count > MAX_ARRAY_SIZE / size) {
            throw sector.unsupported("GPT header: entries", ENTRY_COUNT, "at most " + MAX_ARRAY_SIZE + " bytes",
                    count + " of " + size + " bytes");
        }
        return (int) count;
    }

    private void checkRanges(Bytes sector, DiskGeometry geometry) throws CorruptException {
        if (lastUsable >= geometry.sectors()) {
            throw sector.corrupt("GPT header: last usable sector", LAST_USABLE, "one of the disk's " + geometry.sectors(),
                    lastUsable);
        }
        if (firstUsable <= PRIMARY_SECTOR || firstUsable > lastUsable) {
            throw sector.corrupt("GPT header: first usable sector", FIRST_USABLE, "2 to " + lastUsable, firstUsable);
        }
        long lowest = own == PRIMARY_SECTOR ? PRIMARY_SECTOR + 1 : lastUsable + 1;
        long highest = own == PRIMARY_SECTOR ? firstUsable : own;
        if (arraySector < lowest || arraySector > highest || arraySectors(geometry) > highest - arraySector) {
            throw sector.corrupt("GPT header: place of the entries", ARRAY_SECTOR,
                    arraySectors(geometry) + " sectors from " + lowest + " to " + highest, arraySector);
        }
    }

    int arraySize() {
        return entryCount * entrySize;
    }

    private long arraySectors(DiskGeometry geometry) {
        return (arraySize() + geometry.sectorSize() - 1L) / geometry.sectorSize();
    }

    /** @return whether the other copy's header says the same of the disk */
    boolean agreesWith(GptHeader other) {
        return firstUsable == other.firstUsable && lastUsable == other.lastUsable && diskGuid.equals(other.diskGuid)
                && entryCount == other.entryCount && entrySize == other.entrySize;
    }
}
