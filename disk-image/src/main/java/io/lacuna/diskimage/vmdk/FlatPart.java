package io.lacuna.diskimage.vmdk;

import java.io.IOException;

/**
 * A part whose bytes stand one after another in a file, or nowhere.
 *
 * @param file index of the file; -1 if it is zeros without a file
 * @param offset byte of the file where it begins
 */
record FlatPart(long start, long length, int file, long offset) implements DiskPart {

    static final int NO_FILE = -1;

    @Override
    public void forEachPiece(long guest, long count, PieceVisitor visitor) throws IOException {
        visitor.piece(this, file == NO_FILE ? Kind.ZERO : Kind.STORED, guest, offset + guest - start, count);
    }
}
