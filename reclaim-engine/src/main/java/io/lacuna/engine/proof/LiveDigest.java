package io.lacuna.engine.proof;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.util.ArrayDeque;
import java.util.Collections;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

/**
 * The SHA-256 over all live bytes of a virtual disk, as a hash tree, called {@value #NAME} in reports. All numbers are unsigned and
 * big-endian.
 *
 * <p>Chunk n is the bytes {@code [n MiB, (n + 1) MiB)} of the disk, the last one as far as the disk goes. A chunk's leaf is the
 * SHA-256 of a byte 0 and, for each of its live runs in rising order, the run's first byte counted from the chunk's (32 bits), its
 * length in bytes (32 bits), and its bytes; a chunk without a live byte is the SHA-256 of the byte 0. The leaves make a tree in the
 * shape of RFC 6962, whose nodes are the SHA-256 of a byte 1 and the two digests below. The digest of the disk is the SHA-256 of a
 * byte 2, the disk's size in bytes (64 bits) and the tree's top (a single leaf is that; a disk without bytes has 32 zeros there).
 *
 * <p>Stretches that are known to be zeros, or not to be live, cost next to nothing, however long they are.
 */
public final class LiveDigest {

    /** The name of this way to compute it. */
    public static final String NAME = "lacuna.live-sha256/1";

    static final int CHUNK = 1 << 20;
    private static final byte ROOT = 2;
    /** Chunks that are read at a time. */
    private static final int GROUP = 4;
    private static final int MOST_THREADS = 8;
    /** To read on over less than this is quicker than to begin another read. */
    private static final int WORTH_SKIPPING = 128 << 10;
    /** A chunk with so few bytes that need be read may well have its like, and most of the work is with its zeros. */
    private static final int FEW = 64 << 10;
    private static final int MOST_REMEMBERED = 4096;
    private static final int MOST_PENDING = 4096;
    private static final byte[] ZEROS = new byte[CHUNK];
    /** Of a group; that of a scanty chunk, which hardly takes memory, is 1. */
    private static final int FULL_WEIGHT = 16;

