package io.lacuna.diskimage.write;

import java.io.IOException;

/** A raw disk: every byte at its own place, zeros as holes. */
final class RawWriter implements ImageWriter {

    private final OutputFile file;

    RawWriter(OutputFile file, long virtualSize) throws IOException {
        this.file = file;
        // At once: to the host, every write behind the end would be a change of the length as well.
        file.setLength(virtualSize);
    }

    @Override
    public void write(Chunk chunk) throws IOException {
        file.write(chunk.offset(), chunk, 0, chunk.length());
    }

    @Override
    public void finish() {
        // All is in its place.
    }
}
