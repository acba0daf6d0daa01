package io.lacuna.diskimage.block;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.HostMap;
import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;

/**
 * A file in memory that stores whole blocks of the host's, refuses holes that are none, and counts what is written and the most
 * that was ever stored.
 */
public final class StrictHostFile implements HostFile {

    private final Path path;
    private final int granularity;
    private final boolean punchable;
    private byte[] bytes;
    private final BitSet stored = new BitSet();
    private long written;
    private long peak;

    /** @param granularity bytes that are stored or released together */
    public StrictHostFile(Path path, byte[] bytes, int granularity, boolean punchable) {
        this.path = path;
        this.bytes = bytes;
        this.granularity = granularity;
        this.punchable = punchable;
        for (int block = 0; block * granularity < bytes.length; block++) {
            for (int i = block * granularity; i < Math.min(bytes.length, (block + 1) * granularity); i++) {
                if (bytes[i] != 0) {
                    stored.set(block);
                }
            }
        }
        peak = hostBytes();
    }

    public byte[] bytes() {
        return bytes;
    }

    public int granularity() {
        return granularity;
    }

    public boolean isPunchable() {
        return punchable;
    }

    /** @return bytes that were written since the last reset */
    public long written() {
        return written;
    }

    /** @return the most bytes that were stored at a time since then */
    public long peak() {
        return peak;
    }

    public void resetCounters() {
        written = 0;
        peak = hostBytes();
    }

    @Override
    public Path path() {
        return path;
    }

    @Override
    public boolean isBlockDevice() {
        return false;
    }

    @Override
    public boolean isWritable() {
        return true;
    }

    @Override
    public FileIdentity identity() {
        return new FileIdentity(1, 2, bytes.length, 0, 0, false);
    }

    @Override
    public long size() {
        return bytes.length;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), bytes.length);
        target.put(bytes, (int) offset, target.remaining());
    }

    @Override
    public void write(long offset, ByteBuffer source) {
        int length = source.remaining();
        int end = (int) offset + length;
        if (end > bytes.length) {
            bytes = Arrays.copyOf(bytes, end);
        }
        written += length;
        source.get(bytes, (int) offset, length);
        stored.set((int) offset / granularity, (end - 1) / granularity + 1);
        peak = Math.max(peak, hostBytes());
    }

    @Override
    public void punch(long offset, long length) {
        if (!punchable || length <= 0 || offset % granularity != 0 || offset + length > bytes.length
                || length % granularity != 0 && offset + length != bytes.length) {
            throw new AssertionError("no hole of " + length + " bytes at " + offset);
        }
        Arrays.fill(bytes, (int) offset, (int) (offset + length), (byte) 0);
        stored.clear((int) offset / granularity, (int) ((offset + length + granularity - 1) / granularity));
    }

    /** It leaves nothing else. */
    @Override
    public void insistOnZeroes() {
    }

    @Override
    public void truncate(long size) {
        if (size > bytes.length) {
            throw new AssertionError("longer");
        }
        bytes = Arrays.copyOf(bytes, (int) size);
        stored.clear((int) ((size + granularity - 1) / granularity), Integer.MAX_VALUE);
    }

    @Override
    public void sync() {
    }

    @Override
    public HostMap map() {
        ExtentSet.Builder allocated = ExtentSet.builder();
        for (int block = stored.nextSetBit(0); block >= 0; block = stored.nextSetBit(block + 1)) {
            allocated.add((long) block * granularity, granularity);
        }
        return new HostMap(allocated.build(), ExtentSet.EMPTY, true);
    }

    @Override
    public long hostBytes() {
        return (long) stored.cardinality() * granularity;
    }

    @Override
    public PunchSupport punchSupport() throws IOException {
        if (!punchable) {
            throw new UnsupportedException("this host cannot punch holes");
        }
        return new PunchSupport(granularity, 0, true, "PUNCH_HOLE");
    }

    @Override
    public void close() {
    }
}
