package io.lacuna.engine.proof;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PublicKey;
import java.time.temporal.ChronoUnit;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cms.CMSException;
import org.bouncycastle.cms.CMSProcessable;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignerDigestMismatchException;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.crypto.params.Ed25519PublicKeyParameters;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.util.Selector;

/** Checks the signature of a report, and its time stamp, against what the caller trusts. */
public final class SignatureCheck {

    private final ReportContent content;
    private final List<String> sentences = new ArrayList<>();

    private SignatureCheck(ReportContent content) {
        this.content = content;
    }

    /**
     * What came out.
     *
     * @param finding the worst that was found
     * @param sentences what was found, each a sentence
     */
    public record Result(Finding finding, List<String> sentences) {
    }

    /** @return the file of the report's signature; null if it has none */
    public static Path signatureOf(Path report) {
        for (String suffix : List.of(Ed25519Signer.SUFFIX, CmsSigner.SUFFIX)) {
            Path signature = beside(report, suffix);
            if (Files.exists(signature)) {
                return signature;
            }
        }
        return null;
    }

    static Path beside(Path report, String suffix) {
        return report.resolveSibling(report.getFileName() + suffix);
    }

    /**
     * @param content of the report
     * @param signature as {@link #signatureOf} found it
     * @param publicKey the signer's key in PEM; needed for a bare signature, null otherwise
     * @param ca trusted certificates in PEM; needed for a CMS signature, and to believe a time stamp; else null
     * @param stamp a time-stamp response or token; null for the one beside the report, if there is one
     * @throws IllegalArgumentException if a key or certificate is missing or cannot be used, in a sentence for the user
     * @throws IOException if a file cannot be read
     */
    public static Result run(Path report, ReportContent content, Path signature, Path publicKey, Path ca, Path stamp)
            throws IOException {
        SignatureCheck check = new SignatureCheck(content);
        byte[] signed = SigningKey.small(signature);
        Trust trust = ca == null ? null : Trust.in(ca);
        boolean bare = signature.toString().endsWith(Ed25519Signer.SUFFIX);
        if (bare && publicKey == null) {
            throw new IllegalArgumentException("the report was signed with a bare key: say --key FILE with the public one");
        }
        if (!bare && trust == null) {
            throw new IllegalArgumentException("the report was signed with a certificate: say --ca FILE with one that you trust");
        }
        Path stampFile = stamp != null ? stamp : beside(report, TimeStamp.SUFFIX);
        Date stamped = null;
        Finding ofStamp = Finding.GOOD;
        if (stamp != null || Files.exists(stampFile)) {
            TimeStamp token = check.readStamp(stampFile);
            ofStamp = token == null ? Finding.TIME_STAMP_WRONG : check.anyStamp(token, signed, trust);
            // Only a time that somebody trusted has told makes a certificate count that has expired since.
            stamped = ofStamp == Finding.GOOD && trust != null ? token.time() : null;
        }
        Finding ofSignature = bare ? check.bare(signed, Ed25519Signer.publicKey(publicKey))
                : check.cms(signed, trust, stamped == null ? new Date() : stamped);
        return new Result(ofSignature != Finding.GOOD ? ofSignature : ofStamp, List.copyOf(check.sentences));
    }

    private Finding found(Finding finding, String sentence) {
        sentences.add(sentence);
        return finding;
    }

    private Finding bare(byte[] signature, Ed25519PublicKeyParameters key) throws IOException {
        if (signature.length != Ed25519Signer.SIGNATURE_SIZE) {
            return found(Finding.SIGNATURE_CHANGED, "the signature is not one: it has " + signature.length + " bytes, not "
                    + Ed25519Signer.SIGNATURE_SIZE);
        }
        String own = Ed25519Signer.fingerprint(key);
        if (Ed25519Signer.verifies(key, content, signature)) {
            return found(Finding.GOOD, "the signature is good: Ed25519, key " + own);
        }
        String named = namedKey();
        if (named != null && !named.equals(own)) {
            return found(Finding.OTHER_KEY, "this is not the key: the report names " + named + ", this one is " + own
                    + "; ask the signer for his public key");
        }
        return found(Finding.REPORT_CHANGED, "the report was changed after it was signed, or its signature was: they do not fit"
                + " each other by the key that the report names");
    }

