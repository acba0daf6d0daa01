package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Extent;
import java.io.IOException;
import java.nio.ByteBuffer;

/** The disk as its guest reads it: what the image stores, else what the parent has, else zeros. */
final class VhdGuest implements BlockSource {

    private static final byte[] ZEROS = new byte[1 << 16];

    private final VhdBlocks blocks;
    private final BlockSource parent;

    /** @param parent null for a dynamic disk */
    VhdGuest(VhdBlocks blocks, BlockSource parent) {
        this.blocks = blocks;
        this.parent = parent;
    }

    @Override
    public long size() {
        return blocks.virtualSize();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), size());
        if (!target.hasRemaining()) {
            return;
        }
        int limit = target.limit();
        int start = target.position();
        blocks.forEachStored(new Extent(offset, target.remaining()), (guest, file, host, length) -> {
            fill(offset, start, target, guest);
            target.limit((int) (start + guest - offset + length));
            blocks.file().read(host, target);
            target.limit(limit);
        });
        fill(offset, start, target, offset + limit - start);
    }

    /** Fills the target up to a byte of the disk with what the image does not store. */
    private void fill(long offset, int start, ByteBuffer target, long end) throws IOException {
        int limit = target.limit();
        long at = offset + target.position() - start;
        if (parent != null && at < Math.min(end, parent.size())) {
            target.limit((int) (start + Math.min(end, parent.size()) - offset));
            parent.read(at, target);
            target.limit(limit);
        }
        for (int left = (int) (start + end - offset) - target.position(); left > 0; left -= ZEROS.length) {
            target.put(ZEROS, 0, Math.min(left, ZEROS.length));
        }
    }

    @Override
    public void prefetch(long offset, long length) {
        if (offset < 0 || length <= 0 || offset >= size()) {
            return;
        }
        try {
            blocks.forEachStored(new Extent(offset, Math.min(length, size() - offset)),
                    (guest, file, host, bytes) -> blocks.file().prefetch(host, bytes));
        } catch (IOException unreadable) {
            // Reading it will tell.
        }
    }
}
