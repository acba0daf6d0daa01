package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Finds the GPT of a disk (UEFI specification, chapter 5): both copies, at either sector size, and the protective or hybrid
 * MBR in front of them.
 */
final class GptReader {

    private static final int[] SECTOR_SIZES = {512, 4096};

    private final BlockSource disk;
    private final Optional<Mbr> mbr;
    private final List<String> remarks = new ArrayList<>();
    private boolean inDoubt;

    private GptReader(BlockSource disk, Optional<Mbr> mbr) {
        this.disk = disk;
        this.mbr = mbr;
    }

    /**
     * What one sector size shows.
     *
     * @param primary the copy in sector 1
     * @param backup the copy where the primary says it is, or in the last sector if there is no valid primary
     * @param atEnd the copy in the last sector
     */
    private record Found(DiskGeometry geometry, GptCopy.Attempt primary, GptCopy.Attempt backup, GptCopy.Attempt atEnd) {

        boolean isValid() {
            return primary.isValid() || backup.isValid() || atEnd.isValid();
        }
    }

    /**
     * @param layout empty if the disk has no GPT that counts
     * @param remarks what was met although it does not count
     */
    record Result(Optional<Layout> layout, List<String> remarks) {
    }

    /**
     * @param mbr the table in the first sector, if it has one
     * @throws CorruptException if the MBR says that there is a GPT and no copy of it is valid
     * @throws UnsupportedException if the signs of a GPT contradict each other, so that none may be trusted
     */
    static Result read(BlockSource disk, Optional<Mbr> mbr) throws IOException {
        return new GptReader(disk, mbr).run();
    }

    private Result run() throws IOException {
        List<Found> all = new ArrayList<>();
        for (int sectorSize : SECTOR_SIZES) {
            DiskGeometry geometry = new DiskGeometry(disk.size(), sectorSize);
            if (geometry.sectors() > GptHeader.PRIMARY_SECTOR + 1) {
                all.add(find(geometry));
            }
        }
        List<Found> valid = all.stream().filter(Found::isValid).toList();
        if (mbr.isEmpty() || !mbr.get().isProtective()) {
            return withoutProtection(valid);
        }
        if (valid.isEmpty()) {
            throw bothDamaged(all);
        }
        if (valid.size() > 1) {
            throw new UnsupportedException("the disk carries two GPTs, for sectors of 512 and of 4096 bytes, and one of them must"
                    + " be stale: remove it in the guest (wipefs)");
        }
        return new Result(Optional.of(layout(valid.get(0))), List.of());
    }

    private Found find(DiskGeometry geometry) throws IOException {
        long last = geometry.sectors() - 1;
        GptCopy.Attempt primary = GptCopy.attempt(disk, geometry, GptHeader.PRIMARY_SECTOR);
        GptCopy.Attempt atEnd = GptCopy.attempt(disk, geometry, last);
        GptCopy.Attempt backup = !primary.isValid() || primary.copy().header().alternate() == last ? atEnd
                : GptCopy.attempt(disk, geometry, primary.copy().header().alternate());
        return new Found(geometry, primary, backup, atEnd);
    }

    private static CorruptException bothDamaged(List<Found> all) {
        if (all.isEmpty()) {
            return new CorruptException("GPT", -1, "a disk of at least three sectors", "a smaller one");
        }
        Found found = all.get(0);
        for (Found other : all) {
            // The signature is the first check: a complaint that comes later tells that a header is there.
            found = isHeader(other.primary()) || isHeader(other.backup()) ? other : found;
        }
        return new CorruptException("both copies of the GPT are damaged, repair it in the guest (sgdisk --verify)", -1,
                null, "first copy: " + found.primary().problem().reason() + "; second copy: "
                + found.backup().problem().reason());
    }

    private static boolean isHeader(GptCopy.Attempt attempt) {
        return !attempt.problem().what().endsWith("signature");
    }

    /**
     * No protective MBR: firmware and systems ignore a GPT then, partitioning tools do not. A valid copy at the start means
     * that one of the two tables, or the file system at the start of the disk, is stale. One at the end only is the usual
     * remainder on a disk that was formatted anew.
     */
    private static Result withoutProtection(List<Found> valid) throws UnsupportedException {
        if (valid.stream().anyMatch(found -> found.primary().isValid())) {
            throw new UnsupportedException("the disk has a valid GPT but no protective MBR, so one of them is stale: write the"
                    + " right table again in the guest (gdisk)");
        }
        return new Result(Optional.empty(), valid.isEmpty() ? List.of()
                : List.of("An old backup GPT at the end of the disk was ignored: nothing else says that the disk has a GPT."));
    }

    private Layout layout(Found found) throws DiskFormatException {
        GptCopy copy = chosen(found);
        DiskGeometry geometry = found.geometry();
        GptHeader header = copy.header();
        ExtentSet tables = ExtentSet.builder().add(0, geometry.bytes(header.firstUsable())).build();
        Layout layout = new Layout("gpt", applyHybrid(copy.partitions(geometry), geometry), tables,
                ExtentSet.EMPTY, geometry.bytes(header.lastUsable() + 1), inDoubt, List.copyOf(remarks));
        return differ(found.primary(), found.backup()) || differ(found.primary(), found.atEnd())
                ? layout.refused("the two copies of the GPT are both valid and say different things: let the guest choose the"
                        + " right one (gdisk)")
                : layout;
    }

    private static boolean differ(GptCopy.Attempt one, GptCopy.Attempt other) {
        return one.isValid() && other.isValid() && !one.copy().agreesWith(other.copy());
    }

    private GptCopy chosen(Found found) {
        if (!found.primary().isValid()) {
            doubt("The primary GPT is damaged; the backup copy was used.");
            return found.backup().copy();
        }
        GptCopy primary = found.primary().copy();
        long last = found.geometry().sectors() - 1;
        if (!found.backup().isValid()) {
            doubt("The backup GPT is missing or damaged; the primary copy was used.");
        } else if (primary.header().alternate() != last) {
            remarks.add("The backup GPT is not at the end of the disk: the disk was made larger after it was partitioned.");
        }
        return primary;
    }

    private void doubt(String remark) {
        remarks.add(remark);
        inDoubt = true;
    }

    /** Holds what else the MBR lists against the GPT: where they disagree, nobody knows which of them the guest goes by. */
    private List<Partition> applyHybrid(List<Partition> partitions, DiskGeometry geometry) {
        List<Mbr.Entry> others = mbr.orElseThrow().used().stream().filter(entry -> !Mbr.isProtectiveEntry(entry)).toList();
        if (others.isEmpty()) {
            return partitions;
        }
        doubt("Hybrid MBR: the GPT counts.");
        List<Partition> result = partitions;
        for (Mbr.Entry entry : others) {
            long offset = geometry.bytes(entry.start());
            long length = geometry.bytes(entry.count());
            boolean known = partitions.stream().anyMatch(p -> p.offset() == offset && p.length() == length);
            if (!known) {
                result = result.stream().map(partition -> !partition.overlaps(offset, length) ? partition
                        : partition.refused("the hybrid MBR has an entry over the same bytes that is not in the GPT"
                                + " (entry " + (entry.slot() + 1) + ")")).toList();
            }
        }
        return result;
    }
}
