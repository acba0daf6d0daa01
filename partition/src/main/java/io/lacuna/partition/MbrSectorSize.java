package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * An MBR counts in sectors and does not say how large they are. A wrong guess makes wrong windows, so 4096 bytes must be
 * impossible, or what stands at the starts of the partitions must speak for one size and against the other.
 */
final class MbrSectorSize {

    private static final int SMALL = 512;
    private static final int LARGE = 4096;
    /** Enough of a volume's start for the common signatures. */
    private static final int LOOK = 128 << 10;

    private MbrSectorSize() {
    }

    /** @return 512 or 4096; empty if it cannot be told */
    static OptionalInt of(BlockSource disk, Mbr mbr) throws IOException {
        if (disk.size() % LARGE != 0 || mbr.used().isEmpty()) {
            return OptionalInt.of(SMALL);
        }
        DiskGeometry small = new DiskGeometry(disk.size(), SMALL);
        DiskGeometry large = new DiskGeometry(disk.size(), LARGE);
        if (fits(mbr, small) && !fits(mbr, large)) {
            return OptionalInt.of(SMALL);
        }
        boolean saysSmall = isConfirmed(disk, mbr, small);
        boolean saysLarge = isConfirmed(disk, mbr, large);
        return saysSmall == saysLarge ? OptionalInt.empty() : OptionalInt.of(saysSmall ? SMALL : LARGE);
    }

    private static boolean fits(Mbr mbr, DiskGeometry geometry) {
        return mbr.used().stream().allMatch(entry -> geometry.contains(entry.start(), entry.count()));
    }

    /** @return whether with this sector size some partition starts with something that belongs at the start of one */
    private static boolean isConfirmed(BlockSource disk, Mbr mbr, DiskGeometry geometry) throws IOException {
        for (Mbr.Entry entry : mbr.used()) {
            if (entry.start() != 0 && geometry.contains(entry.start(), 1)
                    && (entry.isExtended() ? isExtended(disk, geometry, entry) : isVolume(disk, geometry, entry))) {
                return true;
            }
        }
        return false;
    }

    private static boolean isExtended(BlockSource disk, DiskGeometry geometry, Mbr.Entry entry) throws IOException {
        Bytes sector = Bytes.read(disk, "EBR", geometry.bytes(entry.start()), Mbr.SIZE, ByteOrder.LITTLE_ENDIAN);
        Optional<Mbr> table = Mbr.parse(sector);
        return table.isPresent() && table.get().hasSaneStatuses() && BootSector.parse(sector).isEmpty();
    }

    private static boolean isVolume(BlockSource disk, DiskGeometry geometry, Mbr.Entry entry) throws IOException {
        long offset = geometry.bytes(entry.start());
        long length = Math.min(Math.min(LOOK, geometry.bytes(entry.count())), disk.size() - offset);
        BlockSource start = disk.window(offset, length);
        Bytes sector = Bytes.read(start, "first sector", 0, Mbr.SIZE, ByteOrder.LITTLE_ENDIAN);
        Optional<BootSector> boot = BootSector.parse(sector);
        if (boot.isPresent() && boot.get().sectorSize() != 0) {
            return boot.get().sectorSize() == geometry.sectorSize();
        }
        return isExt(start) || !VolumeSignatures.scan(start).isEmpty();
    }

    /** The superblock copies inside an ext file system carry the number of their group; only the first one starts a volume. */
    private static boolean isExt(BlockSource start) throws IOException {
        if (start.size() < 2048) {
            return false;
        }
        Bytes superblock = Bytes.read(start, "ext superblock", 1024, 1024, ByteOrder.LITTLE_ENDIAN);
        return superblock.u16(56) == 0xEF53 && superblock.u32(24) <= 6 && superblock.u16(90) == 0;
    }
}
