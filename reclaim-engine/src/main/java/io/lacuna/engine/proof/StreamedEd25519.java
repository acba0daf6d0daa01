package io.lacuna.engine.proof;

import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.security.SecureRandom;
import java.util.Arrays;

/**
 * Ed25519 (RFC 8032, section 5.1; the pure kind) over a report that is read and never held. The libraries want the message in
 * one piece of memory, for its digest is taken twice when it is signed; the signatures are the same.
 */
final class StreamedEd25519 {

    static final int SIGNATURE_SIZE = 64;

    private static final int HALF = EdwardsPoint.SIZE;
    private static final int BUFFER = 1 << 16;
    /** Bits of the random numbers by which secret ones are hidden from whoever can time the arithmetic. */
    private static final int BLINDING = 128;

    private StreamedEd25519() {
    }

    /** @param seed the 32 bytes of the private key @param publicKey that belong to it */
    static byte[] sign(byte[] seed, byte[] publicKey, ReportContent message) throws IOException {
        byte[] expanded = sha512().digest(seed);
        BigInteger secret = EdwardsPoint.number(pruned(expanded));
        // Two signatures with the same first and another second digest would tell the key: what is read here is the same each
        // time, or there is no signature.
        byte[] prefix = Arrays.copyOfRange(expanded, HALF, 2 * HALF);
        BigInteger once = EdwardsPoint.number(digest(message, prefix)).mod(EdwardsPoint.ORDER);
        byte[] point = EdwardsPoint.BASE.times(blinded(once)).encode();
        BigInteger challenge = EdwardsPoint.number(digest(message, point, publicKey)).mod(EdwardsPoint.ORDER);
        BigInteger answer = blinded(secret).multiply(challenge).add(blinded(once)).mod(EdwardsPoint.ORDER);
        byte[] signature = Arrays.copyOf(point, SIGNATURE_SIZE);
        System.arraycopy(EdwardsPoint.littleEndian(answer), 0, signature, HALF, HALF);
        return signature;
    }

    /** @return whether the signature is this key's for this message */
    static boolean verifies(byte[] publicKey, ReportContent message, byte[] signature) throws IOException {
        EdwardsPoint key = EdwardsPoint.decode(publicKey);
        BigInteger answer = EdwardsPoint.number(Arrays.copyOfRange(signature, HALF, SIGNATURE_SIZE));
        byte[] point = Arrays.copyOf(signature, HALF);
        BigInteger challenge = EdwardsPoint.number(digest(message, point, publicKey)).mod(EdwardsPoint.ORDER);
        return signature.length == SIGNATURE_SIZE && key != null && answer.compareTo(EdwardsPoint.ORDER) < 0
                && Arrays.equals(point, EdwardsPoint.BASE.times(answer).plus(key.negated().times(challenge)).encode());
    }

    private static byte[] pruned(byte[] expanded) {
        byte[] scalar = Arrays.copyOf(expanded, HALF);
        scalar[0] &= (byte) 0xF8;
        scalar[HALF - 1] = (byte) (scalar[HALF - 1] & 0x7F | 0x40);
        return scalar;
    }

    /** @return another number that does the same */
    private static BigInteger blinded(BigInteger number) {
        BigInteger random = new BigInteger(BLINDING, new SecureRandom()).setBit(BLINDING);
        return number.add(random.multiply(EdwardsPoint.ORDER));
    }

    private static byte[] digest(ReportContent message, byte[]... before) throws IOException {
        MessageDigest sha = sha512();
        for (byte[] part : before) {
            sha.update(part);
        }
        byte[] buffer = new byte[BUFFER];
        try (InputStream in = message.stream()) {
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                sha.update(buffer, 0, count);
            }
        }
        return sha.digest();
    }

    private static MessageDigest sha512() {
        try {
            return MessageDigest.getInstance("SHA-512");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-512", e);
        }
    }
}
