package io.lacuna.diskimage.write;

import java.io.IOException;

/** A raw disk: every byte at its own place, zeros as holes. */
final class RawWriter implements ImageWriter {

    private final OutputFile file;
    private final long virtualSize;

    RawWriter(OutputFile file, long virtualSize) {
        this.file = file;
        this.virtualSize = virtualSize;
    }

    @Override
    public void write(Chunk chunk) throws IOException {
        file.write(chunk.offset(), chunk, 0, chunk.length());
    }

    @Override
    public void finish() throws IOException {
        file.setLength(virtualSize);
    }
}
