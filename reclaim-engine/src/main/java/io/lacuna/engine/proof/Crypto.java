package io.lacuna.engine.proof;

import java.security.MessageDigest;
import java.util.HexFormat;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/** Bouncy Castle, for those who ask for it by name: it is not registered with Java, whose own providers stay as they are. */
final class Crypto {

    private static BouncyCastleProvider bouncyCastle;

    private Crypto() {
    }

    static synchronized BouncyCastleProvider bouncyCastle() {
        if (bouncyCastle == null) {
            bouncyCastle = new BouncyCastleProvider();
        }
        return bouncyCastle;
    }

    /** @return the SHA-256 of the bytes, in hexadecimal digits */
    static String fingerprint(byte[] bytes) {
        MessageDigest sha = MerkleTree.sha256();
        return HexFormat.of().formatHex(sha.digest(bytes));
    }
}
