package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/**
 * Reads every table of the image once and counts who refers to which cluster: the header, every L1 table (with the entries
 * behind the disk's end, which hold saved memory), L2 tables, refcount table and blocks, snapshot table and bitmaps.
 * Tables that overlap each other or data refuse the image. On the way it collects the L2 entries of the free ranges.
 */
final class ReferenceScan {

    /** Values in {@link #kinds}; 0 is data or nothing. */
    static final int TABLE = 1;
    static final int L2 = 2;
    static final int COMPRESSED = 3;

    /** Ours: tables of zeros in holes of the file cost nothing to make, so hostile ones must not cost much to read. */
    private static final long MAX_TABLES_IN_HOLES = 1L << 30;

    private final Qcow2Header header;
    private final Qcow2Extensions extensions;
    private final HostFile file;
    private final long[] l1;
    private final ExtentSet stored;
    private final ExtentSet free;
    private final L2Entry entries;
    private final TableReader tables;
    private final long clusters;
    private long bytesInHoles;

    /** References found, by host cluster. */
    final PackedClusters counts;
    final PackedClusters kinds;
    /** References to data clusters from active L2 tables alone; the same as {@link #counts} where there is no snapshot. */
    final PackedClusters active;
    /** L2 entries of clusters that touch the free ranges, unless they name no host cluster. */
    final ClusterRuns candidates;
    /** Indices of the active L1 entries that have an L2 table, ascending. */
    int[] activeTables;
    /** Entries that are not all zero, of each of {@link #activeTables}. */
    int[] usedEntries;
    RefcountTable refcounts;
    List<Snapshot> snapshots = List.of();
    List<PersistentBitmap> bitmaps = List.of();
    private long[] snapshotTables = new long[16];
    private int snapshotTableCount;

    /**
     * @param stored what the host stores of the file
     * @param free guest bytes whose L2 entries are wanted
     */
    ReferenceScan(Qcow2Header header, Qcow2Extensions extensions, HostFile file, long[] l1, ExtentSet stored,
            ExtentSet free) throws UnsupportedException {
        this.header = header;
        this.extensions = extensions;
        this.file = file;
        this.l1 = l1;
        this.stored = stored;
        this.free = free;
        this.entries = new L2Entry(header);
        this.tables = new TableReader(file, (int) header.clusterSize());
        this.clusters = header.hostClusters(file.size());
        this.counts = new PackedClusters(clusters);
        this.kinds = new PackedClusters(clusters);
        this.active = header.snapshotCount() > 0 ? new PackedClusters(clusters) : counts;
        this.candidates = new ClusterRuns(header.clusterSize());
    }

    void run() throws IOException {
        markTables();
        markActiveTables();
        for (Snapshot snapshot : snapshots) {
            markSnapshotTables(snapshot);
        }
        usedEntries = new int[activeTables.length];
        long[] offsets = new long[activeTables.length];
        for (int i = 0; i < offsets.length; i++) {
            offsets[i] = l1[activeTables[i]] & L2Entry.OFFSET;
        }
        tables.forEach(offsets, offsets.length, this::scanActiveTable);
        tables.forEach(snapshotTables, snapshotTableCount, (index, table) ->
                countEntries(table, -1, counts.get(snapshotTables[index] >>> header.clusterBits()), null));
    }

    /** Everything that is not data and not an L2 table, before anything is followed: nothing may lie in two of them. */
    private void markTables() throws IOException {
        mark("header", 0, 1);
        mark("L1 table", header.l1Offset(), (long) header.l1Entries() * Long.BYTES);
        mark("refcount table", header.refcountTableOffset(), (long) header.refcountTableClusters() << header.clusterBits());
        refcounts = RefcountTable.read(header, file);
        for (long block : refcounts.blocks()) {
            if (block != 0) {
                mark("refcount block", block, header.clusterSize());
            }
        }
        if (header.snapshotCount() > 0) {
            Snapshot.Table table = Snapshot.parseAll(file, header);
            snapshots = table.snapshots();
            mark("snapshot table", header.snapshotsOffset(), table.length());
            for (Snapshot snapshot : snapshots) {
                mark("snapshot's L1 table", snapshot.l1Offset(), (long) snapshot.l1Entries() * Long.BYTES);
            }
        }
        if (extensions.hasBitmaps()) {
            bitmaps = PersistentBitmap.parseAll(file, header, extensions);
            mark("bitmap directory", extensions.bitmapDirectoryOffset(), extensions.bitmapDirectorySize());
            for (PersistentBitmap bitmap : bitmaps) {
                mark("bitmap table", bitmap.tableOffset(), (long) bitmap.tableEntries() * Long.BYTES);
            }
            for (PersistentBitmap bitmap : bitmaps) {
                markBits(bitmap);
            }
        }
    }

    private void markBits(PersistentBitmap bitmap) throws IOException {
        spendHole(bitmap.tableOffset(), (long) bitmap.tableEntries() * Long.BYTES);
        tables.forEachEntry(bitmap.tableOffset(), bitmap.tableEntries(), (index, entry) -> {
            long offset = PersistentBitmap.dataOffset(entry, bitmap.tableOffset() + index * Long.BYTES);
            if (offset != 0) {
                mark("bitmap data", offset, header.clusterSize());
            }
        });
    }

