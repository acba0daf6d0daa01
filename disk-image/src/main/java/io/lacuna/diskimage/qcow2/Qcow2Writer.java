package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.block.CompactionJournal;
import io.lacuna.diskimage.block.WorkDone;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Comparator;
import java.util.function.LongConsumer;
import java.util.stream.IntStream;

/**
 * Does what a plan says. What becomes unreachable is released last, so that a cut at any point leaks clusters at worst:
 *
 * <ol>
 * <li>auto-clear bits that are not known are cleared, and that is made durable;
 * <li>L2 and L1 entries go, durable;
 * <li>then the reference counts, durable: a count must never be lower than the references on the disk;
 * <li>then clusters move into the gaps, if the file is to become shorter ({@link ClusterMover}); a journal stands meanwhile;
 * <li>then the host bytes, for a table that still names them would read zeros;
 * <li>then the file is cut, for until then its last clusters are merely unused.
 * </ol>
 */
final class Qcow2Writer {

    private static final int SECTOR = 512;
    private static final int ENTRIES_PER_SECTOR = SECTOR / Long.BYTES;

    private final Qcow2Header header;
    private final HostFile file;
    private final HostFile dataFile;

    Qcow2Writer(Qcow2Header header, HostFile file, HostFile dataFile) {
        this.header = header;
        this.file = file;
        this.dataFile = dataFile;
    }

    /** @param l1 the active L1 table, which is on the disk as well; it and the header may be others afterwards */
    void apply(Qcow2Plan plan, long[] l1, Progress progress) throws IOException {
        if (plan.isEmpty()) {
            return;
        }
        CompactionJournal journal = plan.journal();
        try {
            if (plan.compaction() != null) {
                journal.create(plan.mode(), plan.compaction().relocation().movedBytes() >>> header.clusterBits());
            }
            if (!plan.leavesImageAlone()) {
                change(plan, l1, progress);
            }
            if (journal != null && journal.stands()) {
                journal.remove();
            }
        } finally {
            if (journal != null) {
                journal.release();
            }
        }
    }

    private void change(Qcow2Plan plan, long[] l1, Progress progress) throws IOException {
        clearUnknownFeatures();
        long[] newL1 = l1;
        if (plan.tables() != null) {
            writeL2(plan.tables(), l1);
            newL1 = writeL1(plan.tables(), l1);
            file.sync();
            ExtentSet recounted = plan.tables().recounted();
            if (!recounted.isEmpty()) {
                plan.tables().scan().refcounts.lower(file, recounted, plan.tables().scan().counts);
                file.sync();
            }
        }
        long moving = plan.compaction() == null ? 0 : plan.compaction().relocation().movedBytes();
        long total = plan.imagePunches().totalBytes() + plan.dataPunches().totalBytes() + moving;
        LongConsumer work = new WorkDone(total, plan.plannedBytes(), progress)::done;
        if (plan.compaction() != null) {
            new ClusterMover(header, file, plan.compaction(), newL1, work, plan.journal()::note).run();
        }
        punch(file, plan.imagePunches(), work);
        if (!plan.dataPunches().isEmpty()) {
            punch(dataFile, plan.dataPunches(), work);
        }
        if (plan.newSize() >= 0 && plan.newSize() < file.size()) {
            file.truncate(plan.newSize());
            file.sync();
        }
    }

