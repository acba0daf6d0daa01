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

    private final Qcow2Header header;
    private final Qcow2Extensions extensions;
    private final HostFile file;
    private final long[] l1;
    private final ExtentSet free;
    private final L2Entry entries;
    private final TableReader tables;
    private final ClusterUse use;

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
    /** Who refers to what; null where there is no snapshot. */
    SnapshotPins pins;
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
        this.free = free;
        this.entries = new L2Entry(header);
        this.tables = new TableReader(file, (int) header.clusterSize());
        this.use = new ClusterUse(header, file, stored);
        this.counts = use.counts;
        this.kinds = use.kinds;
        this.active = use.active;
        this.candidates = new ClusterRuns(header.clusterSize());
    }

    void run() throws IOException {
        markTables();
        markActiveTables();
        for (int i = 0; i < snapshots.size(); i++) {
            markSnapshotTables(snapshots.get(i), i);
        }
        usedEntries = new int[activeTables.length];
        long[] offsets = new long[activeTables.length];
        for (int i = 0; i < offsets.length; i++) {
            offsets[i] = l1[activeTables[i]] & L2Entry.OFFSET;
        }
        tables.forEach(offsets, offsets.length, this::scanActiveTable);
        tables.forEach(snapshotTables, snapshotTableCount, (index, table) ->
                countEntries(table, -1, snapshotTables[index] >>> header.clusterBits(), null));
    }

    /** Everything that is not data and not an L2 table, before anything is followed: nothing may lie in two of them. */
    private void markTables() throws IOException {
        use.mark("header", 0, 1);
        use.mark("L1 table", header.l1Offset(), (long) header.l1Entries() * Long.BYTES);
        use.mark("refcount table", header.refcountTableOffset(), (long) header.refcountTableClusters() << header.clusterBits());
        refcounts = RefcountTable.read(header, file);
        for (long block : refcounts.blocks()) {
            if (block != 0) {
                use.mark("refcount block", block, header.clusterSize());
            }
        }
        if (header.snapshotCount() > 0) {
            Snapshot.Table table = Snapshot.parseAll(file, header);
            snapshots = table.snapshots();
            pins = new SnapshotPins(snapshots, use.clusters);
            use.mark("snapshot table", header.snapshotsOffset(), table.length());
            for (Snapshot snapshot : snapshots) {
                use.mark("snapshot's L1 table", snapshot.l1Offset(), (long) snapshot.l1Entries() * Long.BYTES);
            }
        }
        if (extensions.hasBitmaps()) {
            bitmaps = PersistentBitmap.parseAll(file, header, extensions);
            use.mark("bitmap directory", extensions.bitmapDirectoryOffset(), extensions.bitmapDirectorySize());
            for (PersistentBitmap bitmap : bitmaps) {
                use.mark("bitmap table", bitmap.tableOffset(), (long) bitmap.tableEntries() * Long.BYTES);
            }
            for (PersistentBitmap bitmap : bitmaps) {
                markBits(bitmap);
            }
        }
    }

    private void markBits(PersistentBitmap bitmap) throws IOException {
        use.spendHole(bitmap.tableOffset(), (long) bitmap.tableEntries() * Long.BYTES);
        tables.forEachEntry(bitmap.tableOffset(), bitmap.tableEntries(), (index, entry) -> {
            long offset = PersistentBitmap.dataOffset(entry, bitmap.tableOffset() + index * Long.BYTES);
            if (offset != 0) {
                use.mark("bitmap data", offset, header.clusterSize());
            }
        });
    }

    private void markActiveTables() throws IOException {
        int count = 0;
        for (long entry : l1) {
            count += entry != 0 ? 1 : 0;
        }
        if (count > use.clusters) {
            throw new CorruptException("L1 table", header.l1Offset(), "an L2 table of its own for each entry",
                    count + " entries in a file of " + use.clusters + " clusters");
        }
        activeTables = new int[count];
        int next = 0;
        for (int i = 0; i < l1.length; i++) {
            if (l1[i] != 0) {
                long offset = entries.l2Offset(l1[i], i, header.l1Offset());
                if (use.markL2(offset)) {
                    activeTables[next++] = i;
                } else {
                    throw use.overlap("L1 entry " + i, offset >>> header.clusterBits());
                }
            }
        }
        activeTables = Arrays.copyOf(activeTables, next);
    }

    private void markSnapshotTables(Snapshot snapshot, int number) throws IOException {
        use.spendHole(snapshot.l1Offset(), (long) snapshot.l1Entries() * Long.BYTES);
        tables.forEachEntry(snapshot.l1Offset(), snapshot.l1Entries(), (index, entry) -> {
            long offset = entries.l2Offset(entry, index, snapshot.l1Offset());
            if (offset == 0) {
                return;
            }
            boolean first = use.markL2(offset);
            pins.add(offset >>> header.clusterBits(), number);
            if (first) {
                if (snapshotTableCount == snapshotTables.length) {
                    snapshotTables = Arrays.copyOf(snapshotTables, 2 * snapshotTableCount);
                }
                snapshotTables[snapshotTableCount++] = offset;
            }
        });
    }

    private void scanActiveTable(int index, long[] table) throws IOException {
        long firstGuest = (long) activeTables[index] << header.l2EntryBits();
        long cluster = (l1[activeTables[index]] & L2Entry.OFFSET) >>> header.clusterBits();
        usedEntries[index] = countEntries(table, firstGuest, cluster, active == counts ? null : active);
        collect(table, firstGuest);
    }

    /**
     * @param firstGuest guest cluster of the first entry; -1 in a snapshot's table
     * @param tableCluster where the table lies
     * @param also counts one reference for each entry, too; null for nobody
     * @return entries that are not all zero
     */
    private int countEntries(long[] table, long firstGuest, long tableCluster, PackedClusters also) throws IOException {
        int references = counts.get(tableCluster);
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
                use.countCompressed(entry, references);
                pin(tableCluster, entries.compressedOffset(entry) >>> header.clusterBits(),
                        ClusterUse.lastCompressedCluster(header, entries, entry));
                continue;
            }
            if (step == 2) {
                entries.checkSubclusters(table[i + 1], entry, guest);
            }
            if ((entry & L2Entry.OFFSET) != 0 && !header.hasDataFile()) {
                long cluster = (entry & L2Entry.OFFSET) >>> header.clusterBits();
                use.countData(cluster, references, also);
                pin(tableCluster, cluster, cluster);
            }
        }
        return used;
    }

    private void pin(long table, long first, long last) throws UnsupportedException {
        for (long cluster = first; pins != null && cluster <= last; cluster++) {
            pins.inherit(table, cluster);
        }
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
