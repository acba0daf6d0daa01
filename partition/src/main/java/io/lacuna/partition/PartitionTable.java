package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * How a disk is divided: by a GPT, an MBR or not at all. Immutable.
 *
 * <p>A partition that contradicts another one, the table or the disk is listed with its
 * {@linkplain Partition#refusal() refusal}; a table that cannot be trusted as a whole is an exception.
 */
public final class PartitionTable {

    private final String scheme;
    private final List<Partition> partitions;
    private final ExtentSet gaps;
    private final List<String> remarks;

    private PartitionTable(String scheme, List<Partition> partitions, ExtentSet gaps, List<String> remarks) {
        this.scheme = scheme;
        this.partitions = List.copyOf(partitions);
        this.gaps = gaps;
        this.remarks = List.copyOf(remarks);
    }

    /**
     * Reads the table: the start of the disk, and what that refers to.
     *
     * @throws CorruptException if there is a table, and it contradicts itself so far that no partition of it can be trusted
     * @throws UnsupportedException if there is a table of another kind, or more than one
     * @throws IOException if the disk cannot be read
     */
    public static PartitionTable read(BlockSource disk) throws IOException {
        ByteBuffer start = ByteBuffer.allocate((int) Math.min(disk.size(), ForeignLabel.LOOK));
        disk.read(0, start);
        Bytes first = Bytes.littleEndian(start.flip(), 0);
        Optional<Mbr> mbr = Mbr.parse(first);
        ForeignLabel.refuse(first, mbr, disk.size());
        GptReader.Result gpt = GptReader.read(disk, mbr);
        Optional<BootSector> boot = BootSector.parse(first);
        if (gpt.layout().isPresent()) {
            if (boot.isPresent()) {
                throw bothTableAndVolume("a GPT", boot.get());
            }
            return of(gpt.layout().get(), disk.size());
        }
        Optional<Mbr> counting = mbr.isPresent() && counts(mbr.get(), boot, disk.size()) ? mbr : Optional.empty();
        if (counting.isEmpty()) {
            return new PartitionTable("none", List.of(new Partition(0, 0, disk.size(), "", "whole disk", Optional.empty())),
                    ExtentSet.EMPTY, gpt.remarks());
        }
        Layout layout = MbrReader.read(disk, counting.get());
        List<String> remarks = new ArrayList<>(gpt.remarks());
        remarks.addAll(layout.remarks());
        return of(new Layout(layout.scheme(), layout.partitions(), layout.tables(), layout.kept(), layout.end(),
                layout.inDoubt() || !gpt.remarks().isEmpty(), remarks), disk.size());
    }

    private static PartitionTable of(Layout layout, long diskSize) {
        Layout checked = layout.checked(diskSize);
        return new PartitionTable(checked.scheme(), checked.partitions(), checked.gaps(diskSize), checked.remarks());
    }

    /**
     * A first sector with the mark 55 AA is an MBR, or the boot sector of a volume that covers the disk. It must not look
     * like both.
     */
    private static boolean counts(Mbr mbr, Optional<BootSector> boot, long diskSize) throws IOException {
        DiskGeometry smallest = new DiskGeometry(diskSize, Mbr.SIZE);
        boolean plausible = mbr.entries().stream().anyMatch(entry -> entry.isPlausible(smallest));
        if (boot.isPresent()) {
            if (plausible && mbr.hasSaneStatuses()) {
                throw bothTableAndVolume("an MBR with partitions", boot.get());
            }
            return false;
        }
        if (!mbr.hasSaneStatuses() && plausible) {
            throw new CorruptException("MBR: status of the entries", 446, "0x00 or 0x80 in all four",
                    String.join(", ", mbr.entries().stream().map(entry -> String.format("0x%02x", entry.status())).toList()));
        }
        return mbr.hasSaneStatuses();
    }

    private static UnsupportedException bothTableAndVolume(String table, BootSector boot) {
        return new UnsupportedException("the first sector belongs to " + table + " and is the boot sector of a " + boot.type()
                + " volume as well; one of them must be stale: remove it in the guest");
    }

    /** @return "gpt", "mbr" or "none" */
    public String scheme() {
        return scheme;
    }

    /**
     * @return the used entries in the order of the table, without the containers of logical partitions; for "none" one with
     *     index 0 that covers the disk
     */
    public List<Partition> partitions() {
        return partitions;
    }

    /**
     * @return bytes of the disk behind the start of the first partition that no partition, table or reserve for boot loaders
     *     owns. The last MiB of the disk is left out, for RAID and dynamic disks keep data there. Empty for "none", and if
     *     anything about the table is in doubt
     */
    public ExtentSet gaps() {
        return gaps;
    }

    /** @return what a reader of the report should know about the table although it stops nothing, each a sentence */
    public List<String> remarks() {
        return remarks;
    }
}
