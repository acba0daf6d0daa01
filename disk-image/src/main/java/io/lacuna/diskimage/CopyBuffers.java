package io.lacuna.diskimage;

import java.nio.ByteBuffer;
import java.util.concurrent.ConcurrentLinkedDeque;
import java.util.concurrent.atomic.AtomicInteger;

/** Direct buffers through which the bytes of heap buffers pass to the kernel. Kept for reuse, up to a small number. */
final class CopyBuffers {

    static final int SIZE = 256 << 10;

    private static final int KEPT = 8;
    private static final ConcurrentLinkedDeque<ByteBuffer> IDLE = new ConcurrentLinkedDeque<>();
    private static final AtomicInteger IDLE_COUNT = new AtomicInteger();

    private CopyBuffers() {
    }

    static ByteBuffer take() {
        ByteBuffer buffer = IDLE.pollFirst();
        if (buffer == null) {
            return ByteBuffer.allocateDirect(SIZE);
        }
        IDLE_COUNT.decrementAndGet();
        return buffer.clear();
    }

    static void giveBack(ByteBuffer buffer) {
        if (IDLE_COUNT.incrementAndGet() <= KEPT) {
            IDLE.addFirst(buffer);
        } else {
            IDLE_COUNT.decrementAndGet();
        }
    }
}
