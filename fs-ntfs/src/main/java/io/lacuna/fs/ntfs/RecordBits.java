package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;

/** $BITMAP of $MFT: one bit a file record, from the lowest of the first byte on; 1 is in use. Read in pieces. */
final class RecordBits {

    /** The attribute's type. */
    static final int BITMAP = 0xB0;
    private static final int PIECE = 64 << 10;

    /** Null if the bitmap is inside of its record. */
    private final NtfsStream stream;
    private final long size;
    private ByteBuffer piece = ByteBuffer.allocate(0);
    private long pieceStart;

    private RecordBits(NtfsStream stream, long size) {
        this.stream = stream;
        this.size = size;
    }

    /**
     * @param own the MFT's own record
     * @throws CorruptException if it has no such bitmap
     */
    static RecordBits of(MasterFileTable mft, FileRecord own) throws IOException {
        List<Attribute> pieces = mft.pieces(own, BITMAP, "");
        if (pieces.size() == 1 && pieces.get(0).isResident()) {
            Bytes value = pieces.get(0).value();
            RecordBits bits = new RecordBits(null, value.length());
            bits.piece = value.buffer();
            return bits;
        }
        NtfsStream stream = mft.stream(own, BITMAP, "");
        return new RecordBits(stream, Math.min(stream.validSize(), stream.dataSize()));
    }

    /** @return whether the record is marked as in use; false behind the end of the bitmap */
    boolean get(long record) throws IOException {
        long at = record >>> 3;
        if (at >= size) {
            return false;
        }
        if (at < pieceStart || at >= pieceStart + piece.limit()) {
            pieceStart = at - at % PIECE;
            piece = stream.read(pieceStart, (int) Math.min(PIECE, size - pieceStart));
        }
        return (piece.get((int) (at - pieceStart)) >>> (record & 7) & 1) != 0;
    }
}
