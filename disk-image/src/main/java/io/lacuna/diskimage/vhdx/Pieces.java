package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.CorruptException;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Cuts a guest range into pieces that lie in one place, as long as they get: what reading and mapping have in common. */
final class Pieces {

    private final Bat bat;
    private final BatLayout layout;

    Pieces(Bat bat) {
        this.bat = bat;
        this.layout = bat.layout();
    }

    /** Where a piece's bytes come from. */
    enum Source {
        FILE, PARENT, ZEROS
    }

    /** Takes the pieces. */
    interface Sink {

        /**
         * @param source whose bytes they are
         * @param guest byte of the guest's disk
         * @param host byte of the file; means nothing elsewhere
         * @param length bytes, above 0
         */
        void piece(Source source, long guest, long host, long length) throws IOException;
    }

    /** A piece that may still grow. */
    private static final class Piece {
        private Source source;
        private long guest;
        private long host;
        private long length;

        boolean continuedBy(Piece next) {
            return source == next.source && (source != Source.FILE || host + length == next.host);
        }
    }

    /** Goes through a range of the guest's disk in rising order; the range is inside the disk. */
    void forEach(long offset, long length, Sink sink) throws IOException {
        Piece pending = null;
        Piece next = new Piece();
        long end = offset + length;
        for (long position = offset; position < end;) { // Ends: every piece has at least one byte.
            find(position, end - position, next);
            position += next.length;
            if (pending == null) {
                pending = next;
                next = new Piece();
            } else if (pending.continuedBy(next)) {
                pending.length += next.length;
            } else {
                sink.piece(pending.source, pending.guest, pending.host, pending.length);
                Piece done = pending;
                pending = next;
                next = done;
            }
        }
        if (pending != null) {
            sink.piece(pending.source, pending.guest, pending.host, pending.length);
        }
    }

    private void find(long guest, long most, Piece piece) throws IOException {
        int block = layout.blockOf(guest);
        long within = guest - layout.guestOffset(block);
        piece.guest = guest;
        piece.length = Math.min(most, layout.guestLength(block) - within);
        BatEntry.State state = bat.state(block);
        if (state.isStored()) {
            piece.source = Source.FILE;
            piece.host = bat.place(block) + within;
            if (state == BatEntry.State.PARTIALLY_PRESENT) {
                cutAtBitmap(block, guest, piece);
            }
        } else {
            piece.source = state == BatEntry.State.NOT_PRESENT && bat.isDifferencing() ? Source.PARENT : Source.ZEROS;
        }
    }

    private void cutAtBitmap(int block, long guest, Piece piece) throws IOException {
        int chunk = block / layout.chunkRatio();
        long bitmap = bat.bitmapPlace(chunk);
        if (bitmap < 0) {
            throw new CorruptException("VHDX BAT entry " + layout.bitmapIndex(chunk),
                    bat.entryOffset(layout.bitmapIndex(chunk)), "a sector bitmap, for block " + block + " is there in part",
                    "none");
        }
        int sector = (int) (guest / layout.sectorSize() % BatLayout.CHUNK_SECTORS);
        long behind = (guest + piece.length - 1) / layout.sectorSize() + 1;
        int count = (int) (behind - guest / layout.sectorSize());
        long at = bitmap + sector / Byte.SIZE;
        ByteBuffer page = bat.pages().around(at);
        // A block's bits fill whole bytes of one page: a power of two of them, at most 64 KiB, at a multiple of their number.
        int first = (int) (at % TablePages.PAGE) * Byte.SIZE + sector % Byte.SIZE;
        int end = SectorBitmap.runEnd(page, first, first + count);
        long runEnd = (guest / layout.sectorSize() + (end - first)) * layout.sectorSize();
        piece.length = Math.min(piece.length, runEnd - guest);
        piece.source = SectorBitmap.isSet(page, first) ? Source.FILE : Source.PARENT;
    }
}
