package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;

/** The disk as the guest reads it, through its parent; neighbouring blocks in one read. */
final class VhdxGuest implements BlockSource {

    /** More pieces than this are not worth the fetching. */
    private static final int MAX_PREFETCHED = 256;

    private static final byte[] ZEROS = new byte[64 << 10];

    private final VhdxFile file;
    private final Pieces pieces;
    private final long size;
    private final BlockSource parent;

    /** @param parent the parent's guest bytes; null if there is none */
    VhdxGuest(VhdxFile file, Bat bat, BlockSource parent) {
        this.file = file;
        this.pieces = new Pieces(bat);
        this.size = bat.layout().virtualSize();
        this.parent = parent;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), size);
        try {
            pieces.forEach(offset, target.remaining(), (source, guest, host, length) -> {
                long stored = switch (source) {
                    case FILE -> readFrom(file, host, length, target);
                    case PARENT -> readFrom(parent, guest, Math.max(0, Math.min(length, parent.size() - guest)), target);
                    case ZEROS -> 0;
                };
                putZeros(target, length - stored);
            });
        } catch (DiskFormatException e) {
            throw e.in(file.host().path());
        }
    }

    private static long readFrom(BlockSource source, long offset, long length, ByteBuffer target) throws IOException {
        if (length > 0) {
            int limit = target.limit();
            target.limit(target.position() + (int) length);
            source.read(offset, target);
            target.limit(limit);
        }
        return length;
    }

    private static void putZeros(ByteBuffer target, long length) {
        for (long left = length; left > 0; left -= Math.min(left, ZEROS.length)) {
            target.put(ZEROS, 0, (int) Math.min(left, ZEROS.length));
        }
    }

    @Override
    public void prefetch(long offset, long length) {
        if (offset < 0 || offset >= size || length <= 0) {
            return;
        }
        int[] left = {MAX_PREFETCHED};
        try {
            pieces.forEach(offset, Math.min(length, size - offset), (source, guest, host, count) -> {
                if (left[0]-- == 0) {
                    throw new IOException("enough");
                }
                if (source == Pieces.Source.FILE) {
                    file.prefetch(host, count);
                } else if (source == Pieces.Source.PARENT) {
                    parent.prefetch(guest, count);
                }
            });
        } catch (IOException hintsNeverFail) {
            // The read that follows will tell.
        }
    }
}
