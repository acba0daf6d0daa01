package io.lacuna.engine;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.Writeback;
import io.lacuna.diskimage.write.Chunk;
import io.lacuna.diskimage.write.ImageWriter;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.ArrayDeque;
import java.util.Queue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/** Moves the wanted bytes: some threads read ahead, look for zeros and compress; the caller's thread writes, in order. */
final class CopyRun {

    private static final int MOST_THREADS = 8;
    /** Chunks in memory at least, so that reading need not wait for writing, nor the other way round. */
    private static final int LEAST_CHUNKS = 8;
    /** Bytes of the disk that the host is asked for before they are read. */
    private static final long FETCHED_AHEAD = 8L * Chunk.SIZE;
    /** Bytes after which the host is asked to write out what it has. */
    private static final long WRITTEN_OUT = 8L * Chunk.SIZE;

    private final BlockSource disk;
    private final ExtentSet wanted;
    private final ImageWriter writer;
    private final Writeback writeback;
    private final ChunkReader reader;
    private final int threads = Math.max(2, Math.min(MOST_THREADS, Runtime.getRuntime().availableProcessors()));
    private final Queue<Chunk> idle = new ArrayDeque<>();
    private long written;
    private long writtenOut;
    private long fetched;

    CopyRun(BlockSource disk, ExtentSet wanted, ImageWriter writer, Writeback writeback) {
        this.disk = disk;
        this.wanted = wanted;
        this.writer = writer;
        this.writeback = writeback;
        this.reader = new ChunkReader(disk, wanted);
        for (int i = 0; i < Math.max(LEAST_CHUNKS, 2 * threads); i++) {
            idle.add(new Chunk());
        }
    }

    /** @return bytes that were written, in whole pages: the wanted ones without zeros */
    long run(Progress progress) throws IOException {
        ExecutorService readers = Executors.newFixedThreadPool(threads, task -> {
            Thread thread = new Thread(task, "copy reader");
            thread.setDaemon(true);
            return thread;
        });
        try {
            long total = wanted.totalBytes();
            long done = 0;
            Queue<Future<Chunk>> pending = new ArrayDeque<>();
            for (long offset = next(0); offset < disk.size(); offset = next(offset + Chunk.SIZE)) {
                if (idle.isEmpty()) {
                    done = write(pending.remove(), progress, done, total);
                }
                fetch(offset, readers);
                Chunk chunk = idle.remove();
                chunk.reset(offset, (int) Math.min(Chunk.SIZE, disk.size() - offset));
                pending.add(readers.submit(() -> {
                    reader.fill(chunk);
                    writer.prepare(chunk);
                    return chunk;
                }));
            }
            while (!pending.isEmpty()) {
                done = write(pending.remove(), progress, done, total);
            }
            return written;
        } finally {
            stop(readers);
        }
    }

    /** @return the first chunk at or behind an offset that has wanted bytes; the disk's size or more if there is none */
    private long next(long offset) {
        int index = wanted.indexOfFirstEndingAfter(offset);
        return index >= wanted.count() ? Long.MAX_VALUE
                : Math.max(offset, wanted.start(index) / Chunk.SIZE * Chunk.SIZE);
    }

    /** To ask is work, too, and not for the thread that writes. */
    private void fetch(long offset, ExecutorService readers) {
        long from = Math.max(offset, fetched);
        long to = Math.min(disk.size(), offset + FETCHED_AHEAD);
        if (from >= to || to - from < FETCHED_AHEAD / 2 && to < disk.size()) {
            return;
        }
        readers.execute(() -> reader.prefetch(from, to));
        fetched = to;
    }

    private long write(Future<Chunk> filled, Progress progress, long before, long total) throws IOException {
        Chunk chunk = await(filled);
        writer.write(chunk);
        written += chunk.filledBytes();
        if (written - writtenOut >= WRITTEN_OUT) {
            writeback.begin();
            writtenOut = written;
        }
        idle.add(chunk);
        long done = Math.min(total, before + chunk.length());
        progress.advanced(done, total);
        return done;
    }

    private static Chunk await(Future<Chunk> filled) throws IOException {
        try {
            return filled.get();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof IOException failure) {
                throw failure;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted");
        }
    }

    /** Waits, for what still reads must not find the image closed. */
    private static void stop(ExecutorService readers) {
        readers.shutdownNow();
        try {
            readers.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
