package io.lacuna.engine.proof;

import java.io.Closeable;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.MessageDigest;

/**
 * The bytes of one report, for all who read them: not held, for a report may list millions of ranges. Whoever reads them gets
 * those that were there at the opening, or an error: what is parsed is what was verified.
 */
public final class ReportContent implements Closeable {

    private static final int BUFFER = 1 << 16;

    private final Path path;
    private final FileChannel file;
    private final byte[] digest;

    private ReportContent(Path path, FileChannel file) throws IOException {
        this.path = path;
        this.file = file;
        MessageDigest sha = MerkleTree.sha256();
        ByteBuffer buffer = ByteBuffer.allocate(BUFFER);
        for (long at = 0; file.read(buffer.clear(), at) > 0; at += buffer.position()) {
            sha.update(buffer.array(), 0, buffer.position());
        }
        digest = sha.digest();
    }

    /** Reads a report once. */
    public static ReportContent open(Path path) throws IOException {
        FileChannel file = FileChannel.open(path, StandardOpenOption.READ);
        try {
            return new ReportContent(path, file);
        } catch (IOException | RuntimeException e) {
            file.close();
            throw e;
        }
    }

    /**
     * Reads it again, from its start. Nothing of it counts before the end was reached: that throws an exception if it is not
     * what was there at the opening. Closing goes to the end.
     */
    public InputStream stream() {
        return new Stream();
    }

    /**
     * @return all of it, for those who cannot do with less
     * @throws IOException also if it is larger than the memory that is left
     */
    byte[] bytes() throws IOException {
        long size = file.size();
        try (InputStream in = stream()) {
            byte[] bytes = new byte[Math.toIntExact(size)];
            if (in.readNBytes(bytes, 0, bytes.length) < bytes.length || in.read() >= 0) {
                throw new IOException(path + " was written to while it was read");
            }
            return bytes;
        } catch (OutOfMemoryError | ArithmeticException e) {
            throw new IOException("a report of " + size + " bytes is too large for a bare key, which needs all of it in memory; "
                    + "a key with a certificate does not", e);
        }
    }

    @Override
    public void close() throws IOException {
        file.close();
    }

    private final class Stream extends InputStream {

        private final MessageDigest sha = MerkleTree.sha256();
        private long position;
        private boolean ended;

        @Override
        public int read() throws IOException {
            byte[] single = new byte[1];
            return read(single, 0, 1) < 0 ? -1 : single[0] & 0xFF;
        }

        @Override
        public int read(byte[] target, int offset, int length) throws IOException {
            if (ended || length == 0) {
                return ended ? -1 : 0;
            }
            int count = file.read(ByteBuffer.wrap(target, offset, length), position);
            if (count > 0) {
                sha.update(target, offset, count);
                position += count;
                return count;
            }
            ended = true;
            if (!MessageDigest.isEqual(sha.digest(), digest)) {
                throw new IOException(path + " was written to while it was read");
            }
            return -1;
        }

        @Override
        public void close() throws IOException {
            if (!ended) {
                transferTo(OutputStream.nullOutputStream());
            }
        }
    }
}
