package io.lacuna.engine.proof;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.NoSuchAlgorithmException;
import java.util.Base64;
import java.util.Set;

/** Makes key files: PEM, the private key as PKCS#8, the public one as SubjectPublicKeyInfo, as OpenSSL writes and reads them. */
public final class KeyFiles {

    private static final int LINE = 64;

    private KeyFiles() {
    }

    /** @return the name of the public key that belongs to a private one's */
    public static Path publicKeyOf(Path key) {
        return key.resolveSibling(key.getFileName() + ".pub");
    }

    /**
     * Makes an Ed25519 key: the private one for its owner's eyes only, the public one beside it. Never replaces anything.
     *
     * @return the SHA-256 of the public key, which the reports signed by it name
     * @throws FileAlreadyExistsException if one of the two files is there; nothing was written
     */
    public static String generate(Path key) throws IOException {
        Path publicKey = publicKeyOf(key);
        if (Files.exists(publicKey, LinkOption.NOFOLLOW_LINKS)) {
            throw new FileAlreadyExistsException(publicKey.toString());
        }
        KeyPair pair;
        try {
            pair = KeyPairGenerator.getInstance("Ed25519").generateKeyPair();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("Java has Ed25519 since 15", e);
        }
        write(key, "PRIVATE KEY", pair.getPrivate().getEncoded(), "rw-------");
        write(publicKey, "PUBLIC KEY", pair.getPublic().getEncoded(), "rw-r--r--");
        try (FileChannel directory = FileChannel.open(key.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
            directory.force(true);
        }
        return Crypto.fingerprint(pair.getPublic().getEncoded());
    }

    private static void write(Path file, String label, byte[] der, String permissions) throws IOException {
        String text = "-----BEGIN " + label + "-----\n" + Base64.getMimeEncoder(LINE, new byte[] {'\n'}).encodeToString(der)
                + "\n-----END " + label + "-----\n";
        FileAttribute<?> mode = PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions));
        try (FileChannel channel = FileChannel.open(file, Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE), mode)) {
            ByteBuffer bytes = ByteBuffer.wrap(text.getBytes(StandardCharsets.US_ASCII));
            while (bytes.hasRemaining()) {
                channel.write(bytes);
            }
            channel.force(true);
        }
    }
}
