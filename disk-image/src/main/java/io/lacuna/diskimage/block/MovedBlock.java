package io.lacuna.diskimage.block;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;

/**
 * What of one block has to be written at its new place.
 *
 * @param live bytes of the new place that will hold something the guest or the format needs
 * @param unneeded bytes of the new place that hold nothing: free ones, and such as read as zeros without storage
 * @param written bytes of the new place that are written: the live ones, and what shares a host block with them, as zeros;
 *     where the host cannot punch, all that is not free
 * @param empty the rest, whole host blocks without storage
 */
record MovedBlock(ExtentSet live, ExtentSet unneeded, ExtentSet written, ExtentSet empty) {

    /**
     * @param slotSize bytes of the block in its file
     * @param blockSize bytes of the guest's disk that it holds, or more
     * @param side the host's part of the file, as it was before anything was written
     * @param free where the guest's free bytes are stored
     */
    static MovedBlock of(BlockMove move, long slotSize, long blockSize, HostSide side, GuestPieces free) {
        Extent from = new Extent(move.from(), slotSize);
        ExtentSet to = ExtentSet.ofRange(move.to(), slotSize);
        long distance = move.to() - move.from();
        ExtentSet dead = free.hostBytesOf(move.guestOffset(), blockSize, move.file()).intersect(from).shift(distance);
        ExtentSet live = side.map().allocated().intersect(from).shift(distance).minus(dead);
        ExtentSet unneeded = to.minus(live);
        if (!side.punchable()) {
            // What is free may be anything; what reads as zeros must go on doing so.
            ExtentSet empty = unneeded.minus(side.map().allocated()).inwardTo(side.hostBlock(), side.alignment());
            return new MovedBlock(live, unneeded, to.minus(empty).minus(dead), empty);
        }
        ExtentSet empty = unneeded.inwardTo(side.hostBlock(), side.alignment());
        return new MovedBlock(live, unneeded, to.minus(empty), empty);
    }
}
