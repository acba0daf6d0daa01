package io.lacuna.engine.proof;

import java.math.BigInteger;

/**
 * A point of the curve edwards25519 in extended coordinates (RFC 8032, section 5.1.4): the affine x is X/Z, y is Y/Z, and
 * x*y is T/Z. Its formula of addition holds for all pairs of points, doubling included.
 */
record EdwardsPoint(BigInteger x, BigInteger y, BigInteger z, BigInteger t) {

    /** Bytes of an encoded point, or number. */
    static final int SIZE = 32;
    /** So many different multiples {@link #BASE} has. */
    static final BigInteger ORDER = BigInteger.TWO.pow(252)
            .add(new BigInteger("27742317777372353535851937790883648493"));

    private static final BigInteger ONE = BigInteger.ONE;
    private static final BigInteger PRIME = BigInteger.TWO.pow(255).subtract(BigInteger.valueOf(19));
    private static final BigInteger D = quotient(BigInteger.valueOf(-121665), BigInteger.valueOf(121666));
    private static final BigInteger ROOT_OF_MINUS_ONE = BigInteger.TWO.modPow(PRIME.subtract(ONE).shiftRight(2), PRIME);
    private static final EdwardsPoint NEUTRAL = new EdwardsPoint(BigInteger.ZERO, ONE, ONE, BigInteger.ZERO);
    private static final int SIGN = 0x80;

    /** Its y is 4/5, and its x is even. */
    static final EdwardsPoint BASE = decode(littleEndian(quotient(BigInteger.valueOf(4), BigInteger.valueOf(5))));

    private static BigInteger quotient(BigInteger dividend, BigInteger divisor) {
        return dividend.multiply(divisor.modInverse(PRIME)).mod(PRIME);
    }

    /** @param number from 0 to 2^256 - 1 */
    static byte[] littleEndian(BigInteger number) {
        byte[] bytes = new byte[SIZE];
        byte[] reversed = number.toByteArray();
        for (int i = 0; i < Math.min(SIZE, reversed.length); i++) {
            bytes[i] = reversed[reversed.length - 1 - i];
        }
        return bytes;
    }

    /** @return the number, not below 0 */
    static BigInteger number(byte[] littleEndian) {
        byte[] reversed = new byte[littleEndian.length];
        for (int i = 0; i < reversed.length; i++) {
            reversed[i] = littleEndian[reversed.length - 1 - i];
        }
        return new BigInteger(1, reversed);
    }

    /** @return the point, section 5.1.3; null if this is not the encoding of one */
    static EdwardsPoint decode(byte[] encoded) {
        byte[] bytes = encoded.clone();
        boolean odd = (bytes[SIZE - 1] & SIGN) != 0;
        bytes[SIZE - 1] &= ~SIGN;
        BigInteger y = number(bytes);
        if (y.compareTo(PRIME) >= 0) {
            return null;
        }
        BigInteger square = y.multiply(y);
        BigInteger ofX = quotient(square.subtract(ONE), D.multiply(square).add(ONE));
        BigInteger x = ofX.modPow(PRIME.add(BigInteger.valueOf(3)).shiftRight(3), PRIME);
        if (!x.multiply(x).mod(PRIME).equals(ofX)) {
            x = x.multiply(ROOT_OF_MINUS_ONE).mod(PRIME);
        }
        if (!x.multiply(x).mod(PRIME).equals(ofX) || x.signum() == 0 && odd) {
            return null;
        }
        x = x.testBit(0) == odd ? x : PRIME.subtract(x);
        return new EdwardsPoint(x, y, ONE, x.multiply(y).mod(PRIME));
    }

    byte[] encode() {
        byte[] bytes = littleEndian(quotient(y, z));
        if (quotient(x, z).testBit(0)) {
            bytes[SIZE - 1] |= (byte) SIGN;
        }
        return bytes;
    }

    EdwardsPoint negated() {
        return new EdwardsPoint(PRIME.subtract(x), y, z, PRIME.subtract(t));
    }

    EdwardsPoint plus(EdwardsPoint other) {
        BigInteger a = y.subtract(x).multiply(other.y.subtract(other.x));
        BigInteger b = y.add(x).multiply(other.y.add(other.x));
        BigInteger c = t.multiply(other.t).mod(PRIME).multiply(D).shiftLeft(1);
        BigInteger d = z.multiply(other.z).shiftLeft(1);
        BigInteger e = b.subtract(a).mod(PRIME);
        BigInteger f = d.subtract(c).mod(PRIME);
        BigInteger g = d.add(c).mod(PRIME);
        BigInteger h = b.add(a).mod(PRIME);
        return new EdwardsPoint(e.multiply(f).mod(PRIME), g.multiply(h).mod(PRIME), f.multiply(g).mod(PRIME),
                e.multiply(h).mod(PRIME));
    }

    /** @param factor not below 0; the steps depend on its length only */
    EdwardsPoint times(BigInteger factor) {
        EdwardsPoint sum = NEUTRAL;
        for (int bit = factor.bitLength() - 1; bit >= 0; bit--) {
            sum = sum.plus(sum);
            EdwardsPoint more = sum.plus(this);
            sum = factor.testBit(bit) ? more : sum;
        }
        return sum;
    }
}
