package io.lacuna.diskimage.block;

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

    /** @return ranges that will be holes where they are now */
    ExtentSet holes() {
        if (side == null) {
            return ExtentSet.EMPTY;
        }
        ExtentSet parts = pieces.minus(side.map().shared());
        return side.inward(packing == null ? parts.union(blocks).union(unreferenced)
                : parts.minus(blocks).minus(packing.sources()).union(packing.gaps(side.file().size())));
    }

    /** @return host storage that goes, by the places it has now; what of a moved block is not written again counts */
    ExtentSet released(ExtentSet holes) {
        if (side == null) {
            return ExtentSet.EMPTY;
        }
        if (packing == null) {
            return side.stored().intersect(holes);
        }
        ExtentSet.Builder left = ExtentSet.builder();
        for (BlockMove move : packing.moves()) {
            left.addAll(moved(move).empty().shift(move.from() - move.to()));
        }
        return side.stored().intersect(holes.union(blocks).union(left.build()));
    }

    FilePlan plan(ExtentSet holes) {
        ExtentSet punches = side.punches(holes, side.map().allocated().intersect(holes));
        if (packing == null) {
            return new FilePlan(side, punches, side.stored().intersect(holes).totalBytes(), null);
        }
        // What is stored now, less what will be.
        long size = packing.end() + packing.area().tail();
        long rest = side.granularity() - 1 - Math.floorMod(size - 1, side.granularity());
        long after = side.stored().intersect(ExtentSet.ofRange(0, size + rest)).minus(packing.targets()).minus(holes)
                .totalBytes();
        for (BlockMove move : packing.moves()) {
            after += moved(move).written().totalBytes();
        }
        return new FilePlan(side, punches, Math.max(0, side.stored().totalBytes() - after), packing);
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
