package io.lacuna.engine.proof;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PublicKey;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.List;
import java.util.Map;
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

    /** Clocks that are set from one another differ by less. */
    private static final long CLOCKS_DIFFER_SECONDS = 300;

    private final ReportContent content;
    private final List<String> sentences = new ArrayList<>();
    /** Who has signed: a field of "signedBy", and its value. */
    private Map.Entry<String, String> signer;
    /** When that was, by somebody who is trusted; null if nobody tells. */
    private Date stamped;

    private SignatureCheck(ReportContent content) {
        this.content = content;
    }

    /**
     * What the caller believes; each file in PEM, and null if it was not named. Everything named must hold.
     *
     * @param publicKey the signer's key: the only one that may have signed
     * @param authorities certificates of the signer, or of those who certify signers
     * @param stampAuthorities certificates of time-stamp authorities, or of those who certify them: then there must be a stamp;
     *     null: those of the signer, for a stamp that may be there
     */
    public record Trusted(Path publicKey, Path authorities, Path stampAuthorities) {

        /** @return whether nothing was named */
        public boolean isNobody() {
            return publicKey == null && authorities == null && stampAuthorities == null;
        }
    }

    /**
     * What came out.
     *
     * @param finding the worst that was found
     * @param sentences what was found, each a sentence
     * @param signer who has signed, a field of "signedBy" and its value; null unless the signature is good
     */
    public record Result(Finding finding, List<String> sentences, Map.Entry<String, String> signer) {

        /** @return why the report itself contradicts its signature, in a sentence; null if it does not */
        public String contradiction(ReadReport report) {
            if (report.signedBy() == null || signer == null || signer.getValue().equals(report.signedBy().get(signer.getKey()))) {
                return null;
            }
            return "this is not the signer that the report names: it was signed by " + signer.getKey() + " " + signer.getValue()
                    + ", and names " + report.signedBy();
        }
    }

    /**
     * @param trusted tells which of two is meant
     * @return the file of the report's signature; null if it has none
     */
    public static Path signatureOf(Path report, Trusted trusted) {
        boolean certified = trusted.authorities() != null && trusted.publicKey() == null;
        for (String suffix : certified ? List.of(CmsSigner.SUFFIX, Ed25519Signer.SUFFIX)
                : List.of(Ed25519Signer.SUFFIX, CmsSigner.SUFFIX)) {
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
     * @param stamp a time-stamp response or token; null for the one beside the report, if there is one
     * @throws IllegalArgumentException if a key or certificate is missing or cannot be used, in a sentence for the user
     * @throws IOException if a file cannot be read
     */
    public static Result run(Path report, ReportContent content, Path signature, Trusted trusted, Path stamp)
            throws IOException {
        SignatureCheck check = new SignatureCheck(content);
        Trust authorities = trusted.authorities() == null ? null : Trust.in(trusted.authorities());
        Trust stampAuthorities = trusted.stampAuthorities() == null ? authorities : Trust.in(trusted.stampAuthorities());
        boolean bare = signature.toString().endsWith(Ed25519Signer.SUFFIX);
        if (bare && trusted.publicKey() == null) {
            throw new IllegalArgumentException("the report was signed with a bare key: say --key FILE with the public one");
        }
        if (!bare && trusted.publicKey() == null && authorities == null) {
            throw new IllegalArgumentException("the report was signed with a certificate: say --ca FILE with one that you trust, "
                    + "or --key FILE with the signer's public key");
        }
        byte[] signed = SmallFile.found(signature);
        if (signed == null) {
            check.found(Finding.SIGNATURE_CHANGED, "the signature " + signature + " is not one: it is no regular file, or too "
                    + "large");
            return new Result(Finding.SIGNATURE_CHANGED, check.sentences, null);
        }
        Finding ofStamp = check.stamp(report, stamp, signed, stampAuthorities, trusted.stampAuthorities() != null);
        Finding ofSignature = bare ? check.bare(signed, Ed25519Signer.publicKey(trusted.publicKey()))
                : check.cms(signed, trusted.publicKey(), authorities, check.stamped == null ? new Date() : check.stamped);
        return new Result(ofSignature != Finding.GOOD ? ofSignature : ofStamp, List.copyOf(check.sentences),
                ofSignature == Finding.GOOD ? check.signer : null);
    }

    /**
     * @param named by the caller; null for the one that may lie beside the report
     * @param needed whether there must be one
     */
    private Finding stamp(Path report, Path named, byte[] signed, Trust authorities, boolean needed) throws IOException {
        Path file = named != null ? named : beside(report, TimeStamp.SUFFIX);
        if (named == null && !Files.exists(file)) {
            return needed ? found(Finding.TIME_STAMP_WRONG, "there is no time stamp beside it (" + file.getFileName() + ")")
                    : Finding.GOOD;
        }
        TimeStamp token = readStamp(file, named != null);
        Finding finding = token == null ? Finding.TIME_STAMP_WRONG : anyStamp(token, signed, authorities);
        // Only a time that somebody trusted has told makes a certificate count that has expired since.
        stamped = finding == Finding.GOOD && authorities != null ? token.time() : null;
        return finding;
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
            signer = Map.entry(Ed25519Signer.KEY, own);
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
            return read.signedBy() != null && read.signedBy().get(Ed25519Signer.KEY) instanceof String key ? key : null;
        } catch (IOException changedBeyondReading) {
            return null;
        }
    }

    /** @param keyFile the only key that may have signed; null for any that the authorities vouch for */
    private Finding cms(byte[] signature, Path keyFile, Trust authorities, Date at) throws IOException {
        List<PublicKey> expected = keyFile == null ? null : SigningKey.publicKeys(keyFile);
        try {
            CMSSignedData signed = new CMSSignedData(new Streamed(content), signature);
            Collection<SignerInformation> signers = signed.getSignerInfos().getSigners();
            if (signers.size() != 1) {
                return found(Finding.SIGNATURE_CHANGED, "the signature is not one of Lacuna: it has " + signers.size()
                        + " signers");
            }
            SignerInformation information = signers.iterator().next();
            Collection<X509CertificateHolder> own = signed.getCertificates().getMatches(selector(information));
            if (own.isEmpty()) {
                return found(Finding.SIGNATURE_CHANGED, "the signature lacks the certificate of its signer");
            }
            X509CertificateHolder certificate = own.iterator().next();
            PublicKey key = new JcaPEMKeyConverter().setProvider(Crypto.bouncyCastle())
                    .getPublicKey(certificate.getSubjectPublicKeyInfo());
            String unfit = CertificateUse.doubt(key);
            if (unfit != null) {
                return found(Finding.SIGNATURE_CHANGED, "the signature is not one of Lacuna: " + unfit);
            }
            // By the key alone: whether the certificate counts is asked below, with what the caller trusts.
            if (!information.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider(Crypto.bouncyCastle()).build(key))) {
                return found(Finding.SIGNATURE_CHANGED, "the signature was changed: it does not fit its own certificate");
            }
            Finding ofSigner = signer(certificate, key, expected, authorities, signed.getCertificates().getMatches(null), at);
            if (ofSigner != Finding.GOOD) {
                return ofSigner;
            }
            String weak = CertificateUse.weakness(information);
            if (weak != null) {
                return found(Finding.SIGNATURE_CHANGED, "the signature does not bind: it was made with " + weak);
            }
            signer = Map.entry(CmsSigner.CERTIFICATE, CmsSigner.fingerprint(certificate));
            return found(Finding.GOOD, "the signature is good: CMS, " + certificate.getSubject() + ", certificate "
                    + CmsSigner.fingerprint(certificate));
        } catch (CMSSignerDigestMismatchException e) {
            return found(Finding.REPORT_CHANGED, "the report was changed after it was signed: its digest is not the signed one");
        } catch (CMSException | OperatorCreationException | IOException | RuntimeException e) {
            return found(Finding.SIGNATURE_CHANGED, "the signature cannot be read: " + e.getMessage());
        }
    }

    /** @return whether he who has this certificate may sign, and is whom the caller means */
    private Finding signer(X509CertificateHolder certificate, PublicKey key, List<PublicKey> expected, Trust authorities,
            Collection<X509CertificateHolder> others, Date at) {
        if (expected != null && !expected.contains(key)) {
            return found(Finding.OTHER_KEY, "this is not the key: the report was signed by that of " + certificate.getSubject()
                    + ", certificate " + CmsSigner.fingerprint(certificate));
        }
        String unfit = CertificateUse.doubt(certificate);
        if (unfit != null) {
            return found(Finding.OTHER_KEY, "this is not a certificate to sign reports with: that of " + certificate.getSubject()
                    + " (" + unfit + ")");
        }
        String doubt = authorities == null ? null : authorities.doubt(certificate, others, at);
        return doubt == null ? Finding.GOOD : found(Finding.OTHER_KEY, "this is not the authority for the key: the certificate of "
                + certificate.getSubject() + " is not to be believed by it (" + doubt + ")");
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

    private TimeStamp readStamp(Path file, boolean named) throws IOException {
        byte[] bytes = named ? SmallFile.named(file) : SmallFile.found(file);
        try {
            if (bytes == null) {
                throw new IOException("it is no regular file, or too large");
            }
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
        Date now = new Date();
        if (token.time().toInstant().isAfter(now.toInstant().plusSeconds(CLOCKS_DIFFER_SECONDS))) {
            return found(Finding.TIME_STAMP_WRONG, "the time stamp is wrong: its time, " + CertificateUse.seconds(token.time())
                    + ", is still to come");
        }
        String when = CertificateUse.seconds(token.time()) + " by " + token.authority().getSubject();
        if (trust == null) {
            return found(Finding.GOOD, "the time stamp fits the signature: " + when + "; whether to believe that authority was not "
                    + "checked (say --timestamp-ca FILE with its certificate)");
        }
        String distrust = trust.doubt(token.authority(), token.certificates(), token.time());
        if (distrust != null) {
            return found(Finding.TIME_STAMP_WRONG, "the time stamp's authority " + token.authority().getSubject()
                    + " is not to be believed by the given certificates (" + distrust + ")");
        }
        String today = CertificateUse.doubt(token.authority(), now);
        return found(Finding.GOOD, "the time stamp is good: " + when + (today == null ? "" : "; of that authority's certificate, "
                + today + ", so the time is as good as its key has been kept since"));
    }
}
