package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;

/**
 * Finds the clusters that may be moved: those to which exactly one reference is known, from a table that may be changed. Whatever
 * is not found here stays where it is: compressed data, all that a snapshot or a bitmap needs, and what contradicts itself.
 */
final class MovableClusters {

    private final Qcow2Header header;
    private final HostFile file;
    private final long[] l1;
    private final ReferenceScan scan;
    private final TableChanges changes;
    private final CandidateSorter sorter;
    private final ExtentSet doubtful;
    private final ExtentSet hostShared;
    private final L2Entry entries;
    private final PackedClusters marks;
    private final ExtentSet.Builder unread = ExtentSet.builder();
    private ExtentSet unmapped;
    private long unreadFrom;

    /**
     * @param doubtful clusters whose counts are above the references found, as byte ranges
     * @param hostShared what another file of the host shares: to move it would cost storage
     */
    MovableClusters(Qcow2Header header, HostFile file, long[] l1, ReferenceScan scan, TableChanges changes,
            CandidateSorter sorter, ExtentSet doubtful, ExtentSet hostShared) throws UnsupportedException {
        this.header = header;
        this.file = file;
        this.l1 = l1;
        this.scan = scan;
        this.changes = changes;
        this.sorter = sorter;
        this.doubtful = doubtful;
        this.hostShared = hostShared;
        this.entries = new L2Entry(header);
        this.marks = new PackedClusters(header.hostClusters(file.size()));
    }

    /** @param lowest byte of the file; nothing before it will move */
    void find(long lowest) throws IOException {
        unreadFrom = lowest;
        unmapped = changes.unmappedClusters();
        mark(header.l1Offset(), (long) header.l1Entries() * Long.BYTES);
        mark(header.refcountTableOffset(), (long) header.refcountTableClusters() << header.clusterBits());
        for (long block : scan.refcounts.blocks()) {
            if (block != 0) {
                mark(block, 1);
            }
        }
        int[] own = new int[scan.activeTables.length];
        long[] offsets = new long[own.length];
        int count = 0;
        for (int i = 0; i < scan.activeTables.length; i++) {
            if (!changes.isDropped(i) && sorter.tableReason(i) == null) {
                own[count] = scan.activeTables[i];
                offsets[count] = l1[scan.activeTables[i]] & L2Entry.OFFSET;
                mark(offsets[count++], 1);
            }
        }
        new TableReader(file, (int) header.clusterSize()).forEach(offsets, count, (index, table) -> markData(own[index], table));
    }

    /** A table of one or more clusters, as long as all of them can go. */
    private void mark(long offset, long length) throws UnsupportedException {
        long first = offset >>> header.clusterBits();
        long end = length == 0 ? first : (offset + length - 1 >>> header.clusterBits()) + 1;
        for (long cluster = first; cluster < end; cluster++) {
            if (!isSingle(cluster)) {
                return;
            }
        }
        for (long cluster = first; cluster < end; cluster++) {
            marks.set(cluster, 1);
        }
    }

    private boolean isSingle(long cluster) {
        long offset = cluster << header.clusterBits();
        return scan.counts.get(cluster) == 1 && !doubtful.intersects(offset, header.clusterSize())
                && !hostShared.intersects(offset, header.clusterSize());
    }

    private void markData(int l1Index, long[] table) throws IOException {
        int step = header.l2EntryLongs();
        for (int i = 0; i < table.length; i += step) {
            long entry = table[i];
            long offset = entry & L2Entry.OFFSET;
            if ((entry & L2Entry.COMPRESSED) != 0 || offset == 0 || (entry & L2Entry.COPIED) == 0) {
                continue;
            }
            long guest = ((long) l1Index << header.l2EntryBits()) + i / step;
            // What is given up is not referred to any more, but a snapshot may go on using it.
            if (isSingle(offset >>> header.clusterBits()) && !unmapped.contains(guest, 1)) {
                entries.kind(entry, guest << header.clusterBits());
                marks.set(offset >>> header.clusterBits(), 1);
                if (offset >= unreadFrom) {
                    noteUnread(entry, step == 2 ? table[i + 1] : 0);
                }
            }
        }
    }

    /** Bytes of a cluster that the guest does not read, for they are zeros or the parent's by the table's word. */
    private void noteUnread(long entry, long subclusters) {
        long offset = entry & L2Entry.OFFSET;
        if (!header.extendedL2()) {
            if ((entry & L2Entry.ZERO) != 0) {
                unread.add(offset, header.clusterSize());
            }
            return;
        }
        long size = header.clusterSize() / L2Entry.SUBCLUSTERS;
        for (int i = 0; i < L2Entry.SUBCLUSTERS; i++) {
            if (L2Entry.subclusterKind(subclusters, i) != L2Entry.Kind.STORED) {
                unread.add(offset + i * size, size);
            }
        }
    }

    boolean contains(long cluster) {
        return marks.get(cluster) != 0;
    }

    /** @return bytes of these clusters that the guest does not read */
    ExtentSet unread() {
        return unread.build();
    }
}
