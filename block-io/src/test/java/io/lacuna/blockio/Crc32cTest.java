package io.lacuna.blockio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.Test;

class Crc32cTest {

    /** The definition, a bit at a time. */
    private static int bitwise(int seed, byte[] bytes, int offset, int length) {
        int register = seed;
        for (int i = offset; i < offset + length; i++) {
            register ^= bytes[i] & 0xFF;
            for (int bit = 0; bit < 8; bit++) {
                register = (register >>> 1) ^ (0x82F6_3B78 & -(register & 1));
            }
        }
        return register;
    }

    @Test
    void knownAnswer() {
        byte[] digits = "123456789".getBytes(StandardCharsets.US_ASCII);
        assertEquals(0xE306_9283, Crc32c.of(ByteBuffer.wrap(digits)));
        assertEquals(~0xE306_9283, Crc32c.update(~0, digits, 0, 9));
    }

    @Test
    void anySeedAndLengthMatchTheDefinition() {
        Random random = new Random(7);
        byte[] bytes = new byte[5000];
        random.nextBytes(bytes);
        for (int length : new int[] {0, 1, 2, 3, 7, 8, 9, 63, 64, 65, 1023, 4096, 4999}) {
            for (int seed : new int[] {0, 1, ~0, 0x8000_0000, random.nextInt(), random.nextInt()}) {
                assertEquals(bitwise(seed, bytes, 1, length), Crc32c.update(seed, bytes, 1, length),
                        "seed " + seed + ", length " + length);
            }
        }
    }
}
