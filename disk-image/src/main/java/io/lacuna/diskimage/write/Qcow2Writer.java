package io.lacuna.diskimage.write;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * qcow2, version 3, clusters of 64 KiB (QEMU, docs/interop/qcow2.txt; big-endian): the header, then data clusters in the order of
 * the disk, each L2 table behind the last cluster that it names, and at the end the L1 table and the reference counts.
 */
final class Qcow2Writer implements ImageWriter {

    private static final int CLUSTER_BITS = 16;
    private static final int CLUSTER = 1 << CLUSTER_BITS;
    private static final int L2_ENTRIES = CLUSTER / 8;
    private static final long L2_SPAN = (long) L2_ENTRIES * CLUSTER;
    /** QEMU's limit of an L1 table: 32 MiB. */
    private static final long MOST_L1_ENTRIES = (32 << 20) / 8;
    private static final int REFCOUNTS = CLUSTER / 2;
    private static final int HEADER_LENGTH = 104;
    private static final int BACKING_FORMAT = 0xE279_2ACA;
    private static final int LONGEST_BACKING_NAME = 1023;
    private static final long COPIED = 1L << 63;
    private static final long COMPRESSED = 1L << 62;
    private static final long READS_AS_ZEROS = 1;
    /** A compressed cluster's entry: its place in the lower bits, then the number of further sectors. */
    private static final int PACKED_OFFSET_BITS = 62 - (CLUSTER_BITS - 8);

    private final OutputFile file;
    private final WriteRequest request;
    private final Packer packer;
    private final PackedCounts counts = new PackedCounts();
    private final long[] l1;
    private final long[] l2 = new long[L2_ENTRIES];
    /** The table that is being filled; those below it are in the file. */
    private int l2Index;
    /** Where the next whole cluster goes. */
    private long end = CLUSTER;
    /** Where the next compressed cluster goes: inside a cluster that has room, or {@link #end}. */
    private long packedEnd = CLUSTER;

    Qcow2Writer(OutputFile file, WriteRequest request) throws IOException {
        this.file = file;
        this.request = request;
        this.packer = request.compress() ? new Packer(true) : null;
        long entries = BlockWriter.count(request.virtualSize(), L2_SPAN);
        if (entries > MOST_L1_ENTRIES) {
            throw new UnsupportedException("the disk is too large for a qcow2 image with clusters of 64 KiB (2 PiB)");
        }
        this.l1 = new long[(int) entries];
        if (request.backing() != null
                && request.backing().name().getBytes(StandardCharsets.UTF_8).length > LONGEST_BACKING_NAME) {
            throw new UnsupportedException("the parent's path is longer than the " + LONGEST_BACKING_NAME
                    + " bytes that a qcow2 image can name");
        }
    }

    @Override
    public void prepare(Chunk chunk) {
        if (packer == null) {
            return;
        }
        for (int from = 0; from < chunk.length(); from += CLUSTER) {
            if (!chunk.isZero(from, Math.min(chunk.length(), from + CLUSTER))) {
                chunk.keepPacked(from / CLUSTER, packer.pack(chunk.copy(from, CLUSTER), 0, CLUSTER - 1));
            }
        }
    }

    @Override
    public void write(Chunk chunk) throws IOException {
        finishTablesBelow((int) (chunk.offset() / L2_SPAN));
        int at = 0;
        while (at < chunk.length()) {
            int next = Math.min(chunk.length(), at + CLUSTER);
            if (chunk.isZero(at, next)) {
                at = next;
            } else if (chunk.packed(at / CLUSTER) != null) {
                setEntry(chunk.offset() + at, writePacked(chunk.packed(at / CLUSTER)));
                at = next;
            } else {
                at = writeClusters(chunk, at);
            }
        }
    }

    /** Writes neighbouring clusters at once. @return where they end */
    private int writeClusters(Chunk chunk, int from) throws IOException {
        long start = takeCluster();
        int to = from;
        do {
            setEntry(chunk.offset() + to, (to == from ? start : takeCluster()) | COPIED);
            to += CLUSTER;
        } while (to < chunk.length() && chunk.packed(to / CLUSTER) == null
                && !chunk.isZero(to, Math.min(chunk.length(), to + CLUSTER)));
        to = Math.min(to, chunk.length());
        file.write(start, chunk, from, to);
        return to;
    }

    private long takeCluster() {
        long start = end;
        end += CLUSTER;
        if (packer != null) {
            counts.add(start, 1);
            if (packedEnd == start) {
                packedEnd = end;
            }
        }
        return start;
    }

    /** @return the entry */
    private long writePacked(byte[] packed) throws IOException {
        long room = BlockWriter.up(packedEnd, CLUSTER) - packedEnd;
        // Runs on into the next cluster only if that is the next one of the file.
        if (packed.length > room && packedEnd + room != end) {
            packedEnd = end;
        }
        long start = packedEnd;
        packedEnd += packed.length;
        counts.add(start, packed.length);
        end = Math.max(end, BlockWriter.up(packedEnd, CLUSTER));
        file.write(start, packed);
        long moreSectors = (start + packed.length - 1 >> 9) - (start >> 9);
        return COMPRESSED | moreSectors << PACKED_OFFSET_BITS | start;
    }

