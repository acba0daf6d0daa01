package io.lacuna.diskimage.vmdk;

import java.io.IOException;

/** A part of the disk, stored in one way. */
interface DiskPart {

    /** How a piece of the disk is stored. */
    enum Kind {
        /** Byte by byte. */
        STORED,
        /** As part of a deflated grain. */
        PACKED,
        /** Nowhere, for it is zeros. */
        ZERO,
        /** Not in this image: the parent shines through, or zeros. */
        NONE
    }

    /** Takes pieces. */
    @FunctionalInterface
    interface PieceVisitor {
        /**
         * @param part whose piece it is
         * @param guest byte of the disk where it begins
         * @param host byte of the part's file where it lies; for {@link Kind#PACKED} where the grain's data begin, else not used
         * @param length bytes of the disk, above 0
         */
        void piece(DiskPart part, Kind kind, long guest, long host, long length) throws IOException;
    }

    /** @return byte of the disk where it begins */
    long start();

    /** @return bytes of the disk */
    long length();

    /** @return index of its file; not used where nothing is stored */
    int file();

    /** Visits the pieces of a range of the disk that lies inside this part, in rising order. */
    void forEachPiece(long guest, long length, PieceVisitor visitor) throws IOException;

    /** @return the first byte of the disk behind it */
    default long end() {
        return start() + length();
    }
}
