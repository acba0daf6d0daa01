package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.diskimage.block.BlockArea;
import io.lacuna.diskimage.block.BlockMove;
import io.lacuna.diskimage.block.BlockTable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Changes the grain tables of hosted sparse files. Each step is durable before the next:
 * <ol>
 *   <li>the flag for an unclean shutdown, once for each file that is changed;
 *   <li>the redundant table, which then lacks the grains in question: whoever finds it so knows that the other one counts;
 *   <li>the table;
 *   <li>for a grain that moved, the redundant table once more: at no time do both name different places.
 * </ol>
 * The flags go off at the end, when all else is durable.
 */
final class VmdkTable implements BlockTable {

    private static final int NONE_ENTRY = 0;
    private static final int ZERO_ENTRY = 1;

    private final VmdkDisk disk;
    private final boolean child;
    private final Map<Integer, SparsePart> byFile = new HashMap<>();
    private final Set<SparsePart> lacking = new HashSet<>();
    private final Set<SparsePart> unclean = new HashSet<>();
    private final Set<SparsePart> flagged = new HashSet<>();

    /** @param child whether what is not stored shows a parent */
    VmdkTable(VmdkDisk disk, boolean child) {
        this.disk = disk;
        this.child = child;
        for (SparsePart part : disk.sparseParts()) {
            byFile.put(part.file(), part);
            if (part.header().unclean()) {
                unclean.add(part);
            }
        }
    }

    /** Notes whether the redundant table of a part has to be completed before anything else is written. */
    void redundantLacks(SparsePart part, boolean lacks) {
        if (lacks) {
            lacking.add(part);
        } else {
            lacking.remove(part);
        }
    }

    @Override
    public String obstacleToUnmapping() {
        return child && byFile.values().stream().anyMatch(part -> !part.tables().layout().zeroGrains())
                ? "without zeroed grains the tables of a child cannot hide its parent" : null;
    }

    @Override
    public void forEachBlock(Extent guestRange, BlockVisitor visitor) throws IOException {
        for (int i = disk.partAt(guestRange.offset()); i < disk.parts().size(); i++) {
            DiskPart part = disk.parts().get(i);
            long from = Math.max(guestRange.offset(), part.start());
            long to = Math.min(guestRange.end(), part.end());
            if (from >= to) {
                return;
            }
            if (part instanceof SparsePart sparse) {
                forEachBlock(sparse, sparse.grain(from), sparse.grain(to - 1) + 1, visitor);
            }
        }
    }

    private static void forEachBlock(SparsePart part, long first, long end, BlockVisitor visitor) throws IOException {
        GrainLayout layout = part.tables().layout();
        long size = layout.grainSize();
        part.tables().forEachRun(first, end, (grain, count, place) -> {
            for (long i = 0; place >= 0 && i < count; i++) {
                visitor.block(part.start() + (grain + i) * size, layout.used(grain + i), part.file(), place + i * size, size);
            }
        });
    }

    @Override
    public boolean isUnfinished() {
        return byFile.values().stream().anyMatch(this::isUnfinished);
    }

    private boolean isUnfinished(SparsePart part) {
        return lacking.contains(part) || unclean.contains(part);
    }

    /**
     * What was found unfinished, and checked in full since, is put right. Other flags are set file by file, just before the first
     * change: most files of a disk in many are not changed.
     */
    @Override
    public void begin(boolean changesTables) throws IOException {
        flagged.clear();
        for (SparsePart part : byFile.values()) {
            if (changesTables && isUnfinished(part)) {
                prepare(part);
            }
        }
    }

    private void prepare(SparsePart part) throws IOException {
        if (!flagged.add(part)) {
            return;
        }
        setFlag(part, 1);
        if (lacking.remove(part)) {
            TableWriter.copyAll(part.tables().primary(), part.tables().redundant(), part.tables().layout().grainCount());
        }
    }

    private static void setFlag(SparsePart part, int value) throws IOException {
        part.tables().file().write(SparseHeader.UNCLEAN_SHUTDOWN, ByteBuffer.wrap(new byte[] {(byte) value}));
        part.tables().file().sync();
    }

