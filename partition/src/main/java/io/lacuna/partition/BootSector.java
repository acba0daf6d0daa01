package io.lacuna.partition;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.util.Optional;

/**
 * The first sector of a volume of the Microsoft and IBM family, as opposed to a partition table: both end in 55 AA.
 * Little-endian. Sources: Microsoft's FAT and exFAT specifications, libfsntfs and libbde papers.
 *
 * @param type "vfat", "ntfs", "exfat", "BitLocker", "ReFS", "hpfs" or "jfs"
 * @param sectorSize bytes of a sector as it says; 0 if it does not
 */
record BootSector(String type, int sectorSize) {

    private static final int MARK = 510;
    private static final int OEM_NAME = 3;
    private static final int SECTOR_SIZE = 11;
    private static final int SECTORS_PER_CLUSTER = 13;
    private static final int RESERVED_SECTORS = 14;
    private static final int FAT_COUNT = 16;
    private static final int SMALL_SECTOR_COUNT = 19;
    private static final int MEDIA = 21;
    private static final int SECTORS_PER_FAT = 22;
    private static final int SECTOR_COUNT = 32;
    private static final int SECTORS_PER_FAT32 = 36;
    private static final int TYPE_16 = 54;
    private static final int TYPE_32 = 82;
    private static final int EXFAT_SECTOR_SHIFT = 108;

    /** @param sector at least 512 bytes. @return what it is the boot sector of; empty if of nothing known */
    static Optional<BootSector> parse(Bytes sector) throws CorruptException {
        if (sector.length() < Mbr.SIZE) {
            return Optional.empty();
        }
        if (sector.matches(OEM_NAME, "-FVE-FS-")) {
            return Optional.of(new BootSector("BitLocker", sector.u16(SECTOR_SIZE)));
        }
        if (sector.matches(OEM_NAME, "NTFS    ")) {
            return Optional.of(new BootSector("ntfs", sector.u16(SECTOR_SIZE)));
        }
        if (sector.matches(OEM_NAME, "EXFAT   ")) {
            int shift = sector.u8(EXFAT_SECTOR_SHIFT);
            return Optional.of(new BootSector("exfat", shift >= 9 && shift <= 12 ? 1 << shift : 0));
        }
        if (sector.matches(OEM_NAME, "ReFS\0") || sector.matches(0, "\0\0\0ReFS\0")) {
            return Optional.of(new BootSector("ReFS", 0));
        }
        if (!isFatLike(sector)) {
            return Optional.empty();
        }
        // OS/2 put a boot sector that looks like FAT in front of its other file systems.
        String type = sector.matches(TYPE_16, "HPFS    ") ? "hpfs" : sector.matches(TYPE_16, "JFS     ") ? "jfs" : "vfat";
        return Optional.of(new BootSector(type, sector.u16(SECTOR_SIZE)));
    }

    private static boolean isFatLike(Bytes sector) throws CorruptException {
        int sectorSize = sector.u16(SECTOR_SIZE);
        int clusterSize = sector.u8(SECTORS_PER_CLUSTER);
        boolean named = sector.matches(TYPE_16, "FAT") || sector.matches(TYPE_16, "MSDOS") || sector.matches(TYPE_32, "FAT32")
                || sector.matches(TYPE_32, "MSWIN");
        boolean jumps = sector.u8(0) == 0xEB || sector.u8(0) == 0xE9;
        boolean marked = sector.u8(MARK) == 0x55 && sector.u8(MARK + 1) == 0xAA;
        return (named || jumps && marked)
                && isPowerOfTwo(sectorSize) && sectorSize >= 512 && sectorSize <= 4096
                && isPowerOfTwo(clusterSize)
                && sector.u16(RESERVED_SECTORS) != 0
                && sector.u8(FAT_COUNT) >= 1 && sector.u8(FAT_COUNT) <= 4
                && (sector.u8(MEDIA) == 0xF0 || sector.u8(MEDIA) >= 0xF8)
                && (sector.u16(SMALL_SECTOR_COUNT) != 0 || sector.u32(SECTOR_COUNT) != 0)
                && (sector.u16(SECTORS_PER_FAT) != 0 || sector.u32(SECTORS_PER_FAT32) != 0);
    }

    private static boolean isPowerOfTwo(int value) {
        return value > 0 && (value & value - 1) == 0;
    }
}
