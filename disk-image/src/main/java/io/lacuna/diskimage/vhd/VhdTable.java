package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.block.BlockArea;
import io.lacuna.diskimage.block.BlockMove;
import io.lacuna.diskimage.block.BlockTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;

/**
 * Changes the table of a dynamic disk, and moves the blocks of a differencing one. Every entry stands by itself, and either of its
 * values is right while it is being changed, so that a torn write does no harm.
 *
 * <p>QEMU puts the next new block behind the last one that the table has, over whatever is there, and writes only a part of it: the
 * rest must read as zeros. So nothing may be left behind the last block. What will lie there is made zeros before the table lets go
 * of it, and the file ends behind the last block when the run does. A block that moves away from the end cannot be made zeros
 * before the table has its new place: meanwhile a block that is not stored, which reads as zeros, gets a place of zeros behind all
 * others.
 */
final class VhdTable implements BlockTable {

    /** Hyper-V lets the data of blocks begin at multiples of this; where all do, it stays so. */
    private static final int DATA_ALIGNMENT = 4096;
    private static final int SECTOR = 512;
    private static final int BUFFER_SIZE = 1 << 20;
    /** The table counts in sectors, and its highest number means that there is no block. */
    private static final long LARGEST_PLACE = 0xFFFF_FFFEL * SECTOR;
    private static final int NO_BLOCK = -1;

    private final VhdBlocks blocks;
    private final HostFile file;
    private final DynamicHeader header;
    private boolean unmapped;
    /** Held the end of the file when a run was cut; {@link #NO_BLOCK} if none did. */
    private int keeper = NO_BLOCK;

    VhdTable(VhdBlocks blocks) {
        this.blocks = blocks;
        this.file = blocks.file();
        this.header = blocks.header();
    }

    @Override
    public String obstacleToUnmapping() {
        if (blocks.isDifferencing()) {
            return "a differencing VHD without a block shows its parent's";
        }
        return blocks.structures().hasBlockMap() ? "Xen keeps a map of its own of the blocks in this VHD" : null;
    }

    @Override
    public void forEachBlock(Extent guestRange, BlockVisitor visitor) throws IOException {
        int first = (int) (guestRange.offset() / header.blockSize());
        int last = (int) ((guestRange.end() - 1) / header.blockSize());
        for (int block = first; block <= last; block++) {
            long place = blocks.place(block);
            if (place >= 0) {
                visitor.block((long) block * header.blockSize(), guestLength(block), 0, place, header.slotSize());
            }
        }
    }

    /** The last block is cut at the end of the disk, as the most generous program sees it. */
    private long guestLength(int block) {
        long left = blocks.size().largest() - (long) block * header.blockSize();
        return left <= 0 ? header.blockSize() : Math.min(left, header.blockSize());
    }

    /** The last block of a dynamic disk, if it is nothing but zeros, is not needed, whoever made it. */
    @Override
    public void resume() throws IOException {
        int last = lastBlock();
        if (blocks.isDifferencing() || last == NO_BLOCK) {
            return;
        }
        if (isZeros(blocks.bat().place(last))) {
            keeper = last;
            blocks.leaveOut(last);
        }
    }

    private int lastBlock() {
        int last = NO_BLOCK;
        for (int block = 0; block < blocks.bat().size(); block++) {
            if (blocks.bat().place(block) > (last == NO_BLOCK ? -1 : blocks.bat().place(last))) {
                last = block;
            }
        }
        return last;
    }

    private boolean isZeros(long place) throws IOException {
        ExtentSet stored = ExtentSet.ofRange(place, header.slotSize()).intersect(file.map().allocated());
        ByteBuffer bytes = ByteBuffer.allocate(BUFFER_SIZE);
        for (Extent range : stored) {
            for (long at = range.offset(); at < range.end(); at += BUFFER_SIZE) {
                file.read(at, bytes.clear().limit((int) Math.min(BUFFER_SIZE, range.end() - at)));
                bytes.flip();
                if (bytes.mismatch(ByteBuffer.allocate(bytes.limit())) >= 0) {
                    return false;
                }
            }
        }
        return true;
    }

    @Override
    public boolean isUnfinished() {
        return keeper != NO_BLOCK;
    }

    @Override
    public void begin(boolean changesTables) throws IOException {
        unmapped = false;
        if (changesTables && keeper != NO_BLOCK) {
            dismiss(keeper);
            blocks.leaveOut(NO_BLOCK);
            keeper = NO_BLOCK;
            unmapped = true;
        }
    }

    @Override
    public void unmap(ExtentSet guestRanges) throws IOException {
        ExtentSet.Builder entries = ExtentSet.builder();
        for (Extent range : guestRanges) {
            forEachBlock(range, (guest, guestLength, index, place, length) -> entries.add(guest / header.blockSize(), 1));
        }
        ExtentSet numbers = entries.build();
        // What lay in gaps before the last block comes to lie behind it, too.
        blank(lastUsedEnd(numbers), lastUsedEnd(ExtentSet.EMPTY));
        for (Extent run : numbers) {
            for (long block = run.offset(); block < run.end(); block++) {
                blocks.bat().clear((int) block);
            }
        }
        blocks.bat().write(numbers);
        file.sync();
        unmapped = true;
    }

    /** @param without numbers of blocks that do not count @return first byte that no block and no structure needs */
    private long lastUsedEnd(ExtentSet without) throws IOException {
        ExtentSet structures = blocks.structures().all();
        long end = structures.end(structures.count() - 1);
        for (int block = 0; block < blocks.bat().size(); block++) {
            if (blocks.bat().place(block) >= 0 && !without.contains(block, 1)) {
                end = Math.max(end, blocks.place(block) + header.slotSize());
            }
        }
        return end;
    }

