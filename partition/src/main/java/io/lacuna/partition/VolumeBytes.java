package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * The bytes of a volume where signatures stand: its start and its end, read at once, and single blocks elsewhere, read when
 * somebody looks there. A place outside of the volume holds nothing: no signature matches there and every field is 0.
 */
final class VolumeBytes {

    /** Holds the superblocks at 64 KiB and the descriptors of optical discs from 32 KiB on. */
    static final int START = 132 << 10;
    /** Holds what stands at most 257 sectors (DDF) or 128 KiB (MD 0.90) before the end. */
    static final int END = 132 << 10;
    private static final int BLOCK = 4096;

    private final BlockSource volume;
    private final List<Part> parts = new ArrayList<>();

    private record Part(long offset, ByteBuffer bytes) {

        boolean contains(long at, int length) {
            return at >= offset && at - offset <= bytes.limit() - length;
        }
    }

    VolumeBytes(BlockSource volume) throws IOException {
        this.volume = volume;
        read(0, Math.min(volume.size(), START));
        read(Math.max(0, volume.size() - END), Math.min(volume.size(), END));
    }

    long size() {
        return volume.size();
    }

    boolean has(long at, int length) {
        return at >= 0 && at <= size() - length;
    }

    /** @return whether these characters (ISO 8859-1) stand at this byte of the volume */
    boolean matches(long at, String characters) throws IOException {
        byte[] wanted = characters.getBytes(StandardCharsets.ISO_8859_1);
        if (!has(at, wanted.length)) {
            return false;
        }
        Part part = part(at, wanted.length);
        for (int i = 0; i < wanted.length; i++) {
            if (part.bytes.get((int) (at - part.offset) + i) != wanted[i]) {
                return false;
            }
        }
        return true;
    }

    int u8(long at) throws IOException {
        return (int) field(at, 1, ByteOrder.LITTLE_ENDIAN);
    }

    int u16(long at, ByteOrder order) throws IOException {
        return (int) field(at, 2, order);
    }

    long u32(long at, ByteOrder order) throws IOException {
        return field(at, 4, order);
    }

    /** @return all 64 bits; negative from 2^63 on */
    long s64(long at, ByteOrder order) throws IOException {
        return field(at, 8, order);
    }

    private long field(long at, int length, ByteOrder order) throws IOException {
        if (!has(at, length)) {
            return 0;
        }
        Part part = part(at, length);
        long value = 0;
        for (int i = 0; i < length; i++) {
            int index = order == ByteOrder.BIG_ENDIAN ? i : length - 1 - i;
            value = value << 8 | part.bytes.get((int) (at - part.offset) + index) & 0xFF;
        }
        return value;
    }

    private Part part(long at, int length) throws IOException {
        for (Part part : parts) {
            if (part.contains(at, length)) {
                return part;
            }
        }
        long from = at - at % BLOCK;
        long to = Math.min(size(), (at + length + BLOCK - 1) / BLOCK * BLOCK);
        return read(from, to - from);
    }

    private Part read(long offset, long length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate((int) length);
        volume.read(offset, bytes);
        Part part = new Part(offset, bytes.flip());
        parts.add(part);
        return part;
    }
}
