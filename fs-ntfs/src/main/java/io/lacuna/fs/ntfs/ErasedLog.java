package io.lacuna.fs.ntfs;

import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;

/**
 * The rest of a $LogFile that begins with 0xFF: it must go on so to its end, or it is in doubt. That is up to some ten megabytes to
 * read, so another thread does it while the file records are read.
 */
final class ErasedLog {

    private static final int CHUNK = 1 << 20;

    private final FutureTask<Void> reading;

    /** @param checked bytes from the start that are known to be 0xFF */
    ErasedLog(NtfsStream log, int checked) {
        reading = new FutureTask<>(() -> {
            requireErased(log, checked);
            return null;
        });
        Thread thread = new Thread(reading, "journal");
        thread.setDaemon(true);
        thread.start();
    }

    /**
     * Waits for the answer.
     *
     * @throws UnsafeException if there is something else than 0xFF
     * @throws IOException if it cannot be read
     */
    void finish() throws IOException {
        try {
            reading.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while $LogFile was being read");
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException failure) {
                throw failure;
            }
            throw new IllegalStateException(e.getCause());
        }
    }

    private static void requireErased(NtfsStream log, int checked) throws IOException {
        // Not announced ahead: the file records, which all else waits for, come first on their way from the disk.
        ByteBuffer chunk = ByteBuffer.allocateDirect((int) Math.min(CHUNK, log.dataSize()));
        for (long at = checked; at < log.dataSize(); at += chunk.limit()) {
            chunk.clear().limit((int) Math.min(CHUNK, log.dataSize() - at));
            log.read(at, chunk);
            if (!isErased(chunk.flip())) {
                throw new UnsafeException("the journal ($LogFile) of this NTFS volume is only partly erased; "
                        + LogFile.SHUT_DOWN);
            }
        }
    }

    /** All bytes are the same if each equals the next one, which the JVM compares many at a time. */
    static boolean isErased(ByteBuffer bytes) {
        int length = bytes.limit();
        return length == 0 || bytes.get(0) == (byte) 0xFF
                && bytes.slice(0, length - 1).mismatch(bytes.slice(1, length - 1)) < 0;
    }
}
