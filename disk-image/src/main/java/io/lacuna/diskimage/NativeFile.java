package io.lacuna.diskimage;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ClosedChannelException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/**
 * A regular file or block device, held by one native descriptor from opening to closing: the JDK would open more of them,
 * and closing any of these would drop the file's POSIX locks.
 */
final class NativeFile implements HostFile {

    /** So many bytes are written before the host is asked to write out; ours. */
    private static final long WRITEBACK = 8 << 20;

    private final Path path;
    private final Descriptor descriptor;
    private final Descriptor.Purpose purpose;
    private final CopyOnWriteArrayList<String> remarks = new CopyOnWriteArrayList<>();
    /** Keeps the descriptor's number from being closed, and given to another file, during a call. */
    private final ReentrantReadWriteLock life = new ReentrantReadWriteLock();
    private boolean closed;
    private final AtomicLong size;
    private volatile PunchSupport punchSupport;
    private volatile boolean mustZero;
    private final ReadAhead readAhead = new ReadAhead(this);
    /** Bytes written since the host was last asked to write out. */
    private final AtomicLong unasked = new AtomicLong();
    /** Null until so much was written that it is worth a thread. */
    private Writeback writeback;
    private boolean writebackEnded;
    /** A map read before it was asked for; null once it was used, or something changed the file. */
    private final AtomicReference<HostMap> anticipatedMap = new AtomicReference<>();
    /** Why it could not be read: the system tells of what it could not store only once. */
    private final AtomicReference<IOException> anticipatedFailure = new AtomicReference<>();

    private NativeFile(Path path, Descriptor descriptor, Descriptor.Purpose purpose) {
        this.path = path;
        this.descriptor = descriptor;
        this.purpose = purpose;
        this.size = new AtomicLong(descriptor.size());
    }

    static NativeFile open(Path path, Descriptor.Purpose purpose) throws IOException {
        return open(path, purpose, Descriptor.Gate.OPEN);
    }

    static NativeFile open(Path path, Descriptor.Purpose purpose, Descriptor.Gate gate) throws IOException {
        return new NativeFile(path, Descriptor.open(path, purpose, gate), purpose);
    }

    @Override
    public Path path() {
        return path;
    }

    /** @return where the file is, all symbolic links followed */
    Path realPath() {
        return descriptor.realPath();
    }

    /** @return the native descriptor, for calls beside those of this class; valid until {@link #close()} */
    int number() {
        return descriptor.number();
    }

    /** @return the status the file had when it was opened */
    FileStatus status() {
        return descriptor.status();
    }

    /** @return whether somebody else had the file open for writing when it was opened here */
    Lease writersBefore() {
        return descriptor.writers();
    }

    /** @return what a reader of the report should know about the host's part, each a sentence */
    List<String> remarks() {
        return List.copyOf(remarks);
    }

    @Override
    public boolean isBlockDevice() {
        return descriptor.status().isBlockDevice();
    }

    @Override
    public boolean isWritable() {
        return purpose == Descriptor.Purpose.WRITE;
    }

    @Override
    public long size() {
        return size.get();
    }

    /** Looks again how long the file is: it may have changed between its opening and its locking. */
    void measureAgain() throws IOException {
        if (!isBlockDevice()) {
            size.set(whileOpen(() -> Descriptor.status(path, number())).size());
        }
    }

