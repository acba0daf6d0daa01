package io.lacuna.engine.proof;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.cert.CertificateException;
import java.util.Date;
import java.util.Locale;
import java.util.Map;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSException;
import org.bouncycastle.cms.CMSProcessableFile;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.ContentVerifier;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaContentVerifierProviderBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;
import org.bouncycastle.util.CollectionStore;

/** Signs with a certified key: the signature file is a detached CMS SignedData (RFC 5652) in DER, with all certificates. */
final class CmsSigner implements ReportSigner {

    static final String SUFFIX = ".p7s";
    /** The field of {@link #description} with the SHA-256 of the certificate. */
    static final String CERTIFICATE = "certificateSha256";

    private final SigningKey key;
    private final X509CertificateHolder certificate;

    private CmsSigner(SigningKey key) {
        this.key = key;
        this.certificate = key.chain().get(0);
    }

    /** @throws IllegalArgumentException if nobody would believe what it signs, in a sentence for the user */
    static CmsSigner of(Path file, SigningKey key) {
        X509CertificateHolder certificate = key.chain().get(0);
        String doubt = CertificateUse.doubt(certificate);
        if (doubt == null) {
            doubt = CertificateUse.doubt(certificate, new Date());
        }
        if (doubt != null) {
            throw SigningKey.unusable(file, "the certificate of " + certificate.getSubject() + " signs no reports: " + doubt);
        }
        return new CmsSigner(key);
    }

    @Override
    public String suffix() {
        return SUFFIX;
    }

    @Override
    public Map<String, String> description() {
        return Map.of("algorithm", "CMS " + signatureName(key.key()), CERTIFICATE, fingerprint(certificate),
                "subject", certificate.getSubject().toString());
    }

    static String fingerprint(X509CertificateHolder certificate) {
        try {
            return Crypto.fingerprint(certificate.getEncoded());
        } catch (IOException e) {
            throw new IllegalStateException("what was parsed can be encoded", e);
        }
    }

    @Override
    public byte[] sign(Path report) throws IOException {
        try {
            ContentSigner signer = signer(key.key());
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            generator.addSignerInfoGenerator(new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder()
                    .setProvider(Crypto.bouncyCastle()).build()).build(signer, certificate));
            generator.addCertificates(new CollectionStore<>(key.chain()));
            return generator.generate(new CMSProcessableFile(report.toFile()), false).getEncoded("DER");
        } catch (OperatorCreationException | CMSException e) {
            throw new IOException("the report cannot be signed: " + e.getMessage(), e);
        }
    }

    private static ContentSigner signer(PrivateKey key) throws OperatorCreationException {
        return new JcaContentSignerBuilder(signatureName(key)).setProvider(Crypto.bouncyCastle()).build(key);
    }

    private static String signatureName(PrivateKey key) {
        return switch (key.getAlgorithm().toUpperCase(Locale.ROOT)) {
            case "RSA" -> "SHA256withRSA";
            case "EC", "ECDSA" -> "SHA256withECDSA";
            case "ED25519", "EDDSA" -> "Ed25519";
            default -> throw new IllegalArgumentException("a key of the kind " + key.getAlgorithm()
                    + " cannot sign reports; use Ed25519, RSA or ECDSA");
        };
    }

    /** @return whether what this key signs can be verified with that certificate */
    static boolean belongs(PrivateKey key, X509CertificateHolder certificate) {
        byte[] sample = {1, 2, 3};
        try {
            ContentSigner signer = signer(key);
            signer.getOutputStream().write(sample);
            ContentVerifier verifier = new JcaContentVerifierProviderBuilder().setProvider(Crypto.bouncyCastle())
                    .build(certificate).get(signer.getAlgorithmIdentifier());
            new ByteArrayInputStream(sample).transferTo(verifier.getOutputStream());
            return verifier.verify(signer.getSignature());
        } catch (IOException | OperatorCreationException | CertificateException e) {
            // A certificate of another kind of key.
            return false;
        }
    }
}
