package io.lacuna.diskimage;

import java.util.ArrayDeque;

/**
 * Announces reads to the kernel from a thread of its own: the kernel looks up where a range lies on the disk before it starts
 * to read it, and on a large file with a cold cache that look-up is itself a read to wait for.
 */
final class ReadAhead {

    /** Ours: what comes in while so many ranges wait is forgotten; it was advice only. */
    private static final int MAX_WAITING = 4096;

    private final NativeFile file;
    private final ArrayDeque<long[]> waiting = new ArrayDeque<>();
    private boolean running;
    private boolean ended;

    ReadAhead(NativeFile file) {
        this.file = file;
    }

    /** Returns at once. */
    synchronized void add(long offset, long length) {
        if (ended || waiting.size() >= MAX_WAITING) {
            return;
        }
        waiting.add(new long[] {offset, length});
        if (!running) {
            running = true;
            Thread thread = new Thread(this::run, "read-ahead");
            thread.setDaemon(true);
            thread.start();
        } else {
            notifyAll();
        }
    }

    /** Forgets what is waiting. */
    synchronized void end() {
        ended = true;
        waiting.clear();
        notifyAll();
    }

    private void run() {
        for (long[] range = next(); range != null; range = next()) {
            file.advise(range[0], range[1]);
        }
    }

    /** @return null at the end */
    private synchronized long[] next() {
        while (waiting.isEmpty() && !ended) {
            try {
                wait();
            } catch (InterruptedException e) {
                ended = true;
            }
        }
        return waiting.poll();
    }
}
