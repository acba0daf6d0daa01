package io.lacuna.diskimage;

import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.Semaphore;
import java.util.function.IntSupplier;

/**
 * Has the host write out what is written to a file while more of it comes, so that the sync at its end has little left to
 * wait for. A help and no more: nothing is durable by it, and where the host does not know the call, nothing happens.
 */
public final class Writeback implements Closeable {

    private final Path path;
    private final IntSupplier descriptor;
    private final Runnable atEnd;
    private final Semaphore wanted = new Semaphore(0);
    private final Thread thread;
    private volatile boolean ended;
    private volatile Errno failure;

    private Writeback(Path path, IntSupplier descriptor, Runnable atEnd) {
        this.path = path;
        this.descriptor = descriptor;
        this.atEnd = atEnd;
        // In a thread of its own, for the call waits where the device's queue is full.
        this.thread = new Thread(this::run, "writeback");
        thread.setDaemon(true);
        thread.start();
    }

    /** @param file a regular file that this program writes */
    public static Writeback of(Path file) {
        int descriptor = LinuxHost.open(LinuxHost.bytes(file.toAbsolutePath()), LinuxHost.O_RDONLY | LinuxHost.O_CLOEXEC, 0);
        return new Writeback(file, () -> descriptor, descriptor < 0 ? () -> { } : () -> LinuxHost.close(descriptor));
    }

    /** @param file closes this before its descriptor */
    static Writeback of(NativeFile file) {
        return new Writeback(file.path(), file::number, () -> { });
    }

    /** @return why the host could not begin to write something out, which it may tell nobody else; null if all is well */
    Errno failure() {
        return failure;
    }

    /**
     * Begins nothing any more, and is to be called before the last sync.
     *
     * @throws IOException if the host could not begin to write something out, which it may tell nobody else
     */
    public void end() throws IOException {
        stop();
        if (failure != null) {
            throw failure.in(path, "sync_file_range");
        }
    }

    /**
     * Only begins to write, and waits for nothing: what the device cannot store the next sync tells.
     *
     * @return whether to ask again
     */
    private boolean start() {
        if (LinuxHost.sync_file_range(descriptor.getAsInt(), 0, 0, LinuxHost.SYNC_FILE_RANGE_WRITE) == 0) {
            return true;
        }
        Errno errno = Errno.last();
        failure = errno == Errno.EIO || errno == Errno.ENOSPC || errno == Errno.EDQUOT ? errno : null;
        return errno == Errno.EINTR;
    }

    /** Says that there is something to write out. Returns at once. */
    public void begin() {
        wanted.release();
    }

    private void run() {
        try {
            do { // Ends: close() says so, and wakes this.
                wanted.acquire();
                wanted.drainPermits();
            } while (!ended && start());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        stop();
        atEnd.run();
    }

    private void stop() {
        ended = true;
        wanted.release();
        boolean interrupted = false;
        while (thread.isAlive()) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                // The descriptor must not be closed under the call.
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
