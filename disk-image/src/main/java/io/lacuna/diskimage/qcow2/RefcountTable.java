package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The reference counts that the image keeps: a table of offsets of blocks, each one cluster, with counts of 1 to 64 bits.
 * Source: QEMU {@code docs/interop/qcow2}, "Host cluster management".
 */
final class RefcountTable {

    private static final long RESERVED = 0x1FF;

    private final Qcow2Header header;
    private final BlockSource file;
    private final long[] blocks;
    private final int order;
    /** A block counts for 2 to this power clusters. */
    private final int blockBits;

    private RefcountTable(Qcow2Header header, BlockSource file, long[] blocks) {
        this.header = header;
        this.file = file;
        this.blocks = blocks;
        this.order = header.refcountOrder();
        this.blockBits = header.clusterBits() + 3 - order;
    }

    static RefcountTable read(Qcow2Header header, BlockSource file) throws IOException {
        long[] blocks = HostBytes.readLongs(file, header.refcountTableOffset(),
                header.refcountTableClusters() << header.clusterBits() - 3);
        for (int i = 0; i < blocks.length; i++) {
            if ((blocks[i] & RESERVED) != 0 || (blocks[i] & header.clusterSize() - 1) != 0
                    || blocks[i] != 0 && !header.insideFile(blocks[i], header.clusterSize(), file.size())) {
                throw new CorruptException("refcount table entry " + i, header.refcountTableOffset() + i * 8L,
                        "a whole cluster inside the file", "0x" + Long.toHexString(blocks[i]));
            }
        }
        return new RefcountTable(header, file, blocks);
    }

    /** @return bytes of the file where the refcount blocks start; 0 for none */
    long[] blocks() {
        return blocks;
    }

    /**
     * How the counts in the image compare with the references that were found, as byte ranges of whole clusters.
     *
     * @param unused count 0, and nothing refers to them
     * @param leaked count above 0, but nothing refers to them
     * @param excess count above the references, of which there are some
     */
    record Comparison(ExtentSet unused, ExtentSet leaked, ExtentSet excess) {
    }

    /** @throws CorruptException if a count is below the references found: to trust it could free a cluster that is in use */
    Comparison compare(PackedClusters found) throws IOException {
        Comparer comparer = new Comparer(found);
        long clusters = header.hostClusters(file.size());
        byte[] bytes = new byte[(int) header.clusterSize()];
        long perBlock = 1L << blockBits;
        for (long first = 0; first < clusters; first += perBlock) {
            long end = Math.min(first + perBlock, clusters);
            long index = first >>> blockBits;
            if (index < blocks.length && blocks[(int) index] != 0) {
                HostBytes.readPadded(file, blocks[(int) index], ByteBuffer.wrap(bytes));
                comparer.block(bytes, first, (int) (end - first), blocks[(int) index]);
            } else {
                comparer.absent(first, end);
            }
        }
        return comparer.result();
    }

    private final class Comparer {
        private final PackedClusters found;
        private final ExtentSet.Builder unused = ExtentSet.builder();
        private final ExtentSet.Builder leaked = ExtentSet.builder();
        private final ExtentSet.Builder excess = ExtentSet.builder();

        Comparer(PackedClusters found) {
            this.found = found;
        }

        void block(byte[] bytes, long first, int count, long position) throws CorruptException {
            for (int i = 0; i < count; i++) {
                long stored = get(bytes, order, i);
                int references = found.get(first + i);
                if (stored != references || stored == 0) {
                    judge(first + i, stored, references, position);
                }
            }
        }

        /** Clusters without a block: their counts are 0. */
        void absent(long first, long end) throws CorruptException {
            long cluster = first;
            while (cluster < end) {
                long zeros = Math.min(found.zerosFrom(cluster), end - cluster);
                if (zeros > 0) {
                    unused.add(cluster << header.clusterBits(), zeros << header.clusterBits());
                    cluster += zeros;
                } else {
                    judge(cluster, 0, found.get(cluster), 0);
                    cluster++;
                }
            }
        }

        private void judge(long cluster, long stored, int references, long position) throws CorruptException {
            if (Long.compareUnsigned(stored, references) < 0) {
                throw new CorruptException("reference count of the cluster at 0x"
                        + Long.toHexString(cluster << header.clusterBits()) + " (repair it with 'qemu-img check -r all')",
                        position == 0 ? -1 : position, "at least the " + references + " references found", stored);
            }
            ExtentSet.Builder kind = stored == 0 ? unused : references == 0 ? leaked : excess;
            kind.add(cluster << header.clusterBits(), header.clusterSize());
        }