    private void setEntry(long guest, long entry) {
        l2[(int) (guest / CLUSTER % L2_ENTRIES)] = entry;
    }

    private void finishTablesBelow(int index) throws IOException {
        while (l2Index < index) {
            markZeros();
            if (!isEmpty(l2)) {
                long at = takeCluster();
                file.writeSparse(at, bigEndian(l2, CLUSTER));
                l1[l2Index] = at | COPIED;
                Arrays.fill(l2, 0);
            }
            l2Index++;
        }
    }

    /** What the image itself called zeros, or has become that, must not show the parent. */
    private void markZeros() {
        long start = l2Index * L2_SPAN;
        ExtentSet own = request.own();
        for (int i = own.indexOfFirstEndingAfter(start); i < own.count() && own.start(i) < start + L2_SPAN; i++) {
            int first = (int) ((Math.max(own.start(i), start) - start) / CLUSTER);
            int last = (int) ((Math.min(own.end(i), start + L2_SPAN) - 1 - start) / CLUSTER);
            for (int entry = first; entry <= last; entry++) {
                if (l2[entry] == 0) {
                    l2[entry] = READS_AS_ZEROS;
                }
            }
        }
    }

    @Override
    public void finish() throws IOException {
        finishTablesBelow(l1.length);
        long l1Offset = end;
        long l1Bytes = BlockWriter.up(8L * l1.length, CLUSTER);
        file.writeSparse(l1Offset, bigEndian(l1, (int) l1Bytes));
        for (long at = 0; at < l1Bytes; at += CLUSTER) {
            takeCluster();
        }
        // The counts count themselves.
        long used = end / CLUSTER;
        long blocks = 1;
        long tables = 1;
        while (blocks * REFCOUNTS < used + blocks + tables || tables * L2_ENTRIES < blocks) {
            blocks = BlockWriter.count(used + blocks + tables, REFCOUNTS);
            tables = BlockWriter.count(blocks, L2_ENTRIES);
        }
        long tableOffset = end;
        long blocksOffset = end + tables * CLUSTER;
        long total = used + tables + blocks;
        long[] table = new long[(int) (tables * L2_ENTRIES)];
        for (int i = 0; i < blocks; i++) {
            table[i] = blocksOffset + (long) i * CLUSTER;
            ByteBuffer block = ByteBuffer.allocate(CLUSTER);
            for (long cluster = (long) i * REFCOUNTS; cluster < total && block.hasRemaining(); cluster++) {
                block.putShort((short) (packer == null || cluster == 0 || cluster >= used ? 1 : counts.of(cluster)));
            }
            file.writeSparse(table[i], block.array());
        }
        file.writeSparse(tableOffset, bigEndian(table, (int) (tables * CLUSTER)));
        file.setLength(total * CLUSTER);
        file.write(0, header(l1Offset, tableOffset, (int) tables));
    }

    private byte[] header(long l1Offset, long refcountTable, int refcountClusters) {
        ByteBuffer header = ByteBuffer.allocate(Chunk.PAGE);
        header.putInt(0x5146_49FB).putInt(3).putLong(0).putInt(0).putInt(CLUSTER_BITS).putLong(request.virtualSize()).putInt(0)
                .putInt(l1.length).putLong(l1Offset).putLong(refcountTable).putInt(refcountClusters).putInt(0).putLong(0)
                .putLong(0).putLong(0).putLong(0).putInt(4).putInt(HEADER_LENGTH);
        if (request.backing() != null) {
            byte[] format = driver(request.backing().format()).getBytes(StandardCharsets.US_ASCII);
            header.putInt(BACKING_FORMAT).putInt(format.length).put(format).position((header.position() + 7) / 8 * 8);
            header.putLong(0);
            byte[] name = request.backing().name().getBytes(StandardCharsets.UTF_8);
            header.putLong(8, header.position()).putInt(16, name.length).put(name);
        }
        return header.array();
    }

    /** @return what QEMU calls a format */
    private static String driver(String format) {
        return format.equals("vhd") ? "vpc" : format;
    }

    private static boolean isEmpty(long[] table) {
        for (long entry : table) {
            if (entry != 0) {
                return false;
            }
        }
        return true;
    }

    private static byte[] bigEndian(long[] table, int size) {
        ByteBuffer bytes = ByteBuffer.allocate(size);
        bytes.asLongBuffer().put(table);
        return bytes.array();
    }

    @Override
    public void close() {
        if (packer != null) {
            packer.end();
        }
    }

    /** How many entries use each cluster of the file, where compressed ones share it. */
    private static final class PackedCounts {
        private char[] counts = new char[1024];

        void add(long start, long length) {
            int last = Math.toIntExact((start + length - 1) / CLUSTER);
            if (last >= counts.length) {
                counts = Arrays.copyOf(counts, Math.max(last + 1, Math.multiplyExact(counts.length, 2)));
            }
            for (int cluster = (int) (start / CLUSTER); cluster <= last; cluster++) {
                counts[cluster]++;
            }
        }

        int of(long cluster) {
            return cluster < counts.length ? counts[(int) cluster] : 0;
        }
    }
}
