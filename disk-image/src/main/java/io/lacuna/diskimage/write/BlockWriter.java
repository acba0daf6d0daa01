package io.lacuna.diskimage.write;

import java.io.IOException;

/** What VHD, VHDX and VDI share: a flat table of blocks, and the blocks that hold something one behind the other. */
abstract class BlockWriter implements ImageWriter {

    private final OutputFile file;
    private final long blockSize;
    /** By block of the disk: its place in the file, counted from 1; 0 for none. */
    private final int[] places;
    private int stored;

    /** @param blocks of the disk; the caller has bounded it */
    BlockWriter(OutputFile file, long blockSize, int blocks) {
        this.file = file;
        this.blockSize = blockSize;
        this.places = new int[blocks];
    }

    /** @return byte of the file where the data of the block at this place (from 0) begins */
    abstract long dataOffset(int place);

    /** Writes what belongs to a new block beside its data. */
    void blockAdded(int place) throws IOException {
    }

    @Override
    public final void write(Chunk chunk) throws IOException {
        int from = 0;
        while (from < chunk.length()) {
            long guest = chunk.offset() + from;
            int block = (int) (guest / blockSize);
            long within = guest % blockSize;
            int to = (int) Math.min(chunk.length(), from + (blockSize - within));
            if (!chunk.isZero(from, to)) {
                if (places[block] == 0) {
                    places[block] = ++stored;
                    blockAdded(stored - 1);
                }
                file.write(dataOffset(places[block] - 1) + within, chunk, from, to);
            }
            from = to;
        }
    }

    final OutputFile file() {
        return file;
    }

    final int blocks() {
        return places.length;
    }

    /** @return number of blocks in the file */
    final int stored() {
        return stored;
    }

    /** @return place of the block, from 0; -1 if it is not in the file */
    final int place(int block) {
        return places[block] - 1;
    }

    /** @return number of units of this size in a disk of that size */
    static long count(long size, long unit) {
        return size / unit + (size % unit == 0 ? 0 : 1);
    }

    /** @return the value, or the next multiple of the unit above it */
    static long up(long value, long unit) {
        return count(value, unit) * unit;
    }
}
