package io.lacuna.engine.proof;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.cert.Certificate;
import java.security.cert.CertificateEncodingException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.openssl.PEMEncryptedKeyPair;
import org.bouncycastle.openssl.PEMException;
import org.bouncycastle.openssl.PEMKeyPair;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.openssl.jcajce.JceOpenSSLPKCS8DecryptorProviderBuilder;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.pkcs.PKCS8EncryptedPrivateKeyInfo;
import org.bouncycastle.pkcs.PKCSException;

/**
 * A private key and what certifies it.
 *
 * @param chain the key's own certificate first, then those above it; empty for a bare key
 */
record SigningKey(PrivateKey key, List<X509CertificateHolder> chain) {

    private static final int DER_SEQUENCE = 0x30;

    /**
     * @throws IllegalArgumentException if no key can be made of it, in a sentence for the user
     * @throws IOException if it cannot be read
     */
    static SigningKey read(Path file, char[] password) throws IOException {
        byte[] bytes = SmallFile.named(file);
        try {
            SigningKey found = bytes.length > 0 && bytes[0] == DER_SEQUENCE ? pkcs12(file, bytes, password)
                    : pem(file, bytes, password);
            return new SigningKey(found.key(), ordered(file, found));
        } catch (GeneralSecurityException | OperatorCreationException | PEMException e) {
            throw unusable(file, String.valueOf(e.getMessage()));
        }
    }

    static IllegalArgumentException unusable(Path file, String why) {
        return new IllegalArgumentException(file + " cannot be used: " + why);
    }

    private static SigningKey pem(Path file, byte[] bytes, char[] password) throws IOException, OperatorCreationException {
        PrivateKeyInfo key = null;
        List<X509CertificateHolder> certificates = new ArrayList<>();
        for (Object part : pemObjects(file, bytes)) {
            if (part instanceof X509CertificateHolder certificate) {
                certificates.add(certificate);
            } else if (part instanceof PEMKeyPair pair) {
                key = only(file, key, pair.getPrivateKeyInfo());
            } else if (part instanceof PrivateKeyInfo bare) {
                key = only(file, key, bare);
            } else if (part instanceof PKCS8EncryptedPrivateKeyInfo locked) {
                key = only(file, key, unlocked(file, locked, password));
            } else if (part instanceof PEMEncryptedKeyPair) {
                throw unusable(file, "its key is encrypted in OpenSSL's old way; convert it: openssl pkcs8 -topk8 -in KEY -out "
                        + "NEW");
            }
        }
        if (key == null) {
            throw unusable(file, "there is no private key in it; 'lacuna keygen KEY' makes one");
        }
        return new SigningKey(new JcaPEMKeyConverter().setProvider(Crypto.bouncyCastle()).getPrivateKey(key), certificates);
    }

    /**
     * @return the public keys in a file, bare or in certificates
     * @throws IllegalArgumentException if there is none, in a sentence for the user
     */
    static List<PublicKey> publicKeys(Path file) throws IOException {
        List<PublicKey> keys = new ArrayList<>();
        JcaPEMKeyConverter converter = new JcaPEMKeyConverter().setProvider(Crypto.bouncyCastle());
        try {
            for (Object part : pemObjects(file, SmallFile.named(file))) {
                if (part instanceof SubjectPublicKeyInfo info) {
                    keys.add(converter.getPublicKey(info));
                } else if (part instanceof X509CertificateHolder certificate) {
                    keys.add(converter.getPublicKey(certificate.getSubjectPublicKeyInfo()));
                }
            }
        } catch (PEMException e) {
            throw unusable(file, String.valueOf(e.getMessage()));
        }
        if (keys.isEmpty()) {
            throw unusable(file, "there is no public key in it (PEM)");
        }
        return keys;
    }

    /** @return what is in a PEM file, block by block */
    static List<Object> pemObjects(Path file, byte[] bytes) throws IOException {
        List<Object> parts = new ArrayList<>();
        try (PEMParser parser = new PEMParser(new StringReader(new String(bytes, StandardCharsets.ISO_8859_1)))) {
            for (Object part = parser.readObject(); part != null; part = parser.readObject()) {
                parts.add(part);
            }
        } catch (IOException | RuntimeException e) {
            throw unusable(file, "it is no sound PEM file (" + e.getMessage() + ")");
        }
        return parts;
    }

    private static PrivateKeyInfo only(Path file, PrivateKeyInfo first, PrivateKeyInfo next) {
        if (first != null) {
            throw unusable(file, "there are several private keys in it");
        }
        return next;
    }

    private static PrivateKeyInfo unlocked(Path file, PKCS8EncryptedPrivateKeyInfo locked, char[] password)
            throws OperatorCreationException {
        if (password == null) {
            throw unusable(file, "its key is encrypted; say --password-file FILE");
        }
        try {
            return locked.decryptPrivateKeyInfo(new JceOpenSSLPKCS8DecryptorProviderBuilder()
                    .setProvider(Crypto.bouncyCastle()).build(password));
        } catch (PKCSException e) {
            throw unusable(file, "the password does not open it");
        }
    }

    private static SigningKey pkcs12(Path file, byte[] bytes, char[] password) throws GeneralSecurityException, IOException {
        KeyStore store = KeyStore.getInstance("PKCS12");
        try {
            store.load(new ByteArrayInputStream(bytes), password == null ? new char[0] : password);
        } catch (IOException e) {
            throw unusable(file, password == null ? "it is no PEM file, and no PKCS#12 file without a password; say "
                    + "--password-file FILE if it has one" : "it is no PEM file, and no PKCS#12 file that the password opens");
        }
        SigningKey found = null;
        for (String alias : Collections.list(store.aliases())) {
            if (store.isKeyEntry(alias) && store.getKey(alias, password == null ? new char[0]
                    : password) instanceof PrivateKey key) {
                if (found != null) {
                    throw unusable(file, "there are several private keys in it");
                }
                found = new SigningKey(key, holders(store.getCertificateChain(alias)));
            }
        }
        if (found == null || found.chain().isEmpty()) {
            throw unusable(file, "there is no private key with a certificate in it");
        }
        return found;
    }

    private static List<X509CertificateHolder> holders(Certificate[] chain) throws CertificateEncodingException, IOException {
        List<X509CertificateHolder> holders = new ArrayList<>();
        for (Certificate certificate : chain == null ? new Certificate[0] : chain) {
            holders.add(new X509CertificateHolder(certificate.getEncoded()));
        }
        return holders;
    }

    /** @return the certificates, the key's own first */
    private static List<X509CertificateHolder> ordered(Path file, SigningKey found) {
        List<X509CertificateHolder> chain = new ArrayList<>(found.chain());
        for (X509CertificateHolder certificate : found.chain()) {
            if (CmsSigner.belongs(found.key(), certificate)) {
                chain.remove(certificate);
                chain.add(0, certificate);
                return List.copyOf(chain);
            }
        }
        if (!chain.isEmpty()) {
            throw unusable(file, "none of its certificates belongs to its private key");
        }
        return List.of();
    }
}
