package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;

/**
 * NTFS boot sector: 512 bytes at byte 0 of the volume, little-endian. Source: libfsntfs, "Volume header"; cluster sizes above
 * 64 KiB as Windows 10 writes them.
 *
 * @param sectorSize bytes, a power of two, 512 to 4096
 * @param clusterSize bytes, a power of two, 512 to 2 MiB
 * @param totalSectors sectors of the file system; its backup boot sector is the one behind them
 * @param clusterCount whole clusters of the file system
 * @param mftCluster LCN of the first file record
 * @param mirrorCluster LCN of the copy of the first file records
 * @param recordSize bytes of a file record
 * @param indexBlockSize bytes of an index block
 */
record NtfsBootSector(int sectorSize, int clusterSize, long totalSectors, long clusterCount, long mftCluster,
        long mirrorCluster, int recordSize, int indexBlockSize) {

    static final int SIZE = 512;
    static final String SIGNATURE = "NTFS    ";
    static final int SIGNATURE_AT = 0x03;
    /** The fields that describe the volume: what primary and backup must have in common. */
    static final int FIELDS_AT = SIGNATURE_AT;
    static final int FIELDS_END = 0x50;

    private static final int BYTES_PER_SECTOR = 0x0B;       // u16
    private static final int SECTORS_PER_CLUSTER = 0x0D;    // u8, above 128: 2^(256 - value)
    private static final int FAT_FIELDS = 0x0E;             // reserved sectors, FATs, root entries, sectors: 0 on NTFS
    private static final int FAT_FIELDS_LENGTH = 7;
    private static final int SECTORS_PER_FAT = 0x16;        // u16, 0
    private static final int LARGE_SECTORS = 0x20;          // u32, 0
    private static final int TOTAL_SECTORS = 0x28;          // u64
    private static final int MFT_CLUSTER = 0x30;            // u64
    private static final int MIRROR_CLUSTER = 0x38;         // u64
    private static final int RECORD_SIZE = 0x40;            // s8, clusters, or below 0: 2^-value bytes
    private static final int INDEX_BLOCK_SIZE = 0x44;       // s8, the same
    private static final int END_MARK = 0x1FE;              // u16, 0xAA55

    private static final int MAX_CLUSTER_SIZE = 2 << 20;    // Windows 10
    /** Ours: the largest ever seen is 4096 for records and 64 KiB for index blocks. */
    private static final int MAX_RECORD_SIZE = 64 << 10;

    /**
     * @param volumeSize bytes of the volume
     * @throws CorruptException if a field is out of its range, or the file system is larger than the volume
     */
    static NtfsBootSector parse(Bytes sector, long volumeSize) throws DiskFormatException {
        if (!sector.matches(SIGNATURE_AT, SIGNATURE)) {
            throw sector.corrupt("NTFS boot sector: signature", SIGNATURE_AT, "\"" + SIGNATURE + "\"", "something else");
        }
        if (sector.u16(END_MARK) != 0xAA55) {
            throw sector.corrupt("NTFS boot sector: end mark", END_MARK, "0xaa55", hex(sector.u16(END_MARK)));
        }
        if (!sector.isZero(FAT_FIELDS, FAT_FIELDS_LENGTH) || sector.u16(SECTORS_PER_FAT) != 0
                || sector.u32(LARGE_SECTORS) != 0) {
            throw sector.corrupt("NTFS boot sector: fields of FAT", FAT_FIELDS, "0", "something else");
        }
        int sectorSize = sector.u16(BYTES_PER_SECTOR);
        if (sectorSize == 256) {    // mkntfs makes these, Windows cannot read them
            throw sector.unsupported("NTFS boot sector: bytes per sector", BYTES_PER_SECTOR, "512, 1024, 2048 or 4096",
                    sectorSize);
        }
        if (sectorSize < 512 || sectorSize > 4096 || Integer.bitCount(sectorSize) != 1) {
            throw sector.corrupt("NTFS boot sector: bytes per sector", BYTES_PER_SECTOR, "512, 1024, 2048 or 4096",
                    sectorSize);
        }
        int clusterSize = clusterSize(sector, sectorSize);
        long totalSectors = sector.u64(TOTAL_SECTORS);
        if (totalSectors > volumeSize / sectorSize) {
            throw sector.corrupt("NTFS boot sector: total sectors", TOTAL_SECTORS,
                    "at most the " + volumeSize / sectorSize + " of the volume", totalSectors);
        }
        long clusterCount = totalSectors / (clusterSize / sectorSize);
        if (clusterCount == 0) {
            throw sector.corrupt("NTFS boot sector: total sectors", TOTAL_SECTORS, "at least one cluster", totalSectors);
        }
        return new NtfsBootSector(sectorSize, clusterSize, totalSectors, clusterCount,
                cluster(sector, "MFT", MFT_CLUSTER, clusterCount),
                cluster(sector, "MFT mirror", MIRROR_CLUSTER, clusterCount),
                blockSize(sector, "file records", RECORD_SIZE, clusterSize),
                blockSize(sector, "index blocks", INDEX_BLOCK_SIZE, clusterSize));
    }

    private static int clusterSize(Bytes sector, int sectorSize) throws CorruptException {
        int value = sector.u8(SECTORS_PER_CLUSTER);
        // 2^12 sectors of 512 bytes are the largest cluster; anything that says more does not fit an int's bits here.
        int exponent = value > 128 ? 256 - value : Integer.numberOfTrailingZeros(value);
        boolean sane = value > 128 ? exponent <= 12 : Integer.bitCount(value) == 1;
        if (!sane || (long) sectorSize << exponent > MAX_CLUSTER_SIZE) {
            throw sector.corrupt("NTFS boot sector: sectors per cluster", SECTORS_PER_CLUSTER,
                    "a power of two, and clusters of at most 2 MiB", hex(value));
        }
        return sectorSize << exponent;
    }

    private static long cluster(Bytes sector, String of, int at, long clusterCount) throws CorruptException {
        long cluster = sector.s64(at);
        if (cluster <= 0 || cluster >= clusterCount) {
            throw sector.corrupt("NTFS boot sector: first cluster of the " + of, at, "1 to " + (clusterCount - 1), cluster);
        }
        return cluster;
    }

    private static int blockSize(Bytes sector, String of, int at, int clusterSize) throws CorruptException {
        int value = sector.s8(at);
        // A positive value is at most 127 clusters of 2 MiB, which an int holds.
        int size = value > 0 ? value * clusterSize : value < -31 || value == 0 ? 0 : 1 << -value;
        if (size < 512 || size > MAX_RECORD_SIZE || Integer.bitCount(size) != 1) {
            throw sector.corrupt("NTFS boot sector: size of " + of, at, "512 bytes to 64 KiB", value);
        }
        return size;
    }

    /** @return bytes of all whole clusters */
    long length() {
        return clusterCount * clusterSize;
    }

    /** @return byte of the volume where the copy of this sector lies */
    long backupOffset() {
        return totalSectors * sectorSize;
    }

    static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }
}
