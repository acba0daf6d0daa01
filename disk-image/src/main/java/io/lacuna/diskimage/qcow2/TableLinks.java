package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** What refers to clusters that move: header, refcount table, L1 table and L2 tables. Changes them in whole sectors. */
final class TableLinks {

    private static final int SECTOR = 512;
    private static final int L1_OFFSET = 40; // u64, header
    private static final int REFCOUNT_TABLE_OFFSET = 48; // u64, header

    private final Qcow2Header header;
    private final HostFile file;
    private final RefcountTable refcounts;
    private final long[] l1;
    private long l1Offset;
    private long refcountTableOffset;

    /** @param l1 the active L1 table, which is on the disk as well */
    TableLinks(Qcow2Header header, HostFile file, RefcountTable refcounts, long[] l1) {
        this.header = header;
        this.file = file;
        this.refcounts = refcounts;
        this.l1 = l1.clone();
        this.l1Offset = header.l1Offset();
        this.refcountTableOffset = header.refcountTableOffset();
    }

    /** @return the active L1 table as it is now */
    long[] l1() {
        return l1;
    }

    void moveTable(Relocation.TableMove table) throws IOException {
        int field;
        if (table.from() == l1Offset) {
            field = L1_OFFSET;
            l1Offset = table.to();
        } else {
            field = REFCOUNT_TABLE_OFFSET;
            refcountTableOffset = table.to();
        }
        ByteBuffer bytes = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.BIG_ENDIAN);
        file.read(field, bytes);
        if (bytes.getLong(0) != table.from()) {
            throw changed("header");
        }
        file.write(field, bytes.putLong(0, table.to()).clear());
    }

    /** The owners are indices of the refcount table. */
    void moveBlocks(ClusterBatch batch) throws IOException {
        long[] blocks = refcounts.blocks();
        for (int i = 0; i < batch.size(); i++) {
            blocks[(int) batch.owner(i)] = batch.to(i);
        }
        writeSectors(refcountTableOffset, blocks, batch);
    }

    /** The owners are indices of the L1 table. */
    void moveL2Tables(ClusterBatch batch) throws IOException {
        for (int i = 0; i < batch.size(); i++) {
            int index = (int) batch.owner(i);
            l1[index] = l1[index] & ~L2Entry.OFFSET | batch.to(i);
        }
        writeSectors(l1Offset, l1, batch);
    }

    /** @return the places of the blocks, to which nothing refers any more */
    ExtentSet dropBlocks(int[] indices) throws IOException {
        ExtentSet.Builder places = ExtentSet.builder();
        ClusterBatch batch = new ClusterBatch(header.clusterSize());
        for (int index : indices) {
            places.add(refcounts.blocks()[index], header.clusterSize());
            batch.add(refcounts.blocks()[index], 0, index);
            refcounts.blocks()[index] = 0;
        }
        writeSectors(refcountTableOffset, refcounts.blocks(), batch);
        return places.build();
    }

    private void writeSectors(long offset, long[] table, ClusterBatch batch) throws IOException {
        int perSector = SECTOR / Long.BYTES;
        int done = -1;
        for (int i : batch.byOwner()) {
            int sector = (int) (batch.owner(i) / perSector);
            if (sector != done) {
                int first = sector * perSector;
                int count = Math.min(perSector, table.length - first);
                ByteBuffer bytes = ByteBuffer.allocate(count * Long.BYTES).order(ByteOrder.BIG_ENDIAN);
                bytes.asLongBuffer().put(table, first, count);
                file.write(offset + (long) first * Long.BYTES, bytes);
                done = sector;
            }
        }
    }

    /**
     * Looks up which guest clusters lie in clusters that move.
     *
     * @param rank of the first of them
     * @param bytes of them
     * @return for each the guest cluster and 1, or 0 if none does
     */
    long[] owners(Relocation relocation, long rank, long bytes) throws IOException {
        long[] owners = new long[(int) (bytes >>> header.clusterBits())];
        int[] indices = new int[l1.length];
        long[] offsets = new long[l1.length];
        int count = 0;
        for (int i = 0; i < l1.length; i++) {
            if (l1[i] != 0) {
                indices[count] = i;
                offsets[count++] = l1[i] & L2Entry.OFFSET;
            }
        }
        int step = header.l2EntryLongs();
        new TableReader(file, (int) header.clusterSize()).forEach(offsets, count, (index, table) -> {
            for (int i = 0; i < table.length; i += step) {
                long offset = table[i] & L2Entry.OFFSET;
                if (offset < relocation.end() || (table[i] & L2Entry.COMPRESSED) != 0) {
                    continue;
                }
                long at = relocation.rank(offset) - rank;
                if (at >= 0 && at < bytes) {
                    owners[(int) (at >>> header.clusterBits())] = ((long) indices[index] << header.l2EntryBits()) + i / step + 1;
                }
            }
        });
        return owners;
    }

    /** The owners are guest clusters. Table by table: reads from the first to the last entry that changes and writes that back. */
    void moveData(ClusterBatch batch) throws IOException {
        int[] order = batch.byOwner();
        for (int from = 0; from < order.length;) {
            long index = batch.owner(order[from]) >>> header.l2EntryBits();
            int to = from + 1;
            while (to < order.length && batch.owner(order[to]) >>> header.l2EntryBits() == index) {
                to++;
            }
            changeEntries(l1[(int) index] & L2Entry.OFFSET, batch, order, from, to);
            from = to;
        }
    }

    private void changeEntries(long tableOffset, ClusterBatch batch, int[] order, int from, int to) throws IOException {
        int entryBytes = header.l2EntryLongs() * Long.BYTES;
        long mask = (1L << header.l2EntryBits()) - 1;
        int start = (int) (batch.owner(order[from]) & mask) * entryBytes & -SECTOR;
        int end = ((int) (batch.owner(order[to - 1]) & mask) + 1) * entryBytes + SECTOR - 1 & -SECTOR;
        ByteBuffer bytes = ByteBuffer.allocate(end - start).order(ByteOrder.BIG_ENDIAN);
        HostBytes.readPadded(file, tableOffset + start, bytes);
        for (int i = from; i < to; i++) {
            int moved = order[i];
            int at = (int) (batch.owner(moved) & mask) * entryBytes - start;
            long entry = bytes.getLong(at);
            if ((entry & (L2Entry.OFFSET | L2Entry.COMPRESSED)) != batch.from(moved)) {
                throw changed("L2 tables");
            }
            bytes.putLong(at, entry & ~L2Entry.OFFSET | batch.to(moved));
        }
        file.write(tableOffset + start, bytes.clear());
    }

    private static UnsafeException changed(String what) {
        return new UnsafeException("the image's " + what + " changed after the plan was made: plan again");
    }
}
