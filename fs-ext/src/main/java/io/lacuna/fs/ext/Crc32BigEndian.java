package io.lacuna.fs.ext;

import java.nio.ByteBuffer;

/**
 * CRC-32 with the polynomial 0x04C11DB7, the highest bit first and no final inversion: what the first kind of journal
 * checksums uses.
 */
final class Crc32BigEndian {

    private static final int POLYNOMIAL = 0x04C1_1DB7;
    private static final int[] TABLE = new int[256];

    static {
        for (int i = 0; i < 256; i++) {
            int register = i << 24;
            for (int bit = 0; bit < 8; bit++) {
                register = (register << 1) ^ (POLYNOMIAL & register >> 31);
            }
            TABLE[i] = register;
        }
    }

    private Crc32BigEndian() {
    }

    /**
     * @param seed the register before the first byte
     * @param bytes from the position to the limit; neither is changed
     * @return the register behind the last byte
     */
    static int update(int seed, ByteBuffer bytes) {
        int register = seed;
        for (int i = bytes.position(); i < bytes.limit(); i++) {
            register = (register << 8) ^ TABLE[(register >>> 24) ^ (bytes.get(i) & 0xFF)];
        }
        return register;
    }
}
