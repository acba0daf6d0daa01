package io.lacuna.engine.proof;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;

/** Files of keys, certificates, signatures and time stamps: read as far as such a file can go, whatever else lies in its place. */
final class SmallFile {

    /** Ours, in bytes: far more than keys and certificates take. */
    private static final int MAX_SIZE = 1 << 20;

    private SmallFile() {
    }

    /**
     * @param file named by the caller; may be a pipe
     * @throws IllegalArgumentException if it is too large, in a sentence for the user
     */
    static byte[] named(Path file) throws IOException {
        byte[] bytes = atMost(file);
        if (bytes == null) {
            throw SigningKey.unusable(file, "it is too large for keys and certificates");
        }
        return bytes;
    }

    /**
     * @param file named by nobody, so that whoever has laid it there may have laid anything there
     * @return its content; null if it is no regular file, or larger than a signature
     */
    static byte[] found(Path file) throws IOException {
        return Files.isRegularFile(file) ? atMost(file) : null;
    }

    private static byte[] atMost(Path file) throws IOException {
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = in.readNBytes(MAX_SIZE + 1);
            return bytes.length > MAX_SIZE ? null : bytes;
        }
    }
}
