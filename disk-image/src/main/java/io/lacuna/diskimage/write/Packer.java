package io.lacuna.diskimage.write;

import java.util.Arrays;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.zip.Deflater;

/** Compresses blocks, in several threads at once. */
final class Packer {

    private final boolean raw;
    private final ConcurrentLinkedDeque<Deflater> idle = new ConcurrentLinkedDeque<>();

    /** @param raw deflate alone (RFC 1951); else in zlib's frame (RFC 1950) */
    Packer(boolean raw) {
        this.raw = raw;
    }

    /**
     * @param head bytes that the caller keeps free before the packed ones
     * @return the head, then the packed bytes; null if that takes more than {@code most} bytes
     */
    byte[] pack(byte[] block, int head, int most) {
        Deflater deflater = idle.pollFirst();
        if (deflater == null) {
            deflater = new Deflater(Deflater.DEFAULT_COMPRESSION, raw);
        }
        deflater.reset();
        deflater.setInput(block);
        deflater.finish();
        byte[] packed = new byte[most];
        int length = deflater.deflate(packed, head, most - head);
        boolean whole = deflater.finished();
        idle.addFirst(deflater);
        return whole ? Arrays.copyOf(packed, head + length) : null;
    }

    /** Frees the memory of zlib. No call may follow. */
    void end() {
        for (Deflater deflater = idle.pollFirst(); deflater != null; deflater = idle.pollFirst()) {
            deflater.end();
        }
    }
}
