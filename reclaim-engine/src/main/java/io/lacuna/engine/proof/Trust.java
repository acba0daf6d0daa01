package io.lacuna.engine.proof;

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.Certificate;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
import java.security.cert.PKIXCertPathBuilderResult;
import java.security.cert.TrustAnchor;
import java.security.cert.X509CertSelector;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Date;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;

/** The certificates that the caller trusts. Whether one was revoked is not asked: that would need the network. */
final class Trust {

    /** Ours: chains and the tokens of time-stamp authorities have fewer, and all ways through them are tried. */
    private static final int MAX_CERTIFICATES = 8;
    private static final int KEY_CERT_SIGN = 5;

    private final Set<X509Certificate> trusted;

    private Trust(Set<X509Certificate> trusted) {
        this.trusted = trusted;
    }

    /** @throws IllegalArgumentException if there is no certificate in the file, in a sentence for the user */
    static Trust in(Path file) throws IOException {
        Set<X509Certificate> trusted = new HashSet<>();
        for (Object part : SigningKey.pemObjects(file, SmallFile.named(file))) {
            if (part instanceof X509CertificateHolder certificate) {
                try {
                    trusted.add(plain(certificate));
                } catch (GeneralSecurityException e) {
                    throw SigningKey.unusable(file, String.valueOf(e.getMessage()));
                }
            }
        }
        if (trusted.isEmpty()) {
            throw SigningKey.unusable(file, "there is no certificate in it (PEM)");
        }
        return new Trust(trusted);
    }

    private static X509Certificate plain(X509CertificateHolder certificate) throws GeneralSecurityException {
        return new JcaX509CertificateConverter().getCertificate(certificate);
    }

    /**
     * @param others certificates that may lie between it and a trusted one
     * @param at when it must have been valid
     * @return why the certificate is not to be believed; null if it is
     */
    String doubt(X509CertificateHolder certificate, Collection<X509CertificateHolder> others, Date at) {
        try {
            X509Certificate own = plain(certificate);
            if (trusted.contains(own)) {
                own.checkValidity(at);
                return null;
            }
            if (others.size() > MAX_CERTIFICATES) {
                return "there are " + others.size() + " certificates beside it";
            }
            Set<TrustAnchor> authorities = new HashSet<>();
            for (X509Certificate one : trusted) {
                if (isAuthority(one)) {
                    authorities.add(new TrustAnchor(one, null));
                }
            }
            if (authorities.isEmpty()) {
                return "it is none of them, and none of them is an authority's";
            }
            List<X509Certificate> known = new ArrayList<>();
            for (X509CertificateHolder other : others) {
                X509Certificate one = plain(other);
                String doubt = CertificateUse.doubt(one.getPublicKey());
                if (doubt != null) {
                    return doubt;
                }
                known.add(one);
            }
            return doubt(own, authorities, known, at);
        } catch (GeneralSecurityException e) {
            Throwable reason = e;
            while (reason.getCause() != null) {
                reason = reason.getCause();
            }
            return String.valueOf(reason.getMessage());
        }
    }

    private static String doubt(X509Certificate own, Set<TrustAnchor> authorities, List<X509Certificate> known, Date at)
            throws GeneralSecurityException {
        X509CertSelector target = new X509CertSelector();
        target.setCertificate(own);
        PKIXBuilderParameters parameters = new PKIXBuilderParameters(authorities, target);
        parameters.setRevocationEnabled(false);
        parameters.setDate(at);
        parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(known)));
        PKIXCertPathBuilderResult built = (PKIXCertPathBuilderResult) CertPathBuilder.getInstance("PKIX").build(parameters);
        // Java leaves both out: it takes an anchor as it is, and forbids weak digests to servers only.
        built.getTrustAnchor().getTrustedCert().checkValidity(at);
        for (Certificate one : built.getCertPath().getCertificates()) {
            if (one instanceof X509Certificate link && CertificateUse.isWeak(link.getSigAlgName())) {
                return "the certificate of " + link.getSubjectX500Principal() + " was signed with " + link.getSigAlgName();
            }
        }
        return null;
    }

    /** Java takes each anchor for one; but whoever is trusted to sign is not by that trusted to certify others. */
    private static boolean isAuthority(X509Certificate certificate) {
        boolean[] usage = certificate.getKeyUsage();
        boolean old = certificate.getVersion() == 1
                && certificate.getSubjectX500Principal().equals(certificate.getIssuerX500Principal());
        return (old || certificate.getBasicConstraints() >= 0) && (usage == null || usage[KEY_CERT_SIGN]);
    }
}
