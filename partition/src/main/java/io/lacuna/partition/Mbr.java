package io.lacuna.partition;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The table in the first sector of a disk, or of a logical partition (there called EBR): four entries from byte 446 and the
 * mark 55 AA at byte 510, little-endian. The mark alone proves nothing: the boot sectors of FAT and NTFS carry it too.
 */
record Mbr(List<Entry> entries) {

    static final int SIZE = 512;
    private static final int FIRST_ENTRY = 446;
    private static final int MARK = 510;
    private static final int BOOTABLE = 0x80;

    /**
     * One entry, 16 bytes.
     *
     * @param slot 0 to 3
     * @param status 0x80 bootable, 0 not; anything else is no entry
     * @param start first sector; in an EBR relative, see {@link ExtendedPartition}
     * @param count number of sectors
     */
    record Entry(int slot, int status, int type, long start, long count) {

        static final int SIZE = 16;

        static Entry parse(Bytes sector, int slot) throws CorruptException {
            int at = FIRST_ENTRY + slot * SIZE;
            return new Entry(slot, sector.u8(at), sector.u8(at + 4), sector.u32(at + 8), sector.u32(at + 12));
        }

        boolean hasSaneStatus() {
            return status == 0 || status == BOOTABLE;
        }

        /** An entry without a length is unused whatever else it says: so do Linux and Windows. */
        boolean isUsed() {
            return count != 0;
        }

        boolean isExtended() {
            return PartitionTypes.isExtended(type);
        }

        /** @return whether a person may have meant this as a partition: sane in every field, behind the table, on the disk */
        boolean isPlausible(DiskGeometry geometry) {
            return hasSaneStatus() && type != 0 && start != 0 && geometry.contains(start, count);
        }
    }

    /** @return the table; empty if the sector does not carry the mark */
    static Optional<Mbr> parse(Bytes sector) throws CorruptException {
        if (sector.length() < SIZE || sector.u8(MARK) != 0x55 || sector.u8(MARK + 1) != 0xAA) {
            return Optional.empty();
        }
        List<Entry> entries = new ArrayList<>();
        for (int slot = 0; slot < 4; slot++) {
            entries.add(Entry.parse(sector, slot));
        }
        return Optional.of(new Mbr(List.copyOf(entries)));
    }

    boolean hasSaneStatuses() {
        return entries.stream().allMatch(Entry::hasSaneStatus);
    }

    /** @return whether it says that a GPT counts: an entry of type EE from sector 1 on (UEFI specification, 5.2.3) */
    boolean isProtective() {
        return hasSaneStatuses() && entries.stream().anyMatch(Mbr::isProtectiveEntry);
    }

    static boolean isProtectiveEntry(Entry entry) {
        return entry.type() == PartitionTypes.PROTECTIVE && entry.start() == 1;
    }

    List<Entry> used() {
        return entries.stream().filter(Entry::isUsed).toList();
    }
}
