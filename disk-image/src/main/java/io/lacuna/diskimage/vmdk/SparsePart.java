package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.DiskFormatException;
import java.io.IOException;

/**
 * A part in a sparse file.
 *
 * @param file index of the file
 * @param tables where its grains lie
 * @param header the header of a hosted sparse file; null for the other kinds
 * @param grains unpacks deflated grains; null if grains are stored as they are
 */
record SparsePart(long start, int file, GrainTables tables, SparseHeader header, PackedGrains grains) implements DiskPart {

    @Override
    public long length() {
        return tables.layout().capacity();
    }

    long grainSize() {
        return tables.layout().grainSize();
    }

    /** @return the number of the grain that holds a byte of the disk */
    long grain(long guest) {
        return (guest - start) / grainSize();
    }

    @Override
    public void forEachPiece(long guest, long count, PieceVisitor visitor) throws IOException {
        long size = grainSize();
        long end = guest + count;
        tables.forEachRun(grain(guest), grain(end - 1) + 1, (grain, grains, place) -> {
            long from = Math.max(guest, start + grain * size);
            long to = Math.min(end, start + (grain + grains) * size);
            if (place < 0) {
                visitor.piece(this, place == GrainLayout.ZERO ? Kind.ZERO : Kind.NONE, from, 0, to - from);
            } else if (this.grains == null) {
                visitor.piece(this, Kind.STORED, from, place + from - (start + grain * size), to - from);
            } else {
                for (long i = 0; i < grains; i++) {
                    long first = Math.max(from, start + (grain + i) * size);
                    visitor.piece(this, Kind.PACKED, first, place + i * size,
                            Math.min(to, start + (grain + i + 1) * size) - first);
                }
            }
        });
    }

    /** @return an error with the name of the part's file */
    <E extends DiskFormatException> E named(E error) {
        error.in(tables.file().path());
        return error;
    }
}
