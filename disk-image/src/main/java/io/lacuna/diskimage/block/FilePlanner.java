package io.lacuna.diskimage.block;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;

/**
 * Works out, for one file, which ranges become holes and what host storage goes.
 *
 * @param side the host's part of the file; null if it is not touched
 * @param pieces where the guest's free bytes are stored
 * @param blocks all that belongs to the blocks that are unmapped
 * @param unreferenced what nothing refers to and is to go, too
 * @param packing how the file becomes shorter; null if it does not
 * @param blockSize bytes of the guest's disk in a block, or more
 * @param free where the guest's free bytes are stored, piece by piece
 */
record FilePlanner(HostSide side, ExtentSet pieces, ExtentSet blocks, ExtentSet unreferenced, Packing packing,
        long blockSize, GuestPieces free) {

    /** @return ranges that will be holes when all is done */
    ExtentSet holes() {
        if (side == null) {
            return ExtentSet.EMPTY;
        }
        ExtentSet parts = pieces.minus(side.map().shared());
        if (packing == null) {
            return side.inward(parts.union(blocks).union(unreferenced));
        }
        ExtentSet.Builder left = ExtentSet.builder();
        for (BlockMove move : packing.moves()) {
            left.addAll(moved(move).unneeded());
        }
        return side.inward(parts.minus(blocks).minus(packing.sources()).union(packing.gaps(side.file().size()))
                .union(left.build()).union(behindNewEnd()));
    }

    /** What a host block holds behind the end that the file will have, if that lies inside of the block. */
    private ExtentSet behindNewEnd() {
        long end = newSize();
        return end >= side.file().size() ? ExtentSet.EMPTY
                : ExtentSet.ofRange(end, Math.floorMod(side.alignment() - end, side.granularity()));
    }

    private long newSize() {
        return packing.end() + packing.area().tail();
    }

    /** @return host storage that goes, by the places it has now; what of a moved block is not written again counts */
    ExtentSet released(ExtentSet holes) {
        if (side == null) {
            return ExtentSet.EMPTY;
        }
        if (packing == null) {
            return side.stored().intersect(holes);
        }
        ExtentSet.Builder gone = ExtentSet.builder();
        for (BlockMove move : packing.moves()) {
            gone.addAll(holes.intersect(new Extent(move.to(), packing.area().slotSize())).shift(move.from() - move.to()));
        }
        return side.stored().intersect(holes.minus(packing.targets()).minus(behindNewEnd()).union(blocks).union(gone.build()));
    }

    FilePlan plan(ExtentSet holes) {
        if (packing == null) {
            return new FilePlan(side, side.punches(holes, side.map().allocated().intersect(holes), side.file().size()),
                    side.stored().intersect(holes).totalBytes(), null);
        }
        ExtentSet.Builder written = ExtentSet.builder();
        for (BlockMove move : packing.moves()) {
            written.addAll(moved(move).written());
        }
        ExtentSet atTargets = side.hostBlocksOf(written.build());
        ExtentSet elsewhere = side.map().allocated().minus(packing.targets());
        long size = newSize();
        ExtentSet punches = side.punches(holes, elsewhere.union(atTargets).intersect(holes), side.file().size())
                .intersect(ExtentSet.ofRange(0, Math.min(size, side.file().size())));
        // What is stored now, less what will be.
        ExtentSet kept = ExtentSet.ofRange(0, size + Math.floorMod(-size, side.hostBlock()));
        ExtentSet overwritten = side.punchable() ? packing.targets() : ExtentSet.EMPTY;
        long after = side.stored().minus(overwritten).union(atTargets).intersect(kept).minus(holes).totalBytes();
        return new FilePlan(side, punches, side.stored().totalBytes() - after, packing);
    }

    private MovedBlock moved(BlockMove move) {
        return MovedBlock.of(move, packing.area().slotSize(), blockSize, side, free);
    }

    /** @return host storage of what nothing referred to before the run, as far as it goes */
    long unreferencedBytes(ExtentSet holes) {
        if (side == null) {
            return 0;
        }
        return packing == null ? side.stored().intersect(holes).intersect(unreferenced).totalBytes()
                : side.stored().intersect(Unreferenced.of(packing.area(), side.file().size(), packing.used().union(blocks)))
                        .totalBytes();
    }
}
