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

    @Test
    void manyPiecesOfOneLengthMatchTheDefinition() {
        Random random = new Random(8);
        byte[] bytes = new byte[5000];
        for (int length : new int[] {0, 1, 68, 4096}) {
            for (int seed : new int[] {0, ~0, random.nextInt()}) {
                Crc32c.OfLength crc = new Crc32c.OfLength(seed, length);
                for (int piece = 0; piece < 3; piece++) {
                    random.nextBytes(bytes);
                    int expected = bitwise(seed, bytes, 0, length);
                    assertEquals(expected, crc.of(bytes));
                    ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length + 3).put(3, bytes).position(3);
                    assertEquals(expected, crc.of(direct), "seed " + seed + ", length " + length);
                    assertEquals(3, direct.position());
                    assertEquals(bytes.length + 3, direct.limit());
                }
            }
        }
    }
}