    private final BlockSource disk;
    private final ExtentSet data;
    private final ExtentSet absent;
    private final long chunks;
    private final MerkleTree tree = new MerkleTree();
    private final Queue<Step> pending = new ArrayDeque<>();
    private final Queue<ByteBuffer> buffers = new ConcurrentLinkedQueue<>();
    /** Leaves of scanty chunks, by what they are taken of: file systems repeat themselves from group to group. */
    private final Map<ByteBuffer, byte[]> scanty = Collections.synchronizedMap(new LinkedHashMap<>(16, 0.75F, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<ByteBuffer, byte[]> eldest) {
            return size() > MOST_REMEMBERED;
        }
    });
    private int reading;

    /**
     * Leaves to append.
     *
     * @param group of a group, once it is read; null for many that are all the same
     * @param weight how much of what may be read ahead is taken by it
     */
    private record Step(Future<byte[][]> group, int weight, byte[][] uniform, long from, long to) {
    }

    private LiveDigest(BlockSource disk, ExtentSet data, ExtentSet absent) {
        this.disk = disk;
        this.data = data;
        this.absent = absent;
        this.chunks = disk.size() / CHUNK + (disk.size() % CHUNK == 0 ? 0 : 1);
    }

    /**
     * Reads all live bytes of an image and computes their digest.
     *
     * @param absent bytes of the disk that are not live
     * @return 64 hexadecimal digits
     */
    public static String of(DiskImage image, ExtentSet absent, Progress progress) throws IOException {
        return of(image.guest(), image.mayHoldData(), absent, progress);
    }

    /** @param data outside of these ranges the disk reads as zeros */
    static String of(BlockSource disk, ExtentSet data, ExtentSet absent, Progress progress) throws IOException {
        return HexFormat.of().formatHex(new LiveDigest(disk, data, absent).compute(progress));
    }

    private byte[] compute(Progress progress) throws IOException {
        int threads = Math.max(2, Math.min(MOST_THREADS, Runtime.getRuntime().availableProcessors()));
        ExecutorService workers = Executors.newFixedThreadPool(threads, task -> {
            Thread thread = new Thread(task, "live digest");
            thread.setDaemon(true);
            return thread;
        });
        try {
            addAll(workers, 2 * threads, progress);
        } finally {
            stop(workers);
        }
        MessageDigest sha = MerkleTree.sha256();
        sha.update(ROOT);
        sha.update(ByteBuffer.allocate(Long.BYTES).putLong(disk.size()).array());
        byte[] top = tree.top();
        return sha.digest(top == null ? new byte[sha.getDigestLength()] : top);
    }

    private void addAll(ExecutorService workers, int ahead, Progress progress) throws IOException {
        byte[][] zeros = MerkleTree.uniform(leaf(MerkleTree.sha256(), ByteBuffer.wrap(ZEROS), 0, CHUNK, ExtentSet.EMPTY));
        byte[][] nothing = MerkleTree.uniform(MerkleTree.sha256().digest(new byte[] {MerkleTree.LEAF}));
        long total = liveBytes();
        long done = 0;
        for (long chunk = 0; chunk < chunks;) { // Ends: every step has at least one chunk.
            while (reading >= ahead * FULL_WEIGHT || pending.size() >= MOST_PENDING) {
                take();
            }
            long dead = deadUntil(chunk);
            long end = Math.max(dead, zerosUntil(chunk));
            if (end > chunk) {
                pending.add(new Step(null, 0, dead > chunk ? nothing : zeros, chunk, end));
            } else {
                boolean few = isScanty(chunk);
                end = few ? chunk + 1 : groupEnd(chunk);
                ExtentSet wanted = wanted(chunk, end);
                if (!wanted.isEmpty()) {
                    disk.prefetch(wanted.start(0), wanted.end(wanted.count() - 1) - wanted.start(0));
                }
                begin(workers, chunk, end, wanted, few);
                done += wanted.totalBytes();
                progress.advanced(done, total);
            }
            chunk = end;
        }
        while (!pending.isEmpty()) {
            take();
        }
    }

    /** @return how many live bytes may have to be read; of a set in millions of pieces no other is made for that */
    private long liveBytes() {
        long total = data.totalBytes();
        for (int i = 0, j = 0; i < data.count() && j < absent.count();) {
            total -= Math.max(0, Math.min(data.end(i), absent.end(j)) - Math.max(data.start(i), absent.start(j)));
            if (data.end(i) < absent.end(j)) {
                i++;
            } else {
                j++;
            }
        }
        return total;
    }

    private void begin(ExecutorService workers, long first, long last, ExtentSet wanted, boolean few) {
        Future<byte[][]> leaves = workers.submit(() -> few ? new byte[][] {scantyLeaf(first, wanted)}
                : leaves(first, last, wanted));
        int weight = few ? 1 : FULL_WEIGHT;
        pending.add(new Step(leaves, weight, null, first, last));
        reading += weight;
    }

    private boolean isScanty(long chunk) {
        return wanted(chunk, chunk + 1).totalBytes() <= FEW;
    }

    /** Looks for another chunk with the same live runs, and the same bytes in the same places, before all its zeros are hashed. */
    private byte[] scantyLeaf(long chunk, ExtentSet wanted) throws IOException {
        long start = chunk * CHUNK;
        int length = (int) Math.min(CHUNK, disk.size() - start);
        MessageDigest sha = MerkleTree.sha256();
        for (Extent run : ExtentSet.ofRange(start, length).minus(absent.intersect(new Extent(start, length)))) {
            sha.update(pair(run.offset() - start, run.length()));
        }
        byte[] content = new byte[(int) wanted.totalBytes()];
        int at = 0;
        for (Extent range : wanted) {
            disk.read(range.offset(), ByteBuffer.wrap(content, at, (int) range.length()));
            at += (int) range.length();
            // Above the length of a chunk: the end of one list is not taken for the beginning of the other.
            sha.update(pair(CHUNK + range.offset() - start, range.length()));
        }
        ByteBuffer key = ByteBuffer.wrap(sha.digest(content));
        byte[] known = scanty.get(key);
        if (known != null) {
            return known;
        }
        ByteBuffer buffer = takeBuffer();
        buffer.clear().put(ZEROS, 0, length);
        at = 0;
        for (Extent range : wanted) {
            buffer.position((int) (range.offset() - start)).put(content, at, (int) range.length());
            at += (int) range.length();
        }
        byte[] leaf = leaf(sha, buffer, start, length, absent);
        buffers.add(buffer);
        scanty.put(key, leaf);
        return leaf;
    }

    private static byte[] pair(long first, long second) {
        return ByteBuffer.allocate(2 * Long.BYTES).putLong(first).putLong(second).array();
    }

    private ByteBuffer takeBuffer() {
        ByteBuffer buffer = buffers.poll();
        return buffer == null ? ByteBuffer.allocateDirect(CHUNK) : buffer;
    }

    private long deadUntil(long chunk) {
        return chunksUntil(absent, chunk, true);
    }

    private long zerosUntil(long chunk) {
        return Math.min(chunksUntil(absent, chunk, false), chunksUntil(data, chunk, false));
    }

    /** @return the chunk behind those that are worth reading together: none of them is known without that */
    private long groupEnd(long chunk) {
        long end = chunk + 1;
        while (end < chunks && end - chunk < GROUP && deadUntil(end) == end && zerosUntil(end) == end
                && !isScanty(end)) {
            end++;
        }
        return end;
    }

    /** @return the chunk behind the last whole one from this on that is all inside the set, or else all outside of it */
    private long chunksUntil(ExtentSet set, long chunk, boolean inside) {
        long start = chunk * CHUNK;
        long whole = disk.size() / CHUNK;
        int index = set.indexOfFirstEndingAfter(start);
        boolean within = index < set.count() && set.start(index) <= start;
        if (within != inside) {
            return chunk;
        }
        long end = inside ? set.end(index) : index < set.count() ? set.start(index) : Long.MAX_VALUE;
        return Math.max(chunk, Math.min(whole, end / CHUNK));
    }

    private ExtentSet wanted(long first, long last) {
        Extent range = new Extent(first * CHUNK, Math.min(last * CHUNK, disk.size()) - first * CHUNK);
        return data.intersect(range).minus(absent.intersect(range));
    }

    private void take() throws IOException {
        Step step = pending.remove();
        if (step.uniform() != null) {
            tree.appendUniform(step.uniform(), step.from(), step.to());
            return;
        }
        reading -= step.weight();
        for (byte[] leaf : await(step.group())) {
            tree.append(leaf, 0);
        }
    }

    private byte[][] leaves(long first, long last, ExtentSet wanted) throws IOException {
        ByteBuffer buffer = takeBuffer();
        MessageDigest sha = MerkleTree.sha256();
        byte[][] leaves = new byte[(int) (last - first)][];
        // One after the other, so that what is hashed is still in the processor's cache.
        for (int i = 0; i < leaves.length; i++) {
            long start = (first + i) * CHUNK;
            int length = (int) Math.min(CHUNK, disk.size() - start);
            fill(buffer, start, length, wanted.intersect(new Extent(start, length)));
            leaves[i] = leaf(sha, buffer, start, length, absent);
        }
        buffers.add(buffer);
        return leaves;
    }

    /** What is read over between two wanted ranges is either not live or reads as zeros, as it must. */
    private void fill(ByteBuffer buffer, long start, int length, ExtentSet wanted) throws IOException {
        if (!wanted.contains(start, length)) {
            buffer.clear().put(ZEROS, 0, length);
        }
        for (int i = 0; i < wanted.count(); i++) {
            long from = wanted.start(i);
            while (i + 1 < wanted.count() && wanted.start(i + 1) - wanted.end(i) < WORTH_SKIPPING) {
                i++;
            }
            disk.read(from, buffer.clear().position((int) (from - start)).limit((int) (wanted.end(i) - start)));
        }
    }

    /** @param start byte of the disk where the chunk begins, and the buffer with it */
    private static byte[] leaf(MessageDigest sha, ByteBuffer buffer, long start, int length, ExtentSet absent) {
        sha.update(MerkleTree.LEAF);
        long end = start + length;
        long position = start;
        for (int i = absent.indexOfFirstEndingAfter(start); position < end; i++) {
            long runEnd = i < absent.count() ? Math.min(end, absent.start(i)) : end;
            if (runEnd > position) {
                int offset = (int) (position - start);
                int bytes = (int) (runEnd - position);
                sha.update(ByteBuffer.allocate(2 * Integer.BYTES).putInt(offset).putInt(bytes).array());
                sha.update(buffer.clear().position(offset).limit(offset + bytes));
            }
            position = i < absent.count() ? Math.max(position, absent.end(i)) : end;
        }
        return sha.digest();
    }

    private static byte[][] await(Future<byte[][]> group) throws IOException {
        try {
            return group.get();
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
    private static void stop(ExecutorService workers) {
        workers.shutdownNow();
        try {
            workers.awaitTermination(1, TimeUnit.MINUTES);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
