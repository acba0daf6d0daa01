package io.lacuna.engine.proof;

import java.security.PublicKey;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.EdECPublicKey;
import java.security.interfaces.RSAPublicKey;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Arrays;
import java.util.Date;
import java.util.Set;
import java.util.regex.Pattern;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.RSASSAPSSparams;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.DefaultCMSSignatureAlgorithmNameGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.jcajce.interfaces.EdDSAKey;
import org.bouncycastle.operator.DefaultAlgorithmNameFinder;

/** What a certificate says that its key is for, and whether what was signed by it still binds. */
final class CertificateUse {

    /**
     * Purposes (RFC 5280, 4.2.1.12) of somebody who signs documents: any, mail, code, documents (RFC 9336), and those of Microsoft
     * and Adobe for the same. A server, a time-stamp authority or an OCSP responder signs no reports.
     */
    private static final Set<String> SIGNING = Set.of(KeyPurposeId.anyExtendedKeyUsage.getId(),
            KeyPurposeId.id_kp_emailProtection.getId(), KeyPurposeId.id_kp_codeSigning.getId(), "1.3.6.1.5.5.7.3.36",
            "1.3.6.1.4.1.311.10.3.12", "1.2.840.113583.1.1.5");
    /** Ours: longer ones serve only to keep whoever verifies busy. */
    private static final int MAX_RSA_MODULUS_BITS = 16384;
    private static final int MAX_RSA_EXPONENT_BITS = 64;
    /** Digests for which nobody can make two documents with one value. */
    private static final Set<ASN1ObjectIdentifier> STRONG = Set.of(NISTObjectIdentifiers.id_sha256, NISTObjectIdentifiers.id_sha384,
            NISTObjectIdentifiers.id_sha512, NISTObjectIdentifiers.id_sha512_256, NISTObjectIdentifiers.id_sha3_256,
            NISTObjectIdentifiers.id_sha3_384, NISTObjectIdentifiers.id_sha3_512, NISTObjectIdentifiers.id_shake256,
            NISTObjectIdentifiers.id_shake256_len);
    /** In the name of a signature's algorithm, which may be tied to a digest of its own. */
    private static final Pattern WEAK = Pattern.compile("MD[245]|SHA-?1|RIPEMD", Pattern.CASE_INSENSITIVE);

    private CertificateUse() {
    }

    /** @return why its key may sign no report, as part of a sentence; null if it may */
    static String doubt(X509CertificateHolder certificate) {
        KeyUsage usage = KeyUsage.fromExtensions(certificate.getExtensions());
        if (usage != null && !usage.hasUsages(KeyUsage.digitalSignature) && !usage.hasUsages(KeyUsage.nonRepudiation)) {
            return "its key usage allows no signatures";
        }
        ExtendedKeyUsage purposes = ExtendedKeyUsage.fromExtensions(certificate.getExtensions());
        if (purposes == null) {
            return null;
        }
        // A person's proof of who he is, if it is not a server's: those often have both.
        boolean person = purposes.hasKeyPurposeId(KeyPurposeId.id_kp_clientAuth)
                && !purposes.hasKeyPurposeId(KeyPurposeId.id_kp_serverAuth);
        return person || Arrays.stream(purposes.getUsages()).anyMatch(purpose -> SIGNING.contains(purpose.getId())) ? null
                : "its extended key usage is not that of somebody who signs documents";
    }

    /** @return why a key is not even tried, as part of a sentence; null if it is */
    static String doubt(PublicKey key) {
        if (key instanceof RSAPublicKey rsa) {
            return rsa.getModulus().bitLength() <= MAX_RSA_MODULUS_BITS
                    && rsa.getPublicExponent().bitLength() <= MAX_RSA_EXPONENT_BITS ? null
                    : "its RSA key is larger than any in use";
        }
        return key instanceof ECPublicKey || key instanceof EdDSAKey || key instanceof EdECPublicKey ? null
                : "its key is none of RSA, ECDSA or Ed25519";
    }

    /** @return why the certificate does not hold at a time, as part of a sentence; null if it does */
    static String doubt(X509CertificateHolder certificate, Date at) {
        if (at.before(certificate.getNotBefore())) {
            return "it is not valid before " + seconds(certificate.getNotBefore());
        }
        return at.after(certificate.getNotAfter()) ? "it has expired on " + seconds(certificate.getNotAfter()) : null;
    }

    static Instant seconds(Date date) {
        return date.toInstant().truncatedTo(ChronoUnit.SECONDS);
    }

    /** @return how it was signed, if that way does not bind any more; else null */
    static String weakness(SignerInformation signer) {
        String digest = weakness(signer.getDigestAlgorithmID().getAlgorithm());
        if (digest != null) {
            return digest;
        }
        AlgorithmIdentifier algorithm = signer.toASN1Structure().getDigestEncryptionAlgorithm();
        if (algorithm.getAlgorithm().equals(PKCSObjectIdentifiers.id_RSASSA_PSS)) {
            return weakness(RSASSAPSSparams.getInstance(algorithm.getParameters()).getHashAlgorithm().getAlgorithm());
        }
        String name = new DefaultCMSSignatureAlgorithmNameGenerator().getSignatureName(signer.getDigestAlgorithmID(), algorithm);
        return isWeak(name) ? name : null;
    }

    /** @return whether a signature's algorithm is tied to a digest that does not bind any more */
    static boolean isWeak(String signatureName) {
        return WEAK.matcher(signatureName).find();
    }

    /** @return the name of a digest for which somebody may be able to make two documents with one value; else null */
    static String weakness(ASN1ObjectIdentifier digest) {
        return STRONG.contains(digest) ? null : new DefaultAlgorithmNameFinder().getAlgorithmName(digest);
    }
}
