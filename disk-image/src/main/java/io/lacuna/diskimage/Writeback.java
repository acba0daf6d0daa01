package io.lacuna.diskimage;

import java.io.Closeable;
import java.nio.file.Path;
import java.util.concurrent.Semaphore;
import java.util.function.BooleanSupplier;

/**
 * Has the host write out what is written to a file while more of it comes, so that the sync at its end has little left to
 * wait for. A help and no more: nothing is durable by it, and where the host does not know the call, nothing happens.
 */
public final class Writeback implements Closeable {

    private final BooleanSupplier call;
    private final Runnable atEnd;
    private final Semaphore wanted = new Semaphore(0);
    private final Thread thread;
    private volatile boolean ended;

    private Writeback(BooleanSupplier call, Runnable atEnd) {
        this.call = call;
        this.atEnd = atEnd;
        // In a thread of its own, for the call waits where the device's queue is full.
        this.thread = new Thread(this::run, "writeback");
        thread.setDaemon(true);
        thread.start();
    }

    /** @param file a regular file that this program writes */
    public static Writeback of(Path file) {
        int descriptor = LinuxHost.open(LinuxHost.bytes(file.toAbsolutePath()), LinuxHost.O_RDONLY | LinuxHost.O_CLOEXEC, 0);
        return descriptor < 0 ? new Writeback(() -> false, () -> { })
                : new Writeback(() -> start(descriptor), () -> LinuxHost.close(descriptor));
    }

    /** @param file closes this before its descriptor */
    static Writeback of(NativeFile file) {
        return new Writeback(() -> start(file.number()), () -> { });
    }

    /**
     * Only begins to write, and waits for nothing: a failure stays where the next sync finds it.
     *
     * @return whether to ask again
     */
    private static boolean start(int descriptor) {
        return LinuxHost.sync_file_range(descriptor, 0, 0, LinuxHost.SYNC_FILE_RANGE_WRITE) == 0 || Errno.last() == Errno.EINTR;
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
            } while (!ended && call.getAsBoolean());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() {
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
        atEnd.run();
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }
}
