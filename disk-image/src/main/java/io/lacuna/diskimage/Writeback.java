package io.lacuna.diskimage;

import java.io.Closeable;
import java.nio.file.Path;
import java.util.concurrent.Semaphore;

/**
 * Has the host write out what is written to a new file while more of it comes, so that the sync at its end has little left to
 * wait for. A help and no more: nothing is durable by it, and where the host does not know the call, nothing happens.
 */
public final class Writeback implements Closeable {

    private static final int UNKNOWN = -1;

    private final int descriptor;
    private final Semaphore wanted = new Semaphore(0);
    private final Thread thread;
    private volatile boolean ended;

    private Writeback(int descriptor) {
        this.descriptor = descriptor;
        // In a thread of its own, for the call waits where the device's queue is full.
        this.thread = new Thread(this::run, "writeback");
        thread.setDaemon(true);
    }

    /** @param file a regular file that this program writes */
    public static Writeback of(Path file) {
        int descriptor = LinuxHost.open(LinuxHost.bytes(file.toAbsolutePath()), LinuxHost.O_RDONLY | LinuxHost.O_CLOEXEC, 0);
        Writeback started = new Writeback(descriptor < 0 ? UNKNOWN : descriptor);
        if (descriptor >= 0) {
            started.thread.start();
        }
        return started;
    }

    /** Says that there is something to write out. Returns at once. */
    public void begin() {
        wanted.release();
    }

    private void run() {
        try {
            while (true) { // Ends: close() says so, and wakes this.
                wanted.acquire();
                wanted.drainPermits();
                if (ended || LinuxHost.sync_file_range(descriptor, 0, 0, LinuxHost.SYNC_FILE_RANGE_WRITE) != 0
                        && Errno.last() != Errno.EINTR) {
                    return;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
        if (descriptor == UNKNOWN) {
            return;
        }
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
        LinuxHost.close(descriptor);
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
