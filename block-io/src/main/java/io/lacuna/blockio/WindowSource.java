package io.lacuna.blockio;

import java.io.IOException;
import java.nio.ByteBuffer;

/** A part of another source. */
record WindowSource(BlockSource whole, long start, long size) implements BlockSource {

    WindowSource {
        if (start < 0 || size < 0 || start > whole.size() - size) {
            throw new IllegalArgumentException("window of " + size + " bytes at " + start + " of " + whole.size());
        }
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), size);
        whole.read(start + offset, target);
    }

    @Override
    public void prefetch(long offset, long length) {
        if (offset >= 0 && offset < size && length > 0) {
            whole.prefetch(start + offset, Math.min(length, size - offset));
        }
    }

    @Override
    public BlockSource window(long offset, long length) {
        if (offset < 0 || length < 0 || offset > size - length) {
            throw new IllegalArgumentException("window of " + length + " bytes at " + offset + " of " + size);
        }
        return new WindowSource(whole, start + offset, length);
    }
}
