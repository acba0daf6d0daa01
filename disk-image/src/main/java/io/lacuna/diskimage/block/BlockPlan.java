package io.lacuna.diskimage.block;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.util.List;

/** What a request comes to on one image whose guest bytes lie in blocks. Made by {@link #of}, done by {@link BlockWriter}. */
public final class BlockPlan implements Deallocation {

    private final DiskImage image;
    private final BlockTable table;
    private final boolean finishing;
    private final ReclaimMode mode;
    private final long blockSize;
    private final ExtentSet reclaimable;
    private final List<Retained> retained;
    private final long unreferencedBytes;
    private final List<String> remarks;
    private final ExtentSet unmapped;
    private final List<FilePlan> files;
    private final GuestPieces freePieces;
    private final CompactionJournal journal;

    /**
     * @param finishing whether the table has something of a cut run to put right
     * @param unmapped guest ranges of whole blocks
     * @param freePieces where the guest's free bytes are stored
     * @param journal of a run that moves blocks, and what an earlier one may have left; null if the image never needs one
     */
    BlockPlan(DiskImage image, BlockTable table, boolean finishing, ReclaimMode mode, long blockSize, ExtentSet reclaimable,
            List<Retained> retained, long unreferencedBytes, List<String> remarks, ExtentSet unmapped, List<FilePlan> files,
            GuestPieces freePieces, CompactionJournal journal) {
        this.image = image;
        this.table = table;
        this.finishing = finishing;
        this.mode = mode;
        this.blockSize = blockSize;
        this.reclaimable = reclaimable;
        this.retained = List.copyOf(retained);
        this.unreferencedBytes = unreferencedBytes;
        this.remarks = List.copyOf(remarks);
        this.unmapped = unmapped;
        this.files = List.copyOf(files);
        this.freePieces = freePieces;
        this.journal = journal;
    }

    /**
     * Computes a plan; writes nothing.
     *
     * @param image whose plan it is
     * @param table null if the image has none that may be changed, so that every mode punches
     * @param whyNoTable then the reason, a sentence for the report ("A fixed VHD has no table of blocks."); else not used
     * @throws DiskFormatException if the tables contradict each other, or nothing can be done because the host cannot punch
     *     ({@link UnsupportedException})
     */
    public static BlockPlan of(DiskImage image, BlockMap map, BlockTable table, String whyNoTable,
            DeallocationRequest request) throws IOException {
        return new BlockPlanner(image, map, table, whyNoTable, request).plan();
    }

    DiskImage image() {
        return image;
    }

    BlockTable table() {
        return table;
    }

    ReclaimMode mode() {
        return mode;
    }

    /** @return bytes of the guest's disk in a block */
    long blockSize() {
        return blockSize;
    }

    /** @return guest ranges of whole blocks that are to be unmapped */
    ExtentSet unmapped() {
        return unmapped;
    }

    /** @return what happens to each file that is touched at all */
    List<FilePlan> files() {
        return files;
    }

    GuestPieces freePieces() {
        return freePieces;
    }

    CompactionJournal journal() {
        return journal;
    }

    /** @return whether blocks move or files become shorter */
    boolean isPacking() {
        return files.stream().anyMatch(FilePlan::isPacked);
    }

    /** @return whether the image itself stays as it is */
    boolean leavesImageAlone() {
        return !finishing && unmapped.isEmpty() && files.stream().allMatch(file -> file.punches().isEmpty() && !file.isPacked());
    }

    @Override
    public ExtentSet reclaimable() {
        return reclaimable;
    }

    @Override
    public ExtentSet discarded() {
        ExtentSet gone = reclaimable.union(unmapped);
        // A moved block is written again without its free bytes.
        return isPacking() ? gone.union(freePieces.guestBytes()) : gone;
    }

    @Override
    public List<Retained> retained() {
        return retained;
    }

    @Override
    public long plannedBytes() {
        return Math.max(0, files.stream().mapToLong(FilePlan::plannedBytes).sum());
    }

    @Override
    public long unreferencedBytes() {
        return unreferencedBytes;
    }

    @Override
    public boolean isEmpty() {
        return leavesImageAlone() && (journal == null || !journal.stands());
    }

    @Override
    public boolean changesTables() {
        return finishing || !unmapped.isEmpty() || isPacking();
    }

    @Override
    public List<String> remarks() {
        return remarks;
    }

    @Override
    public List<HostRanges> hostRanges() {
        return files.stream().map(FilePlan::hostRanges).toList();
    }
}