    private void mark(String what, long offset, long length) throws IOException {
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

    private CorruptException overlap(String what, long cluster) {
        return new CorruptException(what + " (repair the image with 'qemu-img check -r all')",
                cluster << header.clusterBits(), "a cluster of its own", "one that another table or other data use");
    }

    private void markActiveTables() throws IOException {
        int count = 0;
        for (long entry : l1) {
            count += entry != 0 ? 1 : 0;
        }
        if (count > clusters) {
            throw new CorruptException("L1 table", header.l1Offset(), "an L2 table of its own for each entry",
                    count + " entries in a file of " + clusters + " clusters");
        }
        activeTables = new int[count];
        int next = 0;
        for (int i = 0; i < l1.length; i++) {
            if (l1[i] != 0) {
                long offset = entries.l2Offset(l1[i], i, header.l1Offset());
                if (markL2(offset)) {
                    activeTables[next++] = i;
                } else {
                    throw overlap("L1 entry " + i, offset >>> header.clusterBits());
                }
            }
        }
        activeTables = Arrays.copyOf(activeTables, next);
    }

    private void markSnapshotTables(Snapshot snapshot) throws IOException {
        spendHole(snapshot.l1Offset(), (long) snapshot.l1Entries() * Long.BYTES);
        tables.forEachEntry(snapshot.l1Offset(), snapshot.l1Entries(), (index, entry) -> {
            long offset = entries.l2Offset(entry, index, snapshot.l1Offset());
            if (offset != 0 && markL2(offset)) {
                if (snapshotTableCount == snapshotTables.length) {
                    snapshotTables = Arrays.copyOf(snapshotTables, 2 * snapshotTableCount);
                }
                snapshotTables[snapshotTableCount++] = offset;
            }
        });
    }

    /** @return whether this L2 table was not known before */
    private boolean markL2(long offset) throws IOException {
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

    private void spendHole(long offset, long length) throws UnsupportedException {
        if (length > 0 && !stored.intersects(offset, length)) {
            bytesInHoles += length;
            if (bytesInHoles > MAX_TABLES_IN_HOLES) {
                throw new UnsupportedException("the image keeps more than " + (MAX_TABLES_IN_HOLES >> 30)
                        + " GiB of empty tables in holes of its file: convert it with 'qemu-img convert' first");
            }
        }
    }

    private void scanActiveTable(int index, long[] table) throws IOException {
        long firstGuest = (long) activeTables[index] << header.l2EntryBits();
        int references = counts.get((l1[activeTables[index]] & L2Entry.OFFSET) >>> header.clusterBits());
        usedEntries[index] = countEntries(table, firstGuest, references, active == counts ? null : active);
        collect(table, firstGuest);
    }

    /**
     * @param firstGuest guest cluster of the first entry; -1 in a snapshot's table
     * @param references how many L1 entries name this table
     * @param also counts one reference for each entry, too; null for nobody
     * @return entries that are not all zero
     */
    private int countEntries(long[] table, long firstGuest, int references, PackedClusters also) throws IOException {
        int used = 0;
        int step = header.l2EntryLongs();
        for (int i = 0; i < table.length; i += step) {
            long entry = table[i];
            if (entry == 0 && (step == 1 || table[i + 1] == 0)) {
                continue;
            }
            used++;
            long guest = firstGuest < 0 ? -1 : firstGuest + i / step << header.clusterBits();
            L2Entry.Kind kind = entries.kind(entry, guest);
            if (kind == L2Entry.Kind.COMPRESSED) {
                countCompressed(entry, references);
                continue;
            }
            if (step == 2) {
                entries.checkSubclusters(table[i + 1], entry, guest);
            }
            if ((entry & L2Entry.OFFSET) != 0 && !header.hasDataFile()) {
                countData((entry & L2Entry.OFFSET) >>> header.clusterBits(), references, also);
            }
        }
        return used;
    }

    private void countData(long cluster, int references, PackedClusters also) throws IOException {
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

    private void countCompressed(long entry, int references) throws IOException {
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

    private void collect(long[] table, long firstGuest) {
        int bits = header.clusterBits();
        long start = firstGuest << bits;
        long next = firstGuest; // a cluster that two free ranges touch comes once
        for (int i = free.indexOfFirstEndingAfter(start); i < free.count(); i++) {
            long first = Math.max(next, free.start(i) >>> bits);
            long end = Math.min(firstGuest + (1L << header.l2EntryBits()), (free.end(i) - 1 >>> bits) + 1);
            if (free.start(i) - start >= header.l2Span()) {
                break;
            }
            for (long cluster = first; cluster < end; cluster++) {
                long entry = table[(int) (cluster - firstGuest) * header.l2EntryLongs()];
                if ((entry & L2Entry.COMPRESSED) != 0 || entries.hasHostCluster(entry)) {
                    candidates.add(cluster, entry);
                }
            }
            next = Math.max(next, end);
        }
        candidates.seal();
    }
}