    @Override
    public FileIdentity identity() throws IOException {
        FileStatus now = whileOpen(() -> Descriptor.status(path, number()));
        return now.identity(isBlockDevice() ? size() : now.size());
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), size());
        whileOpen(() -> {
            Transfer.read(path, number(), offset, target);
            return null;
        });
    }

    @Override
    public void prefetch(long offset, long length) {
        long end = Math.min(size(), offset + Math.min(length, Long.MAX_VALUE - Math.max(offset, 0)));
        if (offset >= 0 && offset < end) {
            readAhead.add(offset, end - offset);
        }
    }

    /** Tells the kernel. It reads where the range lies on the disk before it returns, which may take a while. */
    void advise(long offset, long length) {
        life.readLock().lock();
        try {
            if (!closed) {
                LinuxHost.posix_fadvise(number(), offset, length, LinuxHost.POSIX_FADV_WILLNEED);
            }
        } finally {
            life.readLock().unlock();
        }
    }

    /** Has the host forget what it keeps of the file in memory, as far as that is stored: what is read next comes from there. */
    void dropCache() throws IOException {
        whileOpen(() -> LinuxHost.posix_fadvise(number(), 0, 0, LinuxHost.POSIX_FADV_DONTNEED));
    }

    @Override
    public void write(long offset, ByteBuffer source) throws IOException {
        requireWritable();
        int length = source.remaining();
        if (offset < 0 || (isBlockDevice() && offset > size() - length)) {
            throw new EOFException(path + ": write of " + length + " bytes at " + offset
                    + " is outside of the device's " + size());
        }
        whileOpen(() -> {
            long end = offset + length;
            Transfer.write(path, number(), offset, source);
            size.accumulateAndGet(end, Math::max);
            return null;
        });
        if (unasked.addAndGet(length) >= WRITEBACK) {
            unasked.set(0);
            writeOut();
        }
    }

    private synchronized void writeOut() {
        if (writebackEnded) {
            return;
        }
        if (writeback == null) {
            writeback = Writeback.of(this);
        }
        writeback.begin();
    }

    private synchronized void requireWrittenOut() throws IOException {
        if (writeback != null && writeback.failure() != null) {
            throw writeback.failure().in(path, "sync_file_range");
        }
    }

    /** The descriptor's number may be another file's as soon as it is closed. */
    private synchronized void endWriteback() {
        writebackEnded = true;
        if (writeback != null) {
            writeback.close();
        }
    }

    @Override
    public void punch(long offset, long length) throws IOException {
        requireWritable();
        if (offset < 0 || length <= 0 || offset > size() - length) {
            throw new IllegalArgumentException("no hole of " + length + " bytes at " + offset + " in " + size());
        }
        PunchSupport support = punchSupport();
        long granularity = support.granularity();
        long end = offset + length;
        // The last block of a file is released only by a hole that covers all of it.
        long holeEnd = isBlockDevice() || end < size() ? end : end + Math.floorMod(-end, granularity);
        whileOpen(() -> {
            if (support.method().equals("BLKDISCARD")) {
                if (mustZero) {
                    throw new IOException(path + ": the device does not promise that what it releases reads as zeros");
                }
                discard(offset, length);
            } else if (Descriptor.retrying(() -> LinuxHost.fallocate(number(),
                    LinuxHost.FALLOC_FL_PUNCH_HOLE | LinuxHost.FALLOC_FL_KEEP_SIZE, offset, holeEnd - offset)) != 0) {
                if (!isBlockDevice() || Errno.last() != Errno.EOPNOTSUPP || mustZero) {
                    throw Errno.failure(path, "fallocate PUNCH_HOLE at " + offset + ", " + length + " bytes");
                }
                // A device may find out only at the first try that it cannot zero.
                discard(offset, length);
                punchSupport = new PunchSupport(granularity, support.alignment(), false, "BLKDISCARD");
            }
            return null;
        });
    }

    @Override
    public void insistOnZeroes() {
        mustZero = true;
    }

    private void discard(long offset, long length) throws IOException {
        byte[] range = ByteBuffer.allocate(16).order(ByteOrder.nativeOrder()).putLong(offset).putLong(length).array();
        if (Descriptor.retrying(() -> LinuxHost.ioctl(number(), LinuxHost.BLKDISCARD, range)) != 0) {
            throw Errno.failure(path, "ioctl BLKDISCARD at " + offset + ", " + length + " bytes");
        }
    }

    @Override
    public void truncate(long newSize) throws IOException {
        requireWritable();
        if (newSize < 0 || newSize > size() || isBlockDevice()) {
            throw new IllegalArgumentException("truncate " + size() + " to " + newSize);
        }
        whileOpen(() -> {
            if (Descriptor.retrying(() -> LinuxHost.ftruncate(number(), newSize)) != 0) {
                throw Errno.failure(path, "ftruncate to " + newSize);
            }
            size.set(newSize);
            return null;
        });
    }

    @Override
    public void setModified(long nanos) throws IOException {
        if (isBlockDevice()) {
            return;
        }
        requireWritable();
        long second = TimeUnit.SECONDS.toNanos(1);
        byte[] times = ByteBuffer.allocate(4 * Long.BYTES).order(ByteOrder.nativeOrder()).putLong(0)
                .putLong(LinuxHost.UTIME_OMIT).putLong(Math.floorDiv(nanos, second)).putLong(Math.floorMod(nanos, second)).array();
        whileOpen(() -> {
            if (LinuxHost.futimens(number(), times) != 0) {
                throw Errno.failure(path, "futimens");
            }
            return null;
        });
    }

    @Override
    public void sync() throws IOException {
        requireWrittenOut();
        whileOpen(() -> {
            if (Descriptor.retrying(() -> LinuxHost.fsync(number())) != 0) {
                throw Errno.failure(path, "fsync");
            }
            return null;
        });
    }

    @Override
    public HostMap map() throws IOException {
        IOException failure = anticipatedFailure.getAndSet(null);
        if (failure != null) {
            throw failure;
        }
        HostMap known = anticipatedMap.getAndSet(null);
        return known != null ? known : readMap();
    }

    /**
     * Has the host write out first what it still keeps in memory. Some file systems call it a hole as long as they do (ZFS at
     * times, F2FS of older kernels), and what is a hole is not copied, not moved and taken for zeros.
     */
    private HostMap readMap() throws IOException {
        if (!isBlockDevice() && purpose != Descriptor.Purpose.READ) {
            try {
                sync();
            } catch (FileSystemException e) {
                if (isWritable() || Errno.EIO.isReasonOf(e) || Errno.ENOSPC.isReasonOf(e) || Errno.EDQUOT.isReasonOf(e)) {
                    throw e;
                }
                // Where nothing can be written, nothing waits.
            }
        }
        return whileOpen(() -> FileMap.read(this));
    }

    /**
     * Does now, for another thread, what a plan is going to ask for: reads the map, and tries how the host punches. Only for a
     * file whose writers are kept out. What fails is told where it is asked for.
     */
    void anticipate() {
        try {
            anticipatedMap.set(readMap());
        } catch (IOException e) {
            anticipatedFailure.set(e);
            return;
        }
        try {
            punchSupport();
        } catch (IOException failsAgain) {
            // It is only a try, on a file of its own.
        }
    }

    @Override
    public long hostBytes() throws IOException {
        return isBlockDevice() ? -1 : whileOpen(() -> Descriptor.status(path, number())).storedBytes();
    }

    @Override
    public synchronized PunchSupport punchSupport() throws IOException {
        if (punchSupport == null) {
            try {
                punchSupport = whileOpen(() -> isBlockDevice()
                        ? BlockDevice.punchSupport(path, number(), status()) : PunchProbe.support(this, remarks::addIfAbsent));
            } catch (UnsupportedException e) {
                throw e.in(path);
            }
        }
        return punchSupport;
    }

    /** For tests of a host that punches in another way than this one. */
    void assume(PunchSupport support) {
        punchSupport = support;
    }

    private void requireWritable() throws IOException {
        if (!isWritable()) {
            throw new IOException(path + ": was opened for reading only");
        }
        anticipatedMap.set(null);
    }

    @Override
    public void close() throws IOException {
        endWriteback();
        life.writeLock().lock();
        try {
            if (!closed) {
                closed = true;
                readAhead.end();
                // Linux has let go of the descriptor even where close fails.
                if (LinuxHost.close(number()) != 0 && Errno.last() != Errno.EINTR) {
                    throw Errno.failure(path, "close");
                }
            }
        } finally {
            life.writeLock().unlock();
        }
    }

    private interface Action<T> {
        T run() throws IOException;
    }

    private <T> T whileOpen(Action<T> action) throws IOException {
        life.readLock().lock();
        try {
            if (closed) {
                throw new ClosedChannelException();
            }
            return action.run();
        } finally {
            life.readLock().unlock();
        }
    }

    @Override
    public String toString() {
        return path.toString();
    }
}
