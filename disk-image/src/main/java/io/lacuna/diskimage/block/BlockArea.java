package io.lacuna.diskimage.block;

import io.lacuna.blockio.ExtentSet;

/**
 * The part of a file in which blocks lie. What of it is neither a block's nor {@link #fixed} is unreferenced: nothing in the
 * image needs it, and blocks may be moved there.
 *
 * @param start first byte where a block may begin
 * @param slotSize bytes that one block takes, its own bitmap included
 * @param alignment bytes; a block that is moved begins at {@code start} plus a multiple of this. Blocks as found may begin
 *     anywhere
 * @param fixed bytes behind {@code start} that belong to something else and stay where they are
 * @param tail bytes at the file's end that follow the last block and move with the end (a footer); 0 if none
 */
public record BlockArea(long start, long slotSize, long alignment, ExtentSet fixed, long tail) {

    /** @throws IllegalArgumentException if a size makes no sense: a bug of the format, never data */
    public BlockArea {
        if (start < 0 || slotSize <= 0 || alignment <= 0 || tail < 0) {
            throw new IllegalArgumentException("no such area: start " + start + ", slots of " + slotSize + " at multiples of "
                    + alignment + ", tail " + tail);
        }
    }
}