    private void clearUnknownFeatures() throws IOException {
        if ((header.autoclear() & ~Qcow2Header.AUTOCLEAR_KNOWN) != 0) {
            ByteBuffer bits = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.BIG_ENDIAN);
            bits.putLong(0, header.autoclear() & Qcow2Header.AUTOCLEAR_KNOWN);
            file.write(Qcow2Header.AUTOCLEAR, bits);
            file.sync();
        }
    }

    private static void punch(HostFile target, ExtentSet punches, LongConsumer work) throws IOException {
        for (Extent hole : punches) {
            target.punch(hole.offset(), hole.length());
            work.accept(hole.length());
        }
        if (!punches.isEmpty()) {
            target.sync();
        }
    }

    /** Table by table: reads from the first to the last entry that changes, and writes that back in whole sectors. */
    private void writeL2(TableChanges changes, long[] l1) throws IOException {
        ClusterRuns runs = changes.unmapped;
        int[] tables = changes.scan().activeTables;
        int[] order = sortedByGuest(runs);
        int table = 0;
        for (int from = 0; from < order.length;) {
            long index = runs.guest(order[from]) >>> header.l2EntryBits();
            int to = from + 1;
            while (to < order.length && runs.guest(order[to]) >>> header.l2EntryBits() == index) {
                to++;
            }
            while (tables[table] < index) {
                table++;
            }
            if (!changes.isDropped(table)) {
                writeTable(changes, order, from, to, l1[(int) index] & L2Entry.OFFSET);
            }
            from = to;
        }
    }

    /** @return indices of the runs in the order of the disk; shared and compressed clusters were found before all others */
    private static int[] sortedByGuest(ClusterRuns runs) {
        int[] order = new int[runs.size()];
        boolean sorted = true;
        for (int i = 0; i < order.length; i++) {
            order[i] = i;
            sorted &= i == 0 || runs.guest(i) > runs.guest(i - 1);
        }
        return sorted ? order : IntStream.of(order).boxed().sorted(Comparator.comparingLong(runs::guest))
                .mapToInt(Integer::intValue).toArray();
    }

    private void writeTable(TableChanges changes, int[] order, int from, int to, long tableOffset) throws IOException {
        ClusterRuns runs = changes.unmapped;
        int entryBytes = header.l2EntryLongs() * Long.BYTES;
        long mask = (1L << header.l2EntryBits()) - 1;
        int last = order[to - 1];
        int start = (int) (runs.guest(order[from]) & mask) * entryBytes & -SECTOR;
        int end = ((int) (runs.guest(last) & mask) + runs.count(last)) * entryBytes + SECTOR - 1 & -SECTOR;
        ByteBuffer bytes = ByteBuffer.allocate(end - start).order(ByteOrder.BIG_ENDIAN);
        HostBytes.readPadded(file, tableOffset + start, bytes);
        for (int i = from; i < to; i++) {
            int run = order[i];
            for (int k = 0; k < runs.count(run); k++) {
                int at = (int) (runs.guest(run) + k & mask) * entryBytes - start;
                if (bytes.getLong(at) != runs.entry(run) + k * header.clusterSize()) {
                    throw new UnsafeException("the image's L2 tables changed after the plan was made: plan again");
                }
                boolean zero = runs.guest(run) + k < changes.zeroClustersEnd;
                bytes.putLong(at, zero && !header.extendedL2() ? L2Entry.ZERO : 0);
                if (header.extendedL2()) {
                    bytes.putLong(at + Long.BYTES, zero ? L2Entry.ALL_ZERO : 0);
                }
            }
        }
        file.write(tableOffset + start, bytes.clear());
    }

    /** L1 entries of dropped tables become 0, sector by sector; with them goes all that the table maps. */
    private long[] writeL1(TableChanges changes, long[] l1) throws IOException {
        long[] changed = l1.clone();
        int[] tables = changes.scan().activeTables;
        for (int i = 0; i < tables.length; i++) {
            if (changes.isDropped(i)) {
                changed[tables[i]] = 0;
            }
        }
        for (int from = 0; from < changed.length;) {
            int to = from;
            while (to < changed.length && differs(l1, changed, to)) {
                to = Math.min(changed.length, to + ENTRIES_PER_SECTOR); // neighbouring sectors in one write
            }
            if (to > from) {
                ByteBuffer bytes = ByteBuffer.allocate((to - from) * Long.BYTES).order(ByteOrder.BIG_ENDIAN);
                bytes.asLongBuffer().put(changed, from, to - from);
                file.write(header.l1Offset() + (long) from * Long.BYTES, bytes);
                from = to;
            } else {
                from += ENTRIES_PER_SECTOR;
            }
        }
        return changed;
    }

    private static boolean differs(long[] one, long[] other, int sector) {
        int end = Math.min(one.length, sector + ENTRIES_PER_SECTOR);
        return !Arrays.equals(one, sector, end, other, sector, end);
    }
}
