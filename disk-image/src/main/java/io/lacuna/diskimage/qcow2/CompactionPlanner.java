package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Decides where the file can end, and what moves for it: nothing but the movable clusters behind that end, each once, into
 * the first gaps. Refcount blocks that count for nothing but what lies behind the end go and do not move.
 */
final class CompactionPlanner {

    private final Qcow2Header header;
    private final RefcountTable refcounts;
    private final MovableClusters movable;
    private final long clusters;
    /** Byte of the end from which on a refcount block need not move, for each block that could; ascending. */
    private final long[] dispensable;
    private ExtentSet gaps;

    /**
     * @param clusters of the file
     * @param unused byte ranges of clusters that nothing needs, and whose counts will be 0
     */
    CompactionPlanner(Qcow2Header header, RefcountTable refcounts, MovableClusters movable, long clusters, ExtentSet unused) {
        this.header = header;
        this.refcounts = refcounts;
        this.movable = movable;
        this.clusters = clusters;
        this.dispensable = IntStream.range(0, refcounts.blocks().length).filter(this::isMovableBlock)
                .mapToLong(i -> Math.min(refcounts.blocks()[i] >>> header.clusterBits(), refcounts.firstCluster(i)))
                .sorted().toArray();
        this.gaps = unused;
    }

    private boolean isMovableBlock(int index) {
        return refcounts.blocks()[index] != 0 && movable.contains(refcounts.blocks()[index] >>> header.clusterBits());
    }

    /**
     * Takes gaps away that must not be filled: where the host shares storage, and where the image has no place for a count.
     */
    private ExtentSet fillable(ExtentSet hostShared) {
        ExtentSet.Builder barred = ExtentSet.builder();
        for (Extent range : hostShared) {
            long from = range.offset() & -header.clusterSize();
            barred.add(from, (range.end() + header.clusterSize() - 1 & -header.clusterSize()) - from);
        }
        long perBlock = refcounts.firstCluster(1);
        for (long first = 0; first < clusters; first += perBlock) {
            if (!refcounts.covers(first)) {
                barred.add(first << header.clusterBits(), perBlock << header.clusterBits());
            }
        }
        return gaps.minus(barred.build());
    }

    /** @param hostShared what another file of the host shares */
    Relocation plan(ExtentSet hostShared) {
        ExtentSet unused = gaps;
        gaps = fillable(hostShared);
        long end = lowestEnd(0, unused);
        List<Relocation.TableMove> tables = new ArrayList<>();
        ExtentSet free = gaps;
        for (Extent table : tablesFromTheEnd()) {
            if (table.end() <= end) {
                break;
            }
            long to = firstFit(free, table);
            if (to < 0 || !isMovable(table)) {
                end = Math.max(end, lowestEnd(table.end(), unused));
            } else {
                tables.add(new Relocation.TableMove(table.offset(), to, table.length()));
                free = free.minus(ExtentSet.ofRange(to, table.length()));
                end = Math.max(end, lowestEnd(to + table.length(), unused));
            }
        }
        Relocation relocation = relocation(tables, free, end, unused);
        // A gap more or less for a table, or an end inside of its old place, can leave too few for the rest; then the tables
        // stay.
        return relocation != null ? relocation
                : relocation(List.of(), gaps, lowestEnd(tablesFromTheEnd().get(0).end(), unused), unused);
    }

