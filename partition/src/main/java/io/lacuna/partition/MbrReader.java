package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;

/** Turns an MBR that counts into partitions: primary ones 1 to 4, logical ones from 5. */
final class MbrReader {

    private static final int FIRST_LOGICAL = 5;

    private final BlockSource disk;
    private final Mbr mbr;
    private final List<Partition> partitions = new ArrayList<>();
    private final ExtentSet.Builder tables = ExtentSet.builder();
    private final ExtentSet.Builder kept = ExtentSet.builder();
    private final List<String> remarks = new ArrayList<>();
    private boolean inDoubt;

    private MbrReader(BlockSource disk, Mbr mbr) {
        this.disk = disk;
        this.mbr = mbr;
    }

    static Layout read(BlockSource disk, Mbr mbr) throws IOException {
        return new MbrReader(disk, mbr).run();
    }

    private Layout run() throws IOException {
        if (mbr.used().isEmpty()) {
            remarks.add("The MBR lists no partitions; a file system that starts at byte 0 of the disk was left alone.");
        }
        OptionalInt sectorSize = MbrSectorSize.of(disk, mbr);
        DiskGeometry geometry = new DiskGeometry(disk.size(), sectorSize.orElse(Mbr.SIZE));
        tables.add(0, geometry.sectorSize());
        mbr.used().stream().filter(entry -> !entry.isExtended()).forEach(entry -> addPrimary(geometry, entry));
        if (sectorSize.isEmpty()) {
            return layout().refused("the MBR does not say whether its sectors have 512 or 4096 bytes, and nothing at the"
                    + " starts of the partitions tells");
        }
        int next = FIRST_LOGICAL;
        for (Mbr.Entry entry : mbr.used().stream().filter(Mbr.Entry::isExtended).toList()) {
            next += addExtended(geometry, entry, next);
        }
        return layout();
    }

    private void addPrimary(DiskGeometry geometry, Mbr.Entry entry) {
        partitions.add(new Partition(entry.slot() + 1, geometry.bytes(entry.start()), geometry.bytes(entry.count()),
                PartitionTypes.mbrType(entry.type()), PartitionTypes.mbrName(entry.type()),
                PartitionTypes.mbrRefusal(entry.type())));
    }

    /** @return the number of logical partitions found */
    private int addExtended(DiskGeometry geometry, Mbr.Entry entry, int firstIndex) throws IOException {
        if (!geometry.contains(entry.start(), entry.count())) {
            doubt("The extended partition reaches past the end of the disk; its logical partitions were not read.");
            return 0;
        }
        long offset = geometry.bytes(entry.start());
        long length = geometry.bytes(entry.count());
        boolean overlapped = false;
        for (int i = 0; i < partitions.size(); i++) {
            Partition primary = partitions.get(i);
            if (primary.index() < FIRST_LOGICAL && primary.overlaps(offset, length)) {
                partitions.set(i, primary.refused("it overlaps the extended partition: the partition table is wrong"));
                overlapped = true;
            }
        }
        ExtendedPartition extended = ExtendedPartition.read(disk, geometry, entry.start(), entry.count(), firstIndex);
        extended.damage().ifPresent(damage -> doubt(Character.toUpperCase(damage.charAt(0)) + damage.substring(1) + "."));
        inDoubt |= overlapped;
        partitions.addAll(extended.logicals());
        tables.addAll(extended.tables());
        kept.addAll(extended.kept());
        return extended.logicals().size();
    }

    private void doubt(String remark) {
        remarks.add(remark);
        inDoubt = true;
    }

    private Layout layout() {
        return new Layout("mbr", List.copyOf(partitions), tables.build(), kept.build(), disk.size(), inDoubt, List.copyOf(remarks));
    }
}
