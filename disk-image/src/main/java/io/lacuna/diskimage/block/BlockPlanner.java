package io.lacuna.diskimage.block;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ReclaimMode;
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
    private final FreeParts parts;
    private final GuestPieces pieces = new GuestPieces();
    private final List<String> remarks = new ArrayList<>();
    private final int fileCount;
    /** What an earlier run may have left, and this one may need; null if neither. */
    private final CompactionJournal journal;
    private boolean unmapping;
    /** Where blocks may move in each file; all null if none may, or nobody asked. */
    private List<BlockArea> areas;
    /** Whole blocks that are free: as the guest sees them, and all that is theirs in each file. */
    private ExtentSet unmapped = ExtentSet.EMPTY;
    private List<ExtentSet> blocks;

    BlockPlanner(DiskImage image, BlockMap map, BlockTable table, String whyNoTable, DeallocationRequest asked)
            throws IOException {
        this.image = image;
        this.map = map;
        this.table = table;
        this.request = asked.on(map.files(), remarks);
        this.parts = new FreeParts(request.free());
        this.fileCount = map.files().size();
        this.areas = Collections.nCopies(fileCount, null);
        this.blocks = Collections.nCopies(fileCount, ExtentSet.EMPTY);
        this.journal = table == null || request.mode() == ReclaimMode.PUNCH ? null
                : CompactionJournal.of(map.files().get(0), image.format(), map.virtualSize());
        if (request.mode() != ReclaimMode.PUNCH) {
            if (table != null && wasCut()) {
                table.resume();
            }
            chooseMeans(whyNoTable);
        }
    }

    /** Not every image can do what was asked for; what it cannot is told and done in a lesser way. */
    private void chooseMeans(String whyNoTable) throws IOException {
        if (table == null) {
            remarks.add(whyNoTable + " So its free space is punched, and its length stays.");
            return;
        }
        unmapping = table.obstacleToUnmapping() == null;
        if (!unmapping) {
            remarks.add("Blocks are not unmapped but punched: " + table.obstacleToUnmapping() + ".");
        }
        if (request.mode() != ReclaimMode.COMPACT && !table.isWithoutHoles()) {
            return;
        }
        areas = new ArrayList<>();
        for (int i = 0; i < fileCount; i++) {
            areas.add(map.files().get(i).isBlockDevice() ? null : table.area(i).orElse(null));
        }
        if (!isPacking()) {
            remarks.add("Blocks of this image cannot be moved" + (map.files().get(0).isBlockDevice()
                    ? ", for a block device cannot become shorter." : "."));
            unmapping &= !table.isWithoutHoles();
        }
    }

    private boolean isPacking() {
        return areas.stream().anyMatch(area -> area != null);
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
        List<ExtentSet> unreferenced = unreferenced();
        List<HostSide> sides = sides(stored, unreferenced);
        if (unmapping && !isPacking() && request.granularity() > map.blockSize()) {
            keepBlocksOutsideOfHoles(planners(sides, stored, unreferenced, Collections.nCopies(fileCount, null)));
        }
        List<ExtentSet> freed = new ArrayList<>();
        for (int i = 0; i < fileCount; i++) {
            freed.add(stored.get(i).union(blocks.get(i)));
        }
        SingleUse.require(map, table, freed);
        List<Packing> packings = isPacking() ? new PackingPlanner(map, table, unmapped, areas).plan()
                : Collections.nCopies(fileCount, null);
        return plan(planners(sides, stored, unreferenced, packings));
    }

    private void findWholeBlocks(ExtentSet wanted) throws IOException {
        WholeBlocks found = new WholeBlocks(fileCount);
        for (Extent range : wanted) {
            table.forEachBlock(range, (guestOffset, guestLength, file, hostOffset, hostLength) -> {
                if (guestOffset >= range.offset() && guestOffset + guestLength <= range.end()) {
                    found.add(guestOffset, guestLength, file, hostOffset, hostLength);
                }
            });
        }
        unmapped = found.guest();
        blocks = found.hosts();
    }

    /** Where larger holes are asked for than a block is, a block goes only as part of such a hole. */
    private void keepBlocksOutsideOfHoles(List<FilePlanner> planners) throws IOException {
        List<ExtentSet> holes = planners.stream().map(FilePlanner::holes).toList();
        WholeBlocks found = new WholeBlocks(fileCount);
        for (Extent range : unmapped) {
            table.forEachBlock(range, (guestOffset, guestLength, file, hostOffset, hostLength) -> {
                if (holes.get(file).contains(hostOffset, hostLength)) {
                    found.add(guestOffset, guestLength, file, hostOffset, hostLength);
                }
            });
        }
        unmapped = found.guest();
        blocks = found.hosts();
    }

    /** @return what nothing in a file refers to, where an earlier run is known to have left such; moved blocks fill it anyway */
    private List<ExtentSet> unreferenced() throws IOException {
        return unmapping && wasCut() && !isPacking() ? new Unreferenced(map, table).find()
                : Collections.nCopies(fileCount, ExtentSet.EMPTY);
    }

    private boolean wasCut() {
        return request.repair() || journal != null && journal.stands();
    }

    private List<HostSide> sides(List<ExtentSet> stored, List<ExtentSet> unreferenced) throws IOException {
        List<HostSide> sides = new ArrayList<>();
        for (int i = 0; i < fileCount; i++) {
            HostFile file = map.files().get(i);
            boolean touched = areas.get(i) != null || !stored.get(i).isEmpty() || !blocks.get(i).isEmpty()
                    || !unreferenced.get(i).isEmpty();
            sides.add(touched ? HostSide.of(file, request, !unmapping && !isPacking(), remarks) : null);
        }
        return sides;
    }

    private List<FilePlanner> planners(List<HostSide> sides, List<ExtentSet> stored, List<ExtentSet> unreferenced,
            List<Packing> packings) {
        List<FilePlanner> planners = new ArrayList<>();
        for (int i = 0; i < fileCount; i++) {
            planners.add(new FilePlanner(sides.get(i), stored.get(i), blocks.get(i), unreferenced.get(i), packings.get(i),
                    map.blockSize(), pieces));
        }
        return planners;
    }

    private BlockPlan plan(List<FilePlanner> planners) {
        List<FilePlan> files = new ArrayList<>();
        List<ExtentSet> allocated = new ArrayList<>();
        List<ExtentSet> own = new ArrayList<>();
        List<ExtentSet> released = new ArrayList<>();
        long unreferencedBytes = 0;
        boolean punchable = true;
        boolean coarse = false;
        for (FilePlanner planner : planners) {
            HostSide side = planner.side();
            ExtentSet holes = planner.holes();
            allocated.add(side == null ? ExtentSet.EMPTY : side.map().allocated());
            own.add(side == null ? ExtentSet.EMPTY : side.stored());
            released.add(planner.released(holes));
            unreferencedBytes += planner.unreferencedBytes(holes);
            if (side != null) {
                punchable &= side.punchable();
                coarse |= side.granularity() > side.hostBlock();
                files.add(planner.plan(holes));
            }
        }
        parts.keep(FreeParts.HOLE, pieces.guestBytesIn(allocated));
        parts.keep(FreeParts.SHARED, pieces.guestBytesIn(own));
        ExtentSet reclaimable = parts.keep(!punchable ? FreeParts.UNPUNCHABLE : coarse ? FreeParts.COARSE : FreeParts.PARTIAL,
                pieces.guestBytesIn(released));
        for (FilePlan file : files) {
            if (file.isPacked()) {
                remarks.add(file.packing().moves().size() + " blocks move into gaps, and the file becomes "
                        + (file.packing().end() + file.packing().area().tail()) + " bytes long instead of " + file.file().size()
                        + (fileCount > 1 ? " (" + file.file().path().getFileName() + ")." : "."));
            }
        }
        boolean finishing = table != null && request.mode() != ReclaimMode.PUNCH && wasCut() && table.isUnfinished();
        return new BlockPlan(image, table, finishing, request.mode(), map.blockSize(), reclaimable, parts.retained(),
                unreferencedBytes,
                remarks, unmapped, files, pieces, journal);
    }
}
