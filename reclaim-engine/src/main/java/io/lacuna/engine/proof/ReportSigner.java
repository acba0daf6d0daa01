package io.lacuna.engine.proof;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;

/** Signs reports with one key. The signature is detached and goes over the exact bytes of the report's file. */
public interface ReportSigner {

    /**
     * Reads a key and tries it, so that a run never finds out at its end that it cannot sign.
     *
     * @param key a PEM file with an Ed25519 key (PKCS#8): a raw signature of 64 bytes. A PEM file with a key and its certificate,
     *     or a PKCS#12 file; RSA, ECDSA or Ed25519; with or without the certificates above it: CMS. The certificate must be valid
     *     now, and one that may sign documents
     * @param password of the key; null if there is none
     * @throws IllegalArgumentException if no key can be made of it, in a sentence for the user
     * @throws IOException if it cannot be read
     */
    static ReportSigner load(Path key, char[] password) throws IOException {
        SigningKey material = SigningKey.read(key, password);
        if (material.chain().isEmpty()) {
            return Ed25519Signer.of(key, material.key());
        }
        ReportSigner signer = CmsSigner.of(key, material);
        signer.sign(key);
        return signer;
    }

    /** @return what the name of a report's signature file has behind that of the report: ".sig" or ".p7s" */
    String suffix();

    /** @return who signs, for the report: the fields of "signedBy" */
    Map<String, String> description();

    /** @return the content of the signature file for this file */
    byte[] sign(Path report) throws IOException;
}
