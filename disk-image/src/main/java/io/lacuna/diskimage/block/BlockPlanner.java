package io.lacuna.diskimage.block;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.BlockPlan.FilePlan;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Computes a plan. Used once. */
final class BlockPlanner {

    private final DiskImage image;
    private final BlockMap map;
    private final BlockTable table;
    private final DeallocationRequest request;
    private final boolean unmapping;
    private final FreeParts parts;
    private final GuestPieces pieces = new GuestPieces();
    private final List<String> remarks = new ArrayList<>();
    private final int fileCount;
    /** Whole blocks that are free: as the guest sees them, and all that is theirs in each file. */
    private ExtentSet unmapped = ExtentSet.EMPTY;
    private List<ExtentSet> blocks;

    BlockPlanner(DiskImage image, BlockMap map, BlockTable table, String whyNoTable, DeallocationRequest request) {
        this.image = image;
        this.map = map;
        this.table = table;
        this.request = request;
        this.parts = new FreeParts(request.free());
        this.fileCount = map.files().size();
        this.blocks = Collections.nCopies(fileCount, ExtentSet.EMPTY);
        String obstacle = table == null ? whyNoTable : table.obstacleToUnmapping();
        this.unmapping = request.mode() != ReclaimMode.PUNCH && obstacle == null;
        if (request.mode() != ReclaimMode.PUNCH && table == null) {
            remarks.add(whyNoTable + " So its free space is punched, and its length stays.");
        } else if (request.mode() != ReclaimMode.PUNCH && obstacle != null) {
            remarks.add("Blocks are not unmapped but punched: " + obstacle + ".");
        }
    }

    BlockPlan plan() throws IOException {
        ExtentSet inside = parts.keep(FreeParts.OUTSIDE, request.free().intersect(ExtentSet.ofRange(0, map.virtualSize())));
        ExtentSet wanted = parts.keep(FreeParts.SHORT, inside.atLeast(request.minExtent()));
        for (Extent range : wanted) {
            map.forEachStored(range, pieces::add);
        }
        parts.keep(FreeParts.UNSTORED, pieces.guestBytes());
        if (unmapping) {
            findWholeBlocks(wanted);
        }

        List<ExtentSet> stored = pieces.hostBytes(fileCount);
        List<HostSide> sides = new ArrayList<>();
        List<ExtentSet> unreferenced = unreferenced();
        for (int file = 0; file < fileCount; file++) {
            boolean touched = !(stored.get(file).isEmpty() && blocks.get(file).isEmpty() && unreferenced.get(file).isEmpty());
            sides.add(touched ? HostSide.of(map.files().get(file), request, !unmapping, remarks) : null);
        }
        if (unmapping && request.granularity() > map.blockSize()) {
            keepBlocksOutsideOfHoles(holes(sides, stored, unreferenced));
        }
        requireSingleUse(stored);
        return plan(sides, holes(sides, stored, unreferenced), unreferenced);
    }

    private void findWholeBlocks(ExtentSet wanted) throws IOException {
        ExtentSet.Builder guest = ExtentSet.builder();
        ExtentSet.Builder[] hosts = new ExtentSet.Builder[fileCount];
        for (Extent range : wanted) {
            table.forEachBlock(range, (guestOffset, guestLength, file, hostOffset, hostLength) -> {
                if (guestOffset >= range.offset() && guestOffset + guestLength <= range.end()) {
                    guest.add(guestOffset, guestLength);
                    if (hosts[file] == null) {
                        hosts[file] = ExtentSet.builder();
                    }
                    hosts[file].add(hostOffset, hostLength);
                }
            });
        }
        unmapped = guest.build();
        blocks = new ArrayList<>();
        for (ExtentSet.Builder host : hosts) {
            blocks.add(host == null ? ExtentSet.EMPTY : host.build());
        }
    }

    /** Where larger holes are asked for than a block is, a block goes only as part of such a hole. */
    private void keepBlocksOutsideOfHoles(List<ExtentSet> holes) throws IOException {
        ExtentSet all = unmapped;
        ExtentSet.Builder guest = ExtentSet.builder();
        ExtentSet.Builder[] hosts = new ExtentSet.Builder[fileCount];
        for (int i = 0; i < fileCount; i++) {
            hosts[i] = ExtentSet.builder();
        }
        for (Extent range : all) {
            table.forEachBlock(range, (guestOffset, guestLength, file, hostOffset, hostLength) -> {
                if (holes.get(file).contains(hostOffset, hostLength)) {
                    guest.add(guestOffset, guestLength);
                    hosts[file].add(hostOffset, hostLength);
                }
            });
        }
        unmapped = guest.build();
        for (int i = 0; i < fileCount; i++) {
            blocks.set(i, hosts[i].build());
        }
    }

