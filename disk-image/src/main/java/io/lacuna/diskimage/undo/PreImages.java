package io.lacuna.diskimage.undo;

import com.github.luben.zstd.Zstd;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.undo.UndoRecord.Phase;
import io.lacuna.diskimage.undo.UndoRecord.Type;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** Puts the old bytes of ranges into the undo file: data packed, zeros as a mere range. */
final class PreImages {

    /** The fastest one that packs at all: the run waits for it. */
    private static final int LEVEL = 1;
    private static final int PAGE = 4096;
    /** Zeros between data that are not worth a record of their own: packed they are a few bytes. */
    private static final int SHORT_GAP = 16 * PAGE;
    private static final byte[] ZEROS = new byte[PAGE];

    private final UndoWriter writer;
    private final byte[] bytes = new byte[UndoLayout.CHUNK];
    private final byte[] packed = new byte[(int) Zstd.compressBound(UndoLayout.CHUNK)];
    private Phase phase;
    private int file;
    private long zerosFrom;
    private long zerosTo;

    PreImages(UndoWriter writer) {
        this.writer = writer;
    }

    /**
     * Keeps a range.
     *
     * @param source the file; it is read in rising order
     * @param stored what of it the host stores: the rest is zeros and is not read
     */
    void keep(HostFile source, int index, Phase when, Extent range, ExtentSet stored) throws IOException {
        file = index;
        phase = when;
        zerosFrom = range.offset();
        zerosTo = range.offset();
        for (Extent part : withoutShortHoles(stored.intersect(range))) {
            zeros(part.offset());
            source.prefetch(part.offset(), Math.min(part.length(), 4L * UndoLayout.CHUNK));
            for (long at = part.offset(); at < part.end();) {
                int length = (int) Math.min(UndoLayout.CHUNK - at % UndoLayout.CHUNK, part.end() - at);
                source.read(at, ByteBuffer.wrap(bytes, 0, length));
                source.prefetch(at + 4L * UndoLayout.CHUNK, UndoLayout.CHUNK);
                chunk(at, length);
                at += length;
            }
        }
        zeros(range.end());
        flushZeros();
    }

    /** Keeps what a range is going to hold. @param content from its position to its limit */
    void keepNew(int index, Phase when, long offset, ByteBuffer content) throws IOException {
        file = index;
        phase = when;
        zerosFrom = offset;
        zerosTo = offset;
        ByteBuffer rest = content.duplicate();
        for (long at = offset; rest.hasRemaining();) {
            int length = (int) Math.min(UndoLayout.CHUNK - at % UndoLayout.CHUNK, rest.remaining());
            rest.get(bytes, 0, length);
            chunk(at, length);
            at += length;
        }
        flushZeros();
    }

    /** One packed record with a few zeros in it is smaller than two. */
    private static ExtentSet withoutShortHoles(ExtentSet parts) {
        ExtentSet.Builder merged = ExtentSet.builder();
        for (int i = 0; i < parts.count(); i++) {
            boolean near = i > 0 && parts.start(i) - parts.end(i - 1) < SHORT_GAP;
            long from = near ? parts.end(i - 1) : parts.start(i);
            merged.add(from, parts.end(i) - from);
        }
        return merged.build();
    }

    /** Splits what was read into data and zeros. */
    private void chunk(long offset, int length) throws IOException {
        int dataFrom = -1;
        int dataTo = 0;
        for (int at = 0; at < length; at += PAGE) {
            int end = Math.min(length, at + PAGE);
            if (!isZero(at, end)) {
                if (dataFrom >= 0 && at - dataTo >= SHORT_GAP) {
                    data(offset, dataFrom, dataTo);
                    dataFrom = at;
                }
                dataFrom = dataFrom < 0 ? at : dataFrom;
                dataTo = end;
            }
        }
        if (dataFrom >= 0) {
            data(offset, dataFrom, dataTo);
        }
        zeros(offset + length);
    }

    private boolean isZero(int from, int to) {
        return Arrays.equals(bytes, from, to, ZEROS, 0, to - from);
    }

    private void data(long chunkOffset, int from, int to) throws IOException {
        zeros(chunkOffset + from);
        flushZeros();
        int length = to - from;
        long size = Zstd.compressByteArray(packed, 0, packed.length, bytes, from, length, LEVEL);
        boolean packs = size < length;
        writer.append(packs ? Type.ZSTD : Type.STORED, file, phase, chunkOffset + from, length,
                packs ? ByteBuffer.wrap(packed, 0, (int) size) : ByteBuffer.wrap(bytes, from, length));
        zerosFrom = chunkOffset + to;
        zerosTo = zerosFrom;
    }

    private void zeros(long to) {
        zerosTo = Math.max(zerosTo, to);
    }

    private void flushZeros() throws IOException {
        if (zerosTo > zerosFrom) {
            writer.append(Type.ZERO, file, phase, zerosFrom, zerosTo - zerosFrom, ByteBuffer.allocate(0));
            zerosFrom = zerosTo;
        }
    }
}
