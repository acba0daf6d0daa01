package io.lacuna.engine.proof;

import java.io.IOException;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.util.Map;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.crypto.params.AsymmetricKeyParameter;
import org.bouncycastle.crypto.params.Ed25519PrivateKeyParameters;
import org.bouncycastle.crypto.params.Ed25519PublicKeyParameters;
import org.bouncycastle.crypto.util.PrivateKeyFactory;
import org.bouncycastle.crypto.util.PublicKeyFactory;
import org.bouncycastle.crypto.util.SubjectPublicKeyInfoFactory;
import org.bouncycastle.math.ec.rfc8032.Ed25519;

/** Signs with a bare Ed25519 key (RFC 8032, the pure kind): the signature file is the 64 bytes of the signature. */
final class Ed25519Signer implements ReportSigner {

    static final String SUFFIX = ".sig";
    /** The field of {@link #description} with the SHA-256 of the key. */
    static final String KEY = "keySha256";
    static final int SIGNATURE_SIZE = Ed25519.SIGNATURE_SIZE;
    static final String ALGORITHM = "Ed25519";

    private final Ed25519PrivateKeyParameters key;

    private Ed25519Signer(Ed25519PrivateKeyParameters key) {
        this.key = key;
    }

    static Ed25519Signer of(Path file, PrivateKey key) throws IOException {
        AsymmetricKeyParameter parameters = PrivateKeyFactory.createKey(PrivateKeyInfo.getInstance(key.getEncoded()));
        if (parameters instanceof Ed25519PrivateKeyParameters ed25519) {
            return new Ed25519Signer(ed25519);
        }
        throw SigningKey.unusable(file, "without a certificate only an Ed25519 key can sign; put the key's certificate into the "
                + "same file, or make a key with 'lacuna keygen'");
    }

    @Override
    public String suffix() {
        return SUFFIX;
    }

    @Override
    public Map<String, String> description() {
        return Map.of("algorithm", ALGORITHM, KEY, fingerprint(key.generatePublicKey()));
    }

    @Override
    public byte[] sign(Path report) throws IOException {
        try (ReportContent content = ReportContent.open(report)) {
            // In one piece: the digest is taken twice, and no library signs what it does not hold.
            byte[] message = content.bytes();
            byte[] signature = new byte[SIGNATURE_SIZE];
            key.sign(Ed25519.Algorithm.Ed25519, null, message, 0, message.length, signature, 0);
            return signature;
        }
    }

    static boolean verifies(Ed25519PublicKeyParameters key, ReportContent content, byte[] signature) throws IOException {
        byte[] message = content.bytes();
        return key.verify(Ed25519.Algorithm.Ed25519, null, message, 0, message.length, signature, 0);
    }

    /** @return the SHA-256 of the key as a SubjectPublicKeyInfo in DER, in hexadecimal digits */
    static String fingerprint(Ed25519PublicKeyParameters key) {
        try {
            return Crypto.fingerprint(SubjectPublicKeyInfoFactory.createSubjectPublicKeyInfo(key).getEncoded("DER"));
        } catch (IOException e) {
            throw new IllegalStateException("32 bytes can be encoded", e);
        }
    }

    /** @throws IllegalArgumentException if there is no such key in the file, in a sentence for the user */
    static Ed25519PublicKeyParameters publicKey(Path file) throws IOException {
        for (Object part : SigningKey.pemObjects(file, SmallFile.named(file))) {
            if (part instanceof SubjectPublicKeyInfo info
                    && PublicKeyFactory.createKey(info) instanceof Ed25519PublicKeyParameters key) {
                return key;
            }
        }
        throw SigningKey.unusable(file, "there is no public Ed25519 key in it; 'lacuna keygen KEY' writes one to KEY.pub");
    }
}
