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
 * rest must read as zeros. So nothing may be left behind the last block. Blocks at the end are made zeros before the table lets go
 * of them, and the file ends behind the last block when the run does.
 */
final class VhdTable implements BlockTable {

    /** Hyper-V lets the data of blocks begin at multiples of this; where all do, it stays so. */
    private static final int DATA_ALIGNMENT = 4096;
    private static final int SECTOR = 512;
    private static final int BUFFER_SIZE = 1 << 20;

    private final VhdBlocks blocks;
    private final HostFile file;
    private final DynamicHeader header;
    private boolean unmapped;

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

    @Override
    public void begin(boolean changesTables) {
        unmapped = false;
    }

    @Override
    public void unmap(ExtentSet guestRanges) throws IOException {
        ExtentSet.Builder entries = ExtentSet.builder();
        ExtentSet.Builder slots = ExtentSet.builder();
        for (Extent range : guestRanges) {
            forEachBlock(range, (guest, guestLength, index, place, length) -> {
                entries.add(guest / header.blockSize(), 1);
                slots.add(place, length);
            });
        }
        ExtentSet numbers = entries.build();
        blank(slots.build().minus(ExtentSet.ofRange(0, lastUsedEnd(numbers))));
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

    /** Makes zeros of what the host stores of these ranges. */
    private void blank(ExtentSet ranges) throws IOException {
        if (ranges.isEmpty()) {
            return;
        }
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
        long start = structures.end(structures.count() - 1);
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
        blocks.bat().write(entries.build());
        file.sync();
        blocks.moved();
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
