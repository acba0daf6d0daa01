package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;

/** What each cluster of the image file is used for, and by how many. Uses that exclude each other refuse the image. */
final class ClusterUse {

    /** Values in {@link #kinds}; 0 is data or nothing. */
    static final int TABLE = 1;
    static final int L2 = 2;
    static final int COMPRESSED = 3;

    /** Ours: tables of zeros in holes of the file cost nothing to make, so hostile ones must not cost much to read. */
    static final long MAX_TABLES_IN_HOLES = 1L << 30;

    private final Qcow2Header header;
    private final BlockSource file;
    private final ExtentSet stored;
    private final L2Entry entries;
    private long bytesInHoles;

    /** How many the file has. */
    final long clusters;
    /** References found. */
    final PackedClusters counts;
    final PackedClusters kinds;
    /** References to data clusters from active L2 tables alone; the same as {@link #counts} where there is no snapshot. */
    final PackedClusters active;

    /** @param stored what the host stores of the file */
    ClusterUse(Qcow2Header header, BlockSource file, ExtentSet stored) throws UnsupportedException {
        this.header = header;
        this.file = file;
        this.stored = stored;
        this.entries = new L2Entry(header);
        this.clusters = header.hostClusters(file.size());
        this.counts = new PackedClusters(clusters);
        this.kinds = new PackedClusters(clusters);
        this.active = header.snapshotCount() > 0 ? new PackedClusters(clusters) : counts;
    }

    /**
     * A table that nothing else may overlap.
     *
     * @param what its name, for the error
     * @param length bytes; 0 for no table
     */
    void mark(String what, long offset, long length) throws IOException {
        if (length == 0) {
            return;
        }
        if ((offset & header.clusterSize() - 1) != 0 || !header.insideFile(offset, length, file.size())) {
            throw new CorruptException(what, offset, "whole clusters inside the file", length + " bytes");
        }
        long end = offset + length - 1 >>> header.clusterBits();
        for (long cluster = offset >>> header.clusterBits(); cluster <= end; cluster++) {
            if (kinds.get(cluster) != 0) {
                throw overlap(what, cluster);
            }
            kinds.set(cluster, TABLE);
            counts.add(cluster, 1);
        }
    }

    /** @return the error that a cluster is used for two things, to be thrown */
    CorruptException overlap(String what, long cluster) {
        return new CorruptException(what + " (repair the image with 'qemu-img check -r all')",
                cluster << header.clusterBits(), "a cluster of its own", "one that another table or other data use");
    }

    /** @return whether this L2 table was not known before */
    boolean markL2(long offset) throws IOException {
        long cluster = offset >>> header.clusterBits();
        if (offset == 0 || cluster >= clusters) {
            throw new CorruptException("L2 table", offset, "a cluster inside the file", "0x" + Long.toHexString(offset));
        }
        int kind = kinds.get(cluster);
        if (kind != 0 && kind != L2) {
            throw overlap("L2 table", cluster);
        }
        counts.add(cluster, 1);
        if (kind == 0) {
            kinds.set(cluster, L2);
            spendHole(offset, header.clusterSize());
        }
        return kind == 0;
    }

    /** Bounds what is read of tables that cost their maker nothing. */
    void spendHole(long offset, long length) throws UnsupportedException {
        if (length > 0 && !stored.intersects(offset, length)) {
            bytesInHoles += length;
            if (bytesInHoles > MAX_TABLES_IN_HOLES) {
                throw tablesInHoles();
            }
        }
    }

    /** @return the error that there are too many of them, to be thrown */
    static UnsupportedException tablesInHoles() {
        return new UnsupportedException("the image keeps more than " + (MAX_TABLES_IN_HOLES >> 30)
                + " GiB of empty tables in holes of its file: convert it with 'qemu-img convert' first");
    }

    /**
     * References from an L2 table to a standard cluster.
     *
     * @param also counts one reference, too; null for nobody
     */
    void countData(long cluster, int references, PackedClusters also) throws IOException {
        if (cluster >= clusters) {
            throw new CorruptException("L2 entry", cluster << header.clusterBits(), "a cluster inside the file",
                    "one behind its end");
        }
        if (kinds.get(cluster) != 0) {
            throw overlap("data cluster", cluster);
        }
        counts.add(cluster, references);
        if (also != null) {
            also.add(cluster, 1);
        }
    }

    /** References from an L2 table to each host cluster that a compressed cluster touches. */
    void countCompressed(long entry, int references) throws IOException {
        long last = lastCompressedCluster(header, entries, entry);
        for (long cluster = entries.compressedOffset(entry) >>> header.clusterBits(); cluster <= last; cluster++) {
            if (cluster >= clusters || cluster == 0) {
                throw new CorruptException("compressed cluster", cluster << header.clusterBits(),
                        "a place inside the file, behind the header", "0x" + Long.toHexString(entry));
            }
            int kind = kinds.get(cluster);
            if (kind != COMPRESSED && (kind != 0 || counts.get(cluster) != 0)) {
                throw overlap("compressed cluster", cluster);
            }
            kinds.set(cluster, COMPRESSED);
            counts.add(cluster, references);
        }
    }

    /** @return the last host cluster that a compressed cluster touches; it holds a reference to each of them */
    static long lastCompressedCluster(Qcow2Header header, L2Entry entries, long entry) {
        return entries.compressedOffset(entry) + entries.compressedLength(entry) - 1 >>> header.clusterBits();
    }
}