    /**
     * @param least byte; the end must not lie before it
     * @return the first byte behind which every cluster is unused or can move into a gap before it
     */
    private long lowestEnd(long least, ExtentSet unused) {
        long lowest = clusters;
        long toMove = 0;
        long room = gaps.totalBytes() >>> header.clusterBits();
        int unusedAt = unused.count() - 1;
        int gapAt = gaps.count() - 1;
        int spared = dispensable.length - 1;
        long bound = least + header.clusterSize() - 1 >>> header.clusterBits();
        long next = clusters - 1;
        while (next >= bound) { // Ends: every round goes on by a cluster at least, and past most of a gap at once.
            long cluster = next;
            while (unusedAt >= 0 && first(unused, unusedAt) > cluster) {
                unusedAt--;
            }
            while (gapAt >= 0 && first(gaps, gapAt) > cluster) {
                gapAt--;
            }
            boolean isGap = gapAt >= 0 && end(gaps, gapAt) > cluster;
            long from = cluster;
            if (isGap) {
                from = Math.max(bound, first(gaps, gapAt));
            } else if (unusedAt >= 0 && end(unused, unusedAt) > cluster) {
                from = Math.max(Math.max(bound, first(unused, unusedAt)), gapAt < 0 ? 0 : end(gaps, gapAt));
            } else if (movable.contains(cluster)) {
                toMove++;
            } else {
                break;
            }
            if (spared >= 0 && dispensable[spared] >= from) {
                from = Math.min(cluster, dispensable[spared] + 1);
            }
            for (; spared >= 0 && dispensable[spared] >= cluster; spared--) {
                toMove--;
            }
            if (!isGap && toMove <= room) {
                lowest = from;
            } else if (isGap && toMove < room) {
                lowest = Math.max(from, cluster + 1 - (room - toMove));
            }
            room -= isGap ? cluster + 1 - from : 0;
            next = from - 1;
        }
        return lowest << header.clusterBits();
    }

    private long first(ExtentSet set, int index) {
        return set.start(index) >>> header.clusterBits();
    }

    private long end(ExtentSet set, int index) {
        return set.end(index) >>> header.clusterBits();
    }

    private List<Extent> tablesFromTheEnd() {
        List<Extent> tables = new ArrayList<>();
        if (header.l1Entries() > 0) {
            tables.add(new Extent(header.l1Offset(), upToClusters((long) header.l1Entries() * Long.BYTES)));
        }
        tables.add(new Extent(header.refcountTableOffset(), (long) header.refcountTableClusters() << header.clusterBits()));
        tables.sort(Comparator.comparingLong(Extent::offset).reversed());
        return tables;
    }

    private long upToClusters(long bytes) {
        return bytes + header.clusterSize() - 1 & -header.clusterSize();
    }

    private boolean isMovable(Extent table) {
        return movable.contains(table.offset() >>> header.clusterBits());
    }

    /** @return byte of the first gap before a table that it fits into; -1 if there is none */
    private static long firstFit(ExtentSet free, Extent table) {
        for (Extent gap : free) {
            if (gap.offset() >= table.offset()) {
                break;
            }
            if (gap.length() >= table.length()) {
                return gap.offset();
            }
        }
        return -1;
    }

    /** @return null if there are too few gaps */
    private Relocation relocation(List<Relocation.TableMove> tables, ExtentSet free, long end, ExtentSet unused) {
        ExtentSet behind = ExtentSet.ofRange(end, (clusters << header.clusterBits()) - end).minus(unused);
        for (Relocation.TableMove table : tables) {
            // Its old place can begin before the end, but nothing goes there: it may be punched on the way, and an undo that
            // is cut would leave a header that names it while other bytes are in it.
            behind = behind.minus(ExtentSet.ofRange(table.from(), table.length()));
        }
        int[] dropped = IntStream.range(0, refcounts.blocks().length).filter(i -> isMovableBlock(i)
                && refcounts.blocks()[i] >= end && refcounts.firstCluster(i) << header.clusterBits() >= end).toArray();
        long[] blocks = LongStream.of(Arrays.stream(dropped).mapToLong(i -> refcounts.blocks()[i]).toArray()).sorted().toArray();
        ExtentSet.Builder going = ExtentSet.builder();
        for (long block : blocks) {
            going.add(block, header.clusterSize());
        }
        ExtentSet sources = behind.minus(going.build());
        ExtentSet targets = first(free.intersect(ExtentSet.ofRange(0, end)), sources.totalBytes());
        return targets.totalBytes() < sources.totalBytes() ? null : new Relocation(tables, sources, targets, dropped, end);
    }

    private static ExtentSet first(ExtentSet set, long bytes) {
        ExtentSet.Builder part = ExtentSet.builder();
        long left = bytes;
        for (int i = 0; i < set.count() && left > 0; i++) {
            long length = Math.min(left, set.end(i) - set.start(i));
            part.add(set.start(i), length);
            left -= length;
        }
        return part.build();
    }
}
