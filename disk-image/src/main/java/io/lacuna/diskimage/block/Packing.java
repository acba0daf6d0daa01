package io.lacuna.diskimage.block;

import io.lacuna.blockio.ExtentSet;
import java.util.List;

/**
 * How one file becomes shorter: blocks from its tail go into the gaps before them, the last block first, so that only those
 * move that lie behind the file's final end, each once.
 *
 * @param file index into {@link BlockMap#files()}
 * @param area where blocks may lie
 * @param used what blocks take before anything moves
 * @param moves in the order they are done
 * @param end first byte that no block needs afterwards
 */
record Packing(int file, BlockArea area, ExtentSet used, List<BlockMove> moves, long end) {

    Packing {
        moves = List.copyOf(moves);
    }

    /** @return bytes that the blocks to be moved take where they are */
    ExtentSet sources() {
        ExtentSet.Builder all = ExtentSet.builder();
        for (int i = moves.size() - 1; i >= 0; i--) {
            all.add(moves.get(i).from(), area.slotSize());
        }
        return all.build();
    }

    /** @return bytes that they will take */
    ExtentSet targets() {
        ExtentSet.Builder all = ExtentSet.builder();
        moves.forEach(move -> all.add(move.to(), area.slotSize()));
        return all.build();
    }

    /** @return bytes before the end that nothing needs, now or afterwards */
    ExtentSet gaps(long fileSize) {
        ExtentSet unreferenced = Unreferenced.of(area, fileSize, used);
        return unreferenced.minus(targets()).intersect(ExtentSet.ofRange(0, end));
    }

    /** @return first byte that no block needs once this many of the moves are done */
    long endAfter(int done) {
        long vacated = done == 0 ? Long.MAX_VALUE : moves.get(done - 1).from();
        ExtentSet left = used.intersect(ExtentSet.ofRange(0, vacated));
        long last = Math.max(area.start(), left.isEmpty() ? 0 : left.end(left.count() - 1));
        // Gaps are filled in rising order, so the last target is the highest.
        last = Math.max(last, done == 0 ? 0 : moves.get(done - 1).to() + area.slotSize());
        return Math.max(last, area.fixed().isEmpty() ? 0 : area.fixed().end(area.fixed().count() - 1));
    }
}