    @Override
    public void unmap(ExtentSet blocks) throws IOException {
        for (SparsePart part : byFile.values()) {
            ExtentSet.Builder grains = ExtentSet.builder();
            for (Extent range : blocks.intersect(new Extent(part.start(), part.length()))) {
                long first = part.grain(range.offset());
                grains.add(first, part.grain(range.end() - 1) + 1 - first);
            }
            ExtentSet unmapped = grains.build();
            if (!unmapped.isEmpty()) {
                prepare(part);
                int entry = child ? ZERO_ENTRY : NONE_ENTRY;
                try {
                    if (part.tables().redundant() != null) {
                        TableWriter.set(part.tables().redundant(), unmapped, grain -> entry);
                    }
                    TableWriter.set(part.tables().primary(), unmapped, grain -> entry);
                } finally {
                    part.tables().changed();
                }
            }
        }
    }

    @Override
    public void end() throws IOException {
        for (SparsePart part : flagged) {
            setFlag(part, 0);
            unclean.remove(part);
        }
        flagged.clear();
    }

    @Override
    public Optional<BlockArea> area(int file) throws IOException {
        SparsePart part = byFile.get(file);
        if (part == null) {
            return Optional.empty();
        }
        GrainLayout layout = part.tables().layout();
        long fileSize = part.tables().file().size();
        long[] start = {part.header().overhead()};
        long[] end = {0};
        long[] offsets = {0};
        part.tables().forEachRun(0, layout.grainCount(), (grain, count, place) -> {
            if (place >= 0) {
                start[0] = Math.min(start[0], place);
                end[0] = Math.max(end[0], place + count * layout.grainSize());
                offsets[0] |= place;
            }
        });
        long structuresEnd = part.tables().directory().structures().end(part.tables().directory().structures().count() - 1);
        if (end[0] > fileSize || structuresEnd > fileSize) {
            return Optional.empty(); // The last grain is cut short: it cannot be copied as a whole.
        }
        // The entry of a grain at sector 1 would say that the grain is zeros.
        long first = Math.max((ZERO_ENTRY + 1L) << Sectors.SHIFT, start[0]);
        ExtentSet fixed = part.tables().directory().structures().minus(ExtentSet.ofRange(0, first));
        // Where all grains begin at multiples of their size, so do those that move; else closer, so that no gap stays.
        long alignment = Math.max(Sectors.SIZE, Long.lowestOneBit(offsets[0] | first | layout.grainSize()));
        return Optional.of(new BlockArea(first, layout.grainSize(), alignment, fixed, 0));
    }

    @Override
    public void remap(List<BlockMove> moves) throws IOException {
        Map<SparsePart, List<BlockMove>> byPart = new HashMap<>();
        for (BlockMove move : moves) {
            byPart.computeIfAbsent(byFile.get(move.file()), part -> new ArrayList<>()).add(move);
        }
        for (Map.Entry<SparsePart, List<BlockMove>> entry : byPart.entrySet()) {
            remap(entry.getKey(), entry.getValue());
        }
    }

    private void remap(SparsePart part, List<BlockMove> moves) throws IOException {
        prepare(part);
        ExtentSet.Builder grains = ExtentSet.builder();
        Map<Long, Integer> sectors = new HashMap<>();
        for (BlockMove move : moves) {
            long grain = part.grain(move.guestOffset());
            grains.add(grain, 1);
            sectors.put(grain, (int) (move.to() >>> Sectors.SHIFT)); // Below a place that an entry of 32 bits named.
        }
        ExtentSet moved = grains.build();
        try {
            TableFile redundant = part.tables().redundant();
            if (redundant != null) {
                TableWriter.set(redundant, moved, grain -> NONE_ENTRY);
            }
            TableWriter.set(part.tables().primary(), moved, sectors::get);
            if (redundant != null) {
                TableWriter.set(redundant, moved, sectors::get);
            }
        } finally {
            part.tables().changed();
        }
    }

    @Override
    public void shorten(int file, long end) throws IOException {
        SparsePart part = byFile.get(file);
        prepare(part);
        part.tables().file().truncate(end);
        part.tables().file().sync();
    }
}
