package io.lacuna.engine.proof;

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.CertPathBuilder;
import java.security.cert.CertStore;
import java.security.cert.CollectionCertStoreParameters;
import java.security.cert.PKIXBuilderParameters;
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

    private final Set<TrustAnchor> anchors;

    private Trust(Set<TrustAnchor> anchors) {
        this.anchors = anchors;
    }

    /** @throws IllegalArgumentException if there is no certificate in the file, in a sentence for the user */
    static Trust in(Path file) throws IOException {
        Set<TrustAnchor> anchors = new HashSet<>();
        for (Object part : SigningKey.pemObjects(file, SmallFile.named(file))) {
            if (part instanceof X509CertificateHolder certificate) {
                try {
                    anchors.add(new TrustAnchor(plain(certificate), null));
                } catch (GeneralSecurityException e) {
                    throw SigningKey.unusable(file, String.valueOf(e.getMessage()));
                }
            }
        }
        if (anchors.isEmpty()) {
            throw SigningKey.unusable(file, "there is no certificate in it (PEM)");
        }
        return new Trust(anchors);
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
            for (TrustAnchor anchor : anchors) {
                if (anchor.getTrustedCert().equals(own)) {
                    own.checkValidity(at);
                    return null;
                }
            }
            List<X509Certificate> known = new ArrayList<>();
            for (X509CertificateHolder other : others) {
                known.add(plain(other));
            }
            X509CertSelector target = new X509CertSelector();
            target.setCertificate(own);
            PKIXBuilderParameters parameters = new PKIXBuilderParameters(anchors, target);
            parameters.setRevocationEnabled(false);
            parameters.setDate(at);
            parameters.addCertStore(CertStore.getInstance("Collection", new CollectionCertStoreParameters(known)));
            CertPathBuilder.getInstance("PKIX").build(parameters);
            return null;
        } catch (GeneralSecurityException e) {
            Throwable reason = e;
            while (reason.getCause() != null) {
                reason = reason.getCause();
            }
            return String.valueOf(reason.getMessage());
        }
    }
}
