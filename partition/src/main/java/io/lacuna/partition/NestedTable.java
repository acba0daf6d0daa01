package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * A partition that is divided once more, because it serves as the disk of another machine (passed through, or as the store
 * of an iSCSI target). Whoever writes a table there leaves what stood behind the first sectors: the superblock of the file
 * system that was there before, and often its bitmaps as well, which call free what the other machine's partitions now use.
 */
final class NestedTable {

    private static final int[] SECTOR_SIZES = {512, 4096};

    private NestedTable() {
    }

    /** @param signatures of a partition; a disk has its table by right */
    static void find(Signatures signatures, BlockSource partition) throws IOException {
        if (partition.size() < Mbr.SIZE) {
            return;
        }
        Bytes first = Bytes.read(partition, "first sector", 0, Mbr.SIZE, ByteOrder.LITTLE_ENDIAN);
        DiskGeometry smallest = new DiskGeometry(partition.size(), Mbr.SIZE);
        Optional<Mbr> mbr = Mbr.parse(first);
        if (mbr.isPresent() && BootSector.parse(first).isEmpty() && mbr.get().hasSaneStatuses()
                && mbr.get().entries().stream().anyMatch(entry -> entry.isPlausible(smallest))) {
            signatures.add("dos", "a partition table (MBR) of its own", 0, Mbr.SIZE);
        }
        for (int sectorSize : SECTOR_SIZES) {
            DiskGeometry geometry = new DiskGeometry(partition.size(), sectorSize);
            if (geometry.sectors() > GptHeader.PRIMARY_SECTOR + 1 && isGpt(partition, geometry)) {
                signatures.add("gpt", "a partition table (GPT) of its own", geometry.bytes(GptHeader.PRIMARY_SECTOR),
                        GptHeader.SIGNATURE.length());
            }
        }
    }

    private static boolean isGpt(BlockSource partition, DiskGeometry geometry) throws IOException {
        try {
            return GptCopy.attempt(partition, geometry, GptHeader.PRIMARY_SECTOR).isValid();
        } catch (UnsupportedException soundAndNotRead) {
            return true;
        }
    }
}