    /** @return what nothing in a file refers to, where an earlier run is known to have left such */
    private List<ExtentSet> unreferenced() throws IOException {
        if (!unmapping || !request.repair()) {
            return Collections.nCopies(fileCount, ExtentSet.EMPTY);
        }
        return new Unreferenced(map, table).find();
    }

    private List<ExtentSet> holes(List<HostSide> sides, List<ExtentSet> stored, List<ExtentSet> unreferenced) {
        List<ExtentSet> holes = new ArrayList<>();
        for (int i = 0; i < fileCount; i++) {
            HostSide side = sides.get(i);
            holes.add(side == null ? ExtentSet.EMPTY : side.inward(
                    stored.get(i).minus(side.map().shared()).union(blocks.get(i)).union(unreferenced.get(i))));
        }
        return holes;
    }

    /**
     * Two blocks in one place: what is free in one would be live in the other. Counts how often the places that are to be freed
     * are used in the whole image, which needs no memory in proportion to it.
     */
    private void requireSingleUse(List<ExtentSet> stored) throws IOException {
        Extent disk = map.virtualSize() == 0 ? null : new Extent(0, map.virtualSize());
        List<ExtentSet> freed = new ArrayList<>();
        long[] expected = new long[fileCount];
        long[] found = new long[fileCount];
        for (int i = 0; i < fileCount; i++) {
            freed.add(stored.get(i).union(blocks.get(i)));
            expected[i] = freed.get(i).totalBytes();
        }
        if (disk == null) {
            return;
        }
        if (table == null) {
            map.forEachStored(disk, (guest, file, host, length) -> found[file] += common(freed.get(file), host, length));
        } else {
            table.forEachBlock(disk, (guest, guestLength, file, host, length) ->
                    found[file] += common(freed.get(file), host, length));
        }
        for (int i = 0; i < fileCount; i++) {
            if (found[i] != expected[i]) {
                throw (CorruptException) new CorruptException("table of blocks", -1, "every place of the file used once",
                        (found[i] - expected[i]) + " bytes of free blocks that are used more than once")
                        .in(map.files().get(i).path());
            }
        }
    }

    private static long common(ExtentSet set, long offset, long length) {
        if (set.contains(offset, length)) {
            return length;
        }
        return set.intersects(offset, length) ? set.intersect(new Extent(offset, length)).totalBytes() : 0;
    }

    private BlockPlan plan(List<HostSide> sides, List<ExtentSet> holes, List<ExtentSet> unreferenced) {
        List<FilePlan> files = new ArrayList<>();
        List<ExtentSet> allocated = new ArrayList<>();
        List<ExtentSet> own = new ArrayList<>();
        List<ExtentSet> released = new ArrayList<>();
        long unreferencedBytes = 0;
        boolean punchable = true;
        for (int i = 0; i < fileCount; i++) {
            HostSide side = sides.get(i);
            allocated.add(side == null ? ExtentSet.EMPTY : side.map().allocated());
            own.add(side == null ? ExtentSet.EMPTY : side.stored());
            released.add(side == null ? ExtentSet.EMPTY : side.stored().intersect(holes.get(i)));
            if (side != null) {
                punchable &= side.punchable();
                unreferencedBytes += released.get(i).intersect(unreferenced.get(i)).totalBytes();
                ExtentSet punches = side.punches(holes.get(i), allocated.get(i).intersect(holes.get(i)));
                files.add(new FilePlan(side, punches, released.get(i)));
            }
        }
        parts.keep(FreeParts.HOLE, pieces.guestBytesIn(allocated));
        parts.keep(FreeParts.SHARED, pieces.guestBytesIn(own));
        ExtentSet reclaimable = parts.keep(punchable ? FreeParts.PARTIAL : FreeParts.UNPUNCHABLE,
                pieces.guestBytesIn(released));
        return new BlockPlan(image, table, reclaimable, parts.retained(), unreferencedBytes, remarks, unmapped, files);
    }
}