        Comparison result() {
            return new Comparison(unused.build(), leaked.build(), excess.build());
        }
    }

    /** @return whether the image has a place for this cluster's count */
    boolean covers(long cluster) {
        return cluster >>> blockBits < blocks.length && blocks[(int) (cluster >>> blockBits)] != 0;
    }

    /** @return the first cluster that this block counts for */
    long firstCluster(int block) {
        return (long) block << blockBits;
    }

    /**
     * Lowers counts, block by block.
     *
     * @param changed byte ranges of the clusters whose counts change
     * @param counts what they change to, less than they are
     */
    void lower(HostFile target, ExtentSet changed, PackedClusters counts) throws IOException {
        write(target, changed, (cluster, count) -> Long.compareUnsigned(count, counts.get(cluster)) > 0
                ? counts.get(cluster) : -1);
    }

    /**
     * Changes the counts of clusters from one number to another.
     *
     * @param clusters byte ranges; all of them covered by blocks
     */
    void exchange(HostFile target, ExtentSet clusters, int before, int after) throws IOException {
        write(target, clusters, (cluster, count) -> count == before ? after : -1);
    }

    /** Tells what a count becomes. */
    private interface Change {
        /** @return -1 if it cannot be */
        int of(long cluster, long count);
    }

    private void write(HostFile target, ExtentSet changed, Change change) throws IOException {
        byte[] bytes = new byte[(int) header.clusterSize()];
        long at = -1; // index of the block in the buffer
        int dirtyFrom = 0;
        int dirtyTo = 0;
        for (int i = 0; i < changed.count(); i++) {
            long end = changed.end(i) >>> header.clusterBits();
            for (long cluster = changed.start(i) >>> header.clusterBits(); cluster < end; cluster++) {
                long index = cluster >>> blockBits;
                if (index != at) {
                    flush(target, at, bytes, dirtyFrom, dirtyTo);
                    HostBytes.readPadded(file, blocks[(int) index], ByteBuffer.wrap(bytes));
                    at = index;
                    dirtyFrom = Integer.MAX_VALUE;
                    dirtyTo = 0;
                }
                int within = (int) (cluster & (1L << blockBits) - 1);
                int count = change.of(cluster, get(bytes, order, within));
                if (count < 0) {
                    throw new UnsafeException("the image's reference counts changed after the plan was made: plan again");
                }
                set(bytes, order, within, count);
                int position = (int) ((long) within << order >>> 3);
                dirtyFrom = Math.min(dirtyFrom, position & -512);
                dirtyTo = Math.max(dirtyTo, (position | 511) + 1);
            }
        }
        flush(target, at, bytes, dirtyFrom, dirtyTo);
    }

    private void flush(HostFile target, long index, byte[] bytes, int from, int to) throws IOException {
        if (index >= 0 && from < to) {
            target.write(blocks[(int) index] + from, ByteBuffer.wrap(bytes, from, to - from));
        }
    }

    /** @return the count, to be read as unsigned */
    static long get(byte[] block, int order, int index) {
        if (order == 4) {
            return (block[2 * index] & 0xFF) << 8 | block[2 * index + 1] & 0xFF;
        }
        if (order <= 3) {
            int bit = index << order;
            return (block[bit >>> 3] & 0xFF) >>> (bit & 7) & (1 << (1 << order)) - 1;
        }
        int bytes = 1 << order - 3;
        long value = 0;
        for (int i = 0; i < bytes; i++) {
            value = value << 8 | block[index * bytes + i] & 0xFF;
        }
        return value;
    }

    static void set(byte[] block, int order, int index, int count) {
        if (order < 3) {
            int bit = index << order;
            int mask = (1 << (1 << order)) - 1 << (bit & 7);
            block[bit >>> 3] = (byte) (block[bit >>> 3] & ~mask | count << (bit & 7) & mask);
            return;
        }
        int bytes = 1 << order - 3;
        long value = count;
        for (int i = bytes - 1; i >= 0; i--) {
            block[index * bytes + i] = (byte) value;
            value >>>= 8;
        }
    }
}