    /** @return the key that the report says it was signed by; null if that cannot be told */
    private String namedKey() {
        try (InputStream in = content.stream()) {
            ReadReport read = ReadReport.of(in);
            return read.signedBy() != null && read.signedBy().get("keySha256") instanceof String key ? key : null;
        } catch (IOException changedBeyondReading) {
            return null;
        }
    }

    private Finding cms(byte[] signature, Trust trust, Date at) {
        try {
            CMSSignedData signed = new CMSSignedData(new Streamed(content), signature);
            Collection<SignerInformation> signers = signed.getSignerInfos().getSigners();
            if (signers.size() != 1) {
                return found(Finding.SIGNATURE_CHANGED, "the signature is not one of Lacuna: it has " + signers.size()
                        + " signers");
            }
            SignerInformation signer = signers.iterator().next();
            Collection<X509CertificateHolder> own = signed.getCertificates().getMatches(selector(signer));
            if (own.isEmpty()) {
                return found(Finding.SIGNATURE_CHANGED, "the signature lacks the certificate of its signer");
            }
            X509CertificateHolder certificate = own.iterator().next();
            PublicKey key = new JcaPEMKeyConverter().setProvider(Crypto.bouncyCastle())
                    .getPublicKey(certificate.getSubjectPublicKeyInfo());
            // By the key alone: whether the certificate counts is asked below, with what the caller trusts.
            if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(Crypto.bouncyCastle()).build(key))) {
                return found(Finding.SIGNATURE_CHANGED, "the signature was changed: it does not fit its own certificate");
            }
            String doubt = trust.doubt(certificate, signed.getCertificates().getMatches(null), at);
            if (doubt != null) {
                return found(Finding.OTHER_KEY, "this is not the authority for the key: the certificate of "
                        + certificate.getSubject() + " is not to be believed by it (" + doubt + ")");
            }
            return found(Finding.GOOD, "the signature is good: CMS, " + certificate.getSubject() + ", certificate "
                    + CmsSigner.fingerprint(certificate));
        } catch (CMSSignerDigestMismatchException e) {
            return found(Finding.REPORT_CHANGED, "the report was changed after it was signed: its digest is not the signed one");
        } catch (CMSException | OperatorCreationException | IOException | RuntimeException e) {
            return found(Finding.SIGNATURE_CHANGED, "the signature cannot be read: " + e.getMessage());
        }
    }

    /** The report as Bouncy Castle reads it. */
    private record Streamed(ReportContent report) implements CMSProcessable {

        @Override
        public void write(OutputStream out) throws IOException {
            try (InputStream in = report.stream()) {
                in.transferTo(out);
            }
        }

        @Override
        public Object getContent() {
            return report;
        }
    }

    @SuppressWarnings("unchecked")
    private static Selector<X509CertificateHolder> selector(SignerInformation signer) {
        return signer.getSID();
    }

    private TimeStamp readStamp(Path file) throws IOException {
        byte[] bytes = SigningKey.small(file);
        try {
            return TimeStamp.read(bytes);
        } catch (IOException e) {
            found(Finding.TIME_STAMP_WRONG, "the time stamp " + file + " cannot be read: " + e.getMessage());
            return null;
        }
    }

    private Finding anyStamp(TimeStamp token, byte[] signature, Trust trust) {
        try {
            return stamp(token, signature, trust);
        } catch (RuntimeException e) {
            // The library reads certificates and attributes only when they are asked for, and complains unchecked.
            return found(Finding.TIME_STAMP_WRONG, "the time stamp cannot be read: " + e.getMessage());
        }
    }

    private Finding stamp(TimeStamp token, byte[] signature, Trust trust) {
        String doubt = token.doubt(signature);
        if (doubt != null) {
            return found(Finding.TIME_STAMP_WRONG, "the time stamp is wrong: " + doubt);
        }
        String when = token.time().toInstant().truncatedTo(ChronoUnit.SECONDS) + " by " + token.authority().getSubject();
        if (trust == null) {
            return found(Finding.GOOD, "the time stamp fits the signature: " + when + "; whether to believe that authority was not "
                    + "checked (say --ca FILE with its certificate)");
        }
        String distrust = trust.doubt(token.authority(), token.certificates(), token.time());
        return distrust == null ? found(Finding.GOOD, "the time stamp is good: " + when)
                : found(Finding.TIME_STAMP_WRONG, "the time stamp's authority " + token.authority().getSubject()
                        + " is not to be believed by the given certificates (" + distrust + ")");
    }
}
