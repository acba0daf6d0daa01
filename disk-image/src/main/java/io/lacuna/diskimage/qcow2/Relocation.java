package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.ExtentSet;
import java.util.Arrays;
import java.util.List;

/**
 * Which clusters go where, so that the file becomes shorter. Single clusters keep their order: the first source goes into the first
 * target. All are byte ranges of whole clusters.
 */
final class Relocation {

    /**
     * A table of several clusters in a row that moves as a whole.
     *
     * @param from byte of the file where it starts
     * @param to byte where it will
     * @param length bytes
     */
    record TableMove(long from, long to, long length) {
    }

    private final List<TableMove> tables;
    private final ExtentSet sources;
    private final ExtentSet targets;
    private final long[] bytesBeforeSource;
    private final long[] bytesBeforeTarget;
    private final int[] droppedBlocks;
    private final long end;

    /**
     * @param tables the L1 and the refcount table, if they move; done first
     * @param sources single clusters that move
     * @param targets as many that are free
     * @param droppedBlocks indices of the refcount blocks that go, for they count for nothing before the end
     * @param end first byte that nothing needs afterwards
     */
    Relocation(List<TableMove> tables, ExtentSet sources, ExtentSet targets, int[] droppedBlocks, long end) {
        this.tables = List.copyOf(tables);
        this.sources = sources;
        this.targets = targets;
        this.bytesBeforeSource = bytesBefore(sources);
        this.bytesBeforeTarget = bytesBefore(targets);
        this.droppedBlocks = droppedBlocks.clone();
        this.end = end;
        if (sources.totalBytes() != targets.totalBytes()) {
            throw new IllegalArgumentException(sources.totalBytes() + " bytes do not fit into " + targets.totalBytes());
        }
    }

    private static long[] bytesBefore(ExtentSet set) {
        long[] before = new long[set.count()];
        for (int i = 1; i < before.length; i++) {
            before[i] = before[i - 1] + set.end(i - 1) - set.start(i - 1);
        }
        return before;
    }

    List<TableMove> tables() {
        return tables;
    }

    ExtentSet sources() {
        return sources;
    }

    ExtentSet targets() {
        return targets;
    }

    int[] droppedBlocks() {
        return droppedBlocks;
    }

    long end() {
        return end;
    }

    /** @return bytes that move, tables included */
    long movedBytes() {
        return sources.totalBytes() + tables.stream().mapToLong(TableMove::length).sum();
    }

    /** @return how many bytes of sources lie before this one; -1 if it is not in a source */
    long rank(long offset) {
        int i = sources.indexOfFirstEndingAfter(offset);
        return i == sources.count() || sources.start(i) > offset ? -1 : bytesBeforeSource[i] + offset - sources.start(i);
    }

    /** @param rank bytes of sources that lie before it */
    long source(long rank) {
        return at(sources, bytesBeforeSource, rank);
    }

    /** @param rank of its source */
    long target(long rank) {
        return at(targets, bytesBeforeTarget, rank);
    }

    /** Takes neighbouring clusters that go to neighbouring places. */
    interface RunSink {
        void take(long from, long to, long length);
    }

    /** Visits all that moves. */
    void forEachRun(RunSink sink) {
        tables.forEach(table -> sink.take(table.from(), table.to(), table.length()));
        int target = 0;
        long inTarget = 0;
        for (int i = 0; i < sources.count(); i++) {
            for (long from = sources.start(i); from < sources.end(i);) { // Ends: every run has at least one cluster.
                long to = targets.start(target) + inTarget;
                long length = Math.min(sources.end(i) - from, targets.end(target) - to);
                sink.take(from, to, length);
                from += length;
                inTarget += length;
                if (to + length == targets.end(target)) {
                    target++;
                    inTarget = 0;
                }
            }
        }
    }

    /** @return all places that are filled, those of the tables included */
    ExtentSet allTargets() {
        ExtentSet.Builder all = ExtentSet.builder();
        tables.forEach(table -> all.add(table.to(), table.length()));
        return all.addAll(targets).build();
    }

    /** @return the places of the tables that move */
    ExtentSet vacatedTables() {
        ExtentSet.Builder all = ExtentSet.builder();
        tables.forEach(table -> all.add(table.from(), table.length()));
        return all.build();
    }

    private static long at(ExtentSet set, long[] before, long rank) {
        int i = Arrays.binarySearch(before, rank);
        i = i < 0 ? -i - 2 : i;
        return set.start(i) + rank - before[i];
    }
}
