package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.block.HostSide;
import java.io.IOException;
import java.util.function.LongConsumer;

/**
 * Moves clusters into gaps, batch by batch, each step durable before the next: the gaps are claimed by their
 * reference counts (and those that the batch before has left are given up), the clusters are copied, what refers to them is
 * changed. So at a cut every reference names a place that holds all of its cluster, and a count is too high at worst. Tables move
 * before data, for the entries of data are changed in them.
 *
 * <p>A batch needs little storage beyond what the file has: where the gaps have none, what the batch leaves is punched at its end.
 */
final class ClusterMover {

    /** Bytes beside one cluster that a run may take in addition, for a time. With the journal and tables: below 1 MiB. */
    private static final long SPARE = 512 << 10;
    /** Bytes copied between two syncs: so much is done again after a cut at most. */
    private static final long LARGEST_BATCH = 64 << 20;
    /** Clusters whose owners are looked up together: 8 MiB of memory. */
    private static final int WINDOW = 1 << 20;

    private final Qcow2Header header;
    private final HostFile file;
    private final Compaction compaction;
    private final Relocation relocation;
    private final TableLinks links;
    private final ClusterCopier copier;
    private final LongConsumer progress;
    private final ClusterBatch batch;
    private final Progress note;
    private ExtentSet released = ExtentSet.EMPTY;
    private ExtentSet.Builder vacated = ExtentSet.builder();
    private long extra;
    private long moved;

    /** Hears how far the run is. */
    interface Progress {
        void moved(long clusters) throws IOException;
    }

    /**
     * @param l1 the active L1 table, which is on the disk as well
     * @param progress takes bytes as they are copied
     * @param note is told after each batch
     */
    ClusterMover(Qcow2Header header, HostFile file, Compaction compaction, long[] l1, LongConsumer progress, Progress note) {
        this.header = header;
        this.file = file;
        this.compaction = compaction;
        this.relocation = compaction.relocation();
        this.links = new TableLinks(header, file, compaction.refcounts(), l1);
        this.copier = new ClusterCopier(file, compaction);
        this.progress = progress;
        this.note = note;
        this.batch = new ClusterBatch(header.clusterSize());
    }

    /**
     * Does all of it, durably; the file can be cut then. The header, the L1 table and the refcount table may be others afterwards.
     */
    void run() throws IOException {
        for (Relocation.TableMove table : relocation.tables()) {
            moveTable(table);
        }
        long[] blocks = compaction.refcounts().blocks();
        for (int i = 0; i < blocks.length; i++) {
            take(blocks[i], i, links::moveBlocks);
        }
        move(links::moveBlocks);
        for (int i = 0; i < links.l1().length; i++) {
            take(links.l1()[i] & L2Entry.OFFSET, i, links::moveL2Tables);
        }
        move(links::moveL2Tables);
        long tables = moved - relocation.tables().stream().mapToLong(table -> table.length() >>> header.clusterBits()).sum();
        moveData((relocation.sources().totalBytes() >>> header.clusterBits()) - tables);
        release();
    }

    private interface Remapping {
        void of(ClusterBatch batch) throws IOException;
    }

    private void moveTable(Relocation.TableMove table) throws IOException {
        for (long done = 0; done < table.length(); done += header.clusterSize()) {
            extra += needed(table.from() + done, table.to() + done);
            batch.add(table.from() + done, table.to() + done, 0);
        }
        move(moving -> links.moveTable(table));
    }

    /** Takes a cluster into the batch if it is to move, and moves the batch if it is full. */
    private void take(long offset, long owner, Remapping remapping) throws IOException {
        long rank = offset == 0 ? -1 : relocation.rank(offset);
        if (rank < 0) {
            return;
        }
        long to = relocation.target(rank);
        long needed = needed(offset, to);
        if (batch.size() > 0 && (extra + needed > SPARE + header.clusterSize()
                || (long) batch.size() << header.clusterBits() >= LARGEST_BATCH)) {
            move(remapping);
        }
        extra += needed;
        batch.add(offset, to, owner);
    }

    /** @return bytes that the host must find for a cluster, unless it can never get any back before the file is cut */
    private long needed(long from, long to) {
        HostSide image = compaction.image();
        if (!image.punchable() || image.map().allocated().contains(to, header.clusterSize())) {
            return 0;
        }
        ExtentSet allocated = image.map().allocated().intersect(new Extent(to, header.clusterSize()));
        return MovedClusters.of(from, to, header.clusterSize(), compaction).written().minus(allocated).totalBytes();
    }

    private void moveData(long expected) throws IOException {
        long found = 0;
        long total = relocation.sources().totalBytes();
        long windowBytes = (long) WINDOW << header.clusterBits();
        for (long first = 0; first < total && expected > 0; first += windowBytes) {
            long[] owners = links.owners(relocation, first, Math.min(windowBytes, total - first));
            for (int i = 0; i < owners.length; i++) {
                if (owners[i] > 0) {
                    take(relocation.source(first + ((long) i << header.clusterBits())), owners[i] - 1, links::moveData);
                    found++;
                }
            }
        }
        move(links::moveData);
        if (found != expected) {
            throw new UnsafeException("the image's L2 tables changed after the plan was made: plan again");
        }
    }

    private void move(Remapping remapping) throws IOException {
        if (batch.size() == 0) {
            return;
        }
        giveUp();
        compaction.refcounts().exchange(file, batch.targets(), 0, 1);
        file.sync();
        for (int i = 0; i < batch.size();) {
            int count = batch.runFrom(i);
            long length = (long) count << header.clusterBits();
            copier.copy(batch.from(i), batch.to(i), length);
            progress.accept(length);
            i += count;
        }
        file.sync();
        remapping.of(batch);
        file.sync();
        released = batch.sources();
        vacated.addAll(released);
        moved += batch.size();
        batch.clear();
        releaseStorage();
        note.moved(moved);
    }

    /** Lowers the counts of what the batch before has left, where the image still counts it. */
    private void giveUp() throws IOException {
        if (!released.isEmpty()) {
            compaction.refcounts().exchange(file, released, 1, 0);
            released = ExtentSet.EMPTY;
        }
    }

    /** Punches what nothing refers to any more, if storage was taken elsewhere. */
    private void releaseStorage() throws IOException {
        HostSide image = compaction.image().finest();
        if (extra == 0 || !image.punchable()) {
            return;
        }
        ExtentSet left = vacated.build();
        ExtentSet holes = image.inward(left).intersect(image.map().allocated());
        for (Extent hole : image.punches(holes, holes, file.size())) {
            file.punch(hole.offset(), hole.length());
        }
        extra = Math.max(0, extra - holes.totalBytes());
        vacated = ExtentSet.builder().addAll(left.minus(holes));
    }

    private void release() throws IOException {
        if (!released.isEmpty()) {
            giveUp();
            file.sync();
        }
        int[] dropped = relocation.droppedBlocks();
        if (dropped.length > 0) {
            ExtentSet blocks = links.dropBlocks(dropped);
            file.sync();
            // Blocks that counted for themselves, or for each other, are gone with their counts.
            ExtentSet.Builder counted = ExtentSet.builder();
            for (Extent range : blocks) {
                for (long offset = range.offset(); offset < range.end(); offset += header.clusterSize()) {
                    if (compaction.refcounts().covers(offset >>> header.clusterBits())) {
                        counted.add(offset, header.clusterSize());
                    }
                }
            }
            compaction.refcounts().exchange(file, counted.build(), 1, 0);
            file.sync();
        }
    }
}