    /** Makes zeros, durably, of what the host stores of a range. */
    private void blank(long from, long to) throws IOException {
        if (from >= to) {
            return;
        }
        ExtentSet ranges = ExtentSet.ofRange(from, to - from);
        ExtentSet stored = ranges.intersect(file.map().allocated());
        ExtentSet holes = holesIn(ranges);
        for (Extent hole : holes) {
            if (stored.intersects(hole.offset(), hole.length())) {
                file.punch(hole.offset(), hole.length());
            }
        }
        ByteBuffer zeros = ByteBuffer.allocate(BUFFER_SIZE);
        for (Extent rest : stored.minus(holes)) {
            for (long at = rest.offset(); at < rest.end(); at += BUFFER_SIZE) {
                file.write(at, zeros.clear().limit((int) Math.min(BUFFER_SIZE, rest.end() - at)));
            }
        }
        file.sync();
    }

    private ExtentSet holesIn(ExtentSet ranges) throws IOException {
        try {
            PunchSupport support = file.punchSupport();
            return support.zeroes() ? ranges.inwardTo(support.granularity(), support.alignment()) : ExtentSet.EMPTY;
        } catch (UnsupportedException unpunchable) {
            return ExtentSet.EMPTY;
        }
    }

    @Override
    public void end() throws IOException {
        if (unmapped && !file.isBlockDevice()) {
            long end = lastUsedEnd(ExtentSet.EMPTY);
            if (end < blocks.dataEnd()) {
                shorten(0, end);
            }
        }
    }

    @Override
    public Optional<BlockArea> area(int index) throws IOException {
        ExtentSet used = blocks.requireSound();
        ExtentSet structures = blocks.structures().all();
        long end = structures.end(structures.count() - 1);
        // Entries count sectors, and nothing makes what lies before the blocks end with one.
        long start = end + Math.floorMod(-end, SECTOR);
        if (!used.isEmpty()) {
            start = Math.min(start, used.start(0));
        }
        ExtentSet fixed = structures.union(blocks.structures().reserved().minus(used));
        long aligned = start + Math.floorMod(-start - header.bitmapSize(), DATA_ALIGNMENT);
        return Optional.of(isAligned(used) ? new BlockArea(aligned, header.slotSize(), DATA_ALIGNMENT, fixed, tailLength())
                : new BlockArea(start, header.slotSize(), SECTOR, fixed, tailLength()));
    }

    private int tailLength() {
        return blocks.footers().tailLength();
    }

    private boolean isAligned(ExtentSet used) {
        if (used.isEmpty()) {
            return false;
        }
        for (int place : blocks.bat().sortedPlaces()) {
            if ((Bat.position(place) + header.bitmapSize()) % DATA_ALIGNMENT != 0) {
                return false;
            }
        }
        return true;
    }

    @Override
    public void remap(List<BlockMove> moves) throws IOException {
        ExtentSet.Builder entries = ExtentSet.builder();
        for (BlockMove move : moves) {
            int block = (int) (move.guestOffset() / header.blockSize());
            blocks.bat().move(block, move.to());
            entries.add(block, 1);
        }
        int holder = unstoredBlock();
        if (holder != NO_BLOCK) {
            hold(holder);
        }
        blocks.bat().write(entries.build());
        file.sync();
        blocks.moved();
        if (holder != NO_BLOCK) {
            dismiss(holder);
        }
    }

    /**
     * @return a block that is not stored; {@link #NO_BLOCK} if there is none, so that no new one can come, and for a differencing
     *     disk, whose blocks say by their bitmaps what is in them
     */
    private int unstoredBlock() {
        if (blocks.isDifferencing() || blocks.dataEnd() > LARGEST_PLACE - 2 * header.slotSize()) {
            return NO_BLOCK;
        }
        for (int block = 0; block < blocks.bat().size() && (long) block * header.blockSize() < blocks.size().largest(); block++) {
            if (blocks.bat().place(block) < 0) {
                return block;
            }
        }
        return NO_BLOCK;
    }

    /** Gives a block a place of zeros behind all others. The file has its footer at the end all the time. */
    private void hold(int block) throws IOException {
        long end = blocks.dataEnd();
        int tail = tailLength();
        long place = end + Math.floorMod(-end - header.bitmapSize(), DATA_ALIGNMENT);
        file.write(place + header.slotSize(), blocks.footers().tail().duplicate().clear());
        file.sync();
        blank(end, end + tail);
        blocks.bat().move(block, place);
        blocks.bat().write(ExtentSet.ofRange(block, 1));
        file.sync();
    }

    /** Takes its place from a block that held the end. What lies between it and the others becomes zeros first. */
    private void dismiss(int block) throws IOException {
        blank(lastUsedEnd(ExtentSet.ofRange(block, 1)), blocks.bat().place(block));
        blocks.bat().clear(block);
        blocks.bat().write(ExtentSet.ofRange(block, 1));
        file.sync();
    }

    /** The footer follows the last block: its copy at the start, which is right all the time, bridges a cut. */
    @Override
    public void shorten(int index, long end) throws IOException {
        ByteBuffer tail = blocks.footers().tail().duplicate().clear();
        int length = tail.remaining();
        file.write(end, tail);
        file.sync();
        file.truncate(end + length);
        file.sync();
    }
}
