package io.lacuna.diskimage.block;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Decides which blocks move. Holds the blocks that may have to, and no others. */
final class PackingPlanner {

    private final BlockMap map;
    private final BlockTable table;
    private final ExtentSet unmapped;
    private final BlockArea[] areas;
    private final ExtentSet.Builder[] used;
    private final long[] counts;
    private final long[] sums;
    private final List<List<Block>> candidates = new ArrayList<>();

    private record Block(long guest, long host) {
    }

    /**
     * @param unmapped guest ranges of the blocks that are given up first
     * @param areas where blocks of each file may lie; null for a file that keeps its blocks and its length
     */
    PackingPlanner(BlockMap map, BlockTable table, ExtentSet unmapped, List<BlockArea> areas) {
        this.map = map;
        this.table = table;
        this.unmapped = unmapped;
        this.areas = areas.toArray(BlockArea[]::new);
        this.used = new ExtentSet.Builder[areas.size()];
        this.counts = new long[areas.size()];
        this.sums = new long[areas.size()];
        for (int i = 0; i < used.length; i++) {
            used[i] = ExtentSet.builder();
            candidates.add(new ArrayList<>());
        }
    }

    /** @return for each file; null for a file that keeps its blocks and its length */
    List<Packing> plan() throws IOException {
        forEachLiveBlock((guest, guestLength, file, host, length) -> {
            if (length != areas[file].slotSize() || host < areas[file].start()) {
                throw corrupt(file, "block of guest byte " + guest, host, areas[file].slotSize() + " bytes behind "
                        + areas[file].start(), length + " bytes");
            }
            used[file].add(host, length);
            counts[file]++;
            sums[file] += length;
        });
        List<ExtentSet> usedSets = new ArrayList<>();
        for (int i = 0; i < areas.length; i++) {
            ExtentSet set = used[i].build();
            used[i] = null;
            usedSets.add(set);
            if (areas[i] != null) {
                check(i, set);
            }
        }
        // All blocks of a file together reach at least this far, wherever they go: what ends before it stays.
        forEachLiveBlock((guest, guestLength, file, host, length) -> {
            if (host + length > areas[file].start() + counts[file] * length) {
                candidates.get(file).add(new Block(guest, host));
            }
        });
        List<Packing> packings = new ArrayList<>();
        for (int i = 0; i < areas.length; i++) {
            packings.add(areas[i] == null ? null : pack(i, usedSets.get(i)));
        }
        return packings;
    }

    private void check(int file, ExtentSet set) throws CorruptException {
        if (set.totalBytes() != sums[file]) {
            throw corrupt(file, "table of blocks", -1, "every place of the file used once",
                    (sums[file] - set.totalBytes()) + " bytes that are used more than once");
        }
        long limit = map.files().get(file).size() - areas[file].tail();
        if (!set.isEmpty() && set.end(set.count() - 1) > limit) {
            throw corrupt(file, "last block", set.end(set.count() - 1) - areas[file].slotSize(),
                    "an end at or before " + limit, set.end(set.count() - 1));
        }
        if (!set.intersect(areas[file].fixed()).isEmpty()) {
            throw corrupt(file, "table of blocks", set.intersect(areas[file].fixed()).start(0),
                    "blocks beside the format's own structures", "one on top of them");
        }
    }

    private CorruptException corrupt(int file, String what, long offset, String expected, Object found) {
        return (CorruptException) new CorruptException(what, offset, expected, found).in(map.files().get(file).path());
    }

    private void forEachLiveBlock(BlockTable.BlockVisitor visitor) throws IOException {
        if (map.mappedSize() == 0) {
            return;
        }
        table.forEachBlock(new Extent(0, map.mappedSize()), (guest, guestLength, file, host, length) -> {
            if (areas[file] != null && !unmapped.contains(guest, guestLength)) {
                visitor.block(guest, guestLength, file, host, length);
            }
        });
    }

    private Packing pack(int file, ExtentSet used) {
        BlockArea area = areas[file];
        HostFile host = map.files().get(file);
        ExtentSet gaps = Unreferenced.of(area, host.size(), used);
        long fixedEnd = area.fixed().isEmpty() ? 0 : area.fixed().end(area.fixed().count() - 1);
        List<Block> sources = candidates.get(file);
        sources.sort(Collections.reverseOrder((a, b) -> Long.compare(a.host(), b.host())));
        List<BlockMove> moves = new ArrayList<>();
        int gap = 0;
        long target = area.start();
        for (Block source : sources) {
            while (gap < gaps.count() && aligned(area, Math.max(target, gaps.start(gap))) + area.slotSize() > gaps.end(gap)) {
                gap++;
            }
            // Nothing is won by a move to behind itself, nor by one that leaves something behind the place it left.
            if (gap == gaps.count() || gaps.start(gap) > source.host() || source.host() < fixedEnd) {
                break;
            }
            long to = aligned(area, Math.max(target, gaps.start(gap)));
            moves.add(new BlockMove(source.guest(), file, source.host(), to));
            target = to + area.slotSize();
        }
        Packing packing = new Packing(file, area, used, moves, 0);
        return new Packing(file, area, used, moves, packing.endAfter(moves.size()));
    }

    private static long aligned(BlockArea area, long position) {
        return position + Math.floorMod(area.start() - position, area.alignment());
    }
}
