package io.lacuna.blockio;

import java.nio.ByteBuffer;
import java.util.zip.CRC32C;

/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) with a chosen start value and without the final inversion, as
 * ext4 and JBD2 use it. The bytes go through the JDK's CRC32C, which the virtual machine maps to the processor's
 * instruction; the start value is worked in afterwards, for a CRC is linear in it.
 */
public final class Crc32c {

    private static final int POLYNOMIAL = 0x82F6_3B78;

    private Crc32c() {
    }

    /**
     * @param seed the register before the first byte
     * @param buffer the bytes from its position to its limit; neither is changed
     * @return the register behind the last byte
     */
    public static int update(int seed, ByteBuffer buffer) {
        CRC32C standard = new CRC32C();
        int length = buffer.remaining();
        standard.update(buffer.duplicate());
        // standard = ~register(~0, bytes), and register(a, bytes) ^ register(b, bytes) = register(a ^ b, zeros).
        return ~(int) standard.getValue() ^ overZeros(~seed, length);
    }

    public static int update(int seed, byte[] bytes, int offset, int length) {
        return update(seed, ByteBuffer.wrap(bytes, offset, length));
    }

    /**
     * For many pieces of one length with one seed: what the seed adds depends on nothing else, so it is worked out once.
     * Not for several threads at once.
     */
    public static final class OfLength {
        private final CRC32C standard = new CRC32C();
        private final int ofSeed;
        private final int length;

        /**
         * @param seed the register before the first byte of every piece
         * @param length bytes of every piece, 0 or more
         */
        public OfLength(int seed, int length) {
            this.ofSeed = overZeros(~seed, length);
            this.length = length;
        }

        /**
         * @param buffer the bytes from its position on, at least as many as a piece has; it is not changed
         * @return the register behind the last byte
         */
        public int of(ByteBuffer buffer) {
            int position = buffer.position();
            int limit = buffer.limit();
            standard.reset();
            standard.update(buffer.limit(position + length));
            buffer.limit(limit).position(position);
            return ~(int) standard.getValue() ^ ofSeed;
        }

        /** @param bytes the piece begins at the first of them */
        public int of(byte[] bytes) {
            standard.reset();
            standard.update(bytes, 0, length);
            return ~(int) standard.getValue() ^ ofSeed;
        }
    }

    /** @return the common, inverted CRC-32C (seed ~0, final inversion), as VHDX and other formats store it */
    public static int of(ByteBuffer buffer) {
        CRC32C standard = new CRC32C();
        standard.update(buffer.duplicate());
        return (int) standard.getValue();
    }

    /** @return the register after {@code length} zero bytes: the register times x^(8 length) modulo the polynomial */
    private static int overZeros(int register, int length) {
        int result = register;
        int power = 0x0080_0000; // x^8 in reflected order: bit 31 is x^0
        for (int n = length; n != 0 && result != 0; n >>>= 1) {
            if ((n & 1) != 0) {
                result = multiply(result, power);
            }
            power = multiply(power, power);
        }
        return result;
    }

    private static int multiply(int a, int b) {
        int product = 0;
        int shifted = b;
        for (int bit = 31; bit >= 0; bit--) {
            if ((a >>> bit & 1) != 0) {
                product ^= shifted;
            }
            shifted = (shifted >>> 1) ^ (POLYNOMIAL & -(shifted & 1));
        }
        return product;
    }
}
