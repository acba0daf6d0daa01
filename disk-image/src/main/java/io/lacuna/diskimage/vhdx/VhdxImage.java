package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.diskimage.block.BlockPlan;
import io.lacuna.diskimage.block.BlockWriter;
import io.lacuna.diskimage.block.StoredRanges;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** An opened VHDX image. */
final class VhdxImage implements DiskImage {

    /** What Hyper-V appends to the image's name for its files of changed blocks. */
    private static final List<String> CHANGE_TRACKING = List.of(".rct", ".mrt");

    private final VhdxFile file;
    private final VhdxHeader header;
    private final HeaderWriter headers;
    private final RegionTable regions;
    private final VhdxMetadata metadata;
    private final Bat bat;
    private final VhdxImage parent;
    private final VhdxGuest guest;

    private VhdxImage(VhdxFile file, VhdxHeader header, RegionTable regions, VhdxMetadata metadata, Bat bat,
            VhdxImage parent) {
        this.file = file;
        this.header = header;
        this.headers = new HeaderWriter(file.host(), header);
        this.regions = regions;
        this.metadata = metadata;
        this.bat = bat;
        this.parent = parent;
        this.guest = new VhdxGuest(file, bat, parent == null ? null : parent.guest());
    }

    static VhdxImage open(HostFile host, ImageLinks links) throws IOException {
        VhdxHeader header = VhdxHeader.read(host);
        VhdxFile file = new VhdxFile(host, header.hasLogEntries()
                ? ReplayedLog.of(new LogRegion(host, header.log()), header.logGuid()) : null);
        RegionTable regions = RegionTable.read(file, header.log());
        VhdxMetadata metadata = VhdxMetadata.read(file, regions.metadata());
        Bat bat = new Bat(file, BatLayout.of(metadata), metadata.isDifferencing(), regions);
        VhdxImage parent = metadata.isDifferencing() ? VhdxParent.open(metadata, host, links) : null;
        return new VhdxImage(file, header, regions, metadata, bat, parent);
    }

    VhdxHeader header() {
        return header;
    }

    @Override
    public int sectorSize() {
        return metadata.sectorSize();
    }

    Path path() {
        return file.host().path();
    }

    @Override
    public String format() {
        return VhdxFormat.NAME;
    }

    @Override
    public long virtualSize() {
        return metadata.virtualSize();
    }

    @Override
    public long blockSize() {
        return metadata.blockSize();
    }

    @Override
    public BlockSource guest() {
        return guest;
    }

    @Override
    public ExtentSet mayHoldData() throws IOException {
        VhdxMap map = new VhdxMap(file.host(), bat);
        try {
            requireOwnPlaces();
            // What the log still has to write may lie in what is a hole yet.
            ExtentSet stored = file.log() == null ? StoredRanges.outsideOfHoles(map) : StoredRanges.of(map);
            return StoredRanges.through(stored, ownRanges(), parent, virtualSize());
        } catch (DiskFormatException e) {
            throw e.in(path());
        }
    }

    @Override
    public ExtentSet ownRanges() throws IOException {
        try {
            requireOwnPlaces();
            return parent == null ? ExtentSet.ofRange(0, virtualSize()) : new VhdxMap(file.host(), bat).ownRanges();
        } catch (DiskFormatException e) {
            throw e.in(path());
        }
    }

    /** A bitmap that serves many blocks, of which each would be walked sector by sector, costs its maker nothing. */
    private void requireOwnPlaces() throws IOException {
        if (parent != null) {
            BatSurvey.of(bat, file.size());
        }
    }

    @Override
    public List<ImageLayer> layers() throws IOException {
        List<ImageLayer> layers = new ArrayList<>();
        layers.add(new ImageLayer("image", path(), VhdxFormat.NAME, virtualSize(), hostBytes()));
        if (parent != null) {
            for (ImageLayer layer : parent.layers()) {
                layers.add(new ImageLayer("backing", layer.path(), layer.format(), layer.virtualSize(), layer.hostBytes()));
            }
        }
        return layers;
    }

    @Override
    public List<String> remarks() {
        List<String> remarks = new ArrayList<>();
        if (file.log() != null) {
            remarks.add("The image was not closed: its log holds changes to its tables. They are applied in memory, and to the"
                    + " file itself before anything is given back.");
        }
        if (!header.bothValid()) {
            remarks.add("One of the VHDX's two headers is damaged; the other one is used.");
        }
        if (!regions.bothValid()) {
            remarks.add("One of the VHDX's two region tables is damaged; the other one is used.");
        }
        for (String suffix : CHANGE_TRACKING) {
            Path tracking = path().resolveSibling(path().getFileName() + suffix);
            if (Files.exists(tracking)) {
                remarks.add("Hyper-V records this disk's changes in " + tracking.getFileName() + ", which does not hear of what"
                        + " is given back: incremental backups by it keep the old content of free space.");
            }
        }
        return List.copyOf(remarks);
    }

    @Override
    public long hostBytes() throws IOException {
        return file.host().hostBytes();
    }

    @Override
    public Deallocation plan(DeallocationRequest request) throws IOException {
        try {
            BatSurvey survey = BatSurvey.of(bat, file.size());
            VhdxTable table = new VhdxTable(file, bat, survey, headers, header.log(), obstacle(),
                    request.mode() == ReclaimMode.PUNCH);
            return BlockPlan.of(this, new VhdxMap(file.host(), bat), table, null, request);
        } catch (DiskFormatException e) {
            throw e.in(path());
        }
    }

    /** @return why no block can change its state or place; null if they can */
    private String obstacle() throws CorruptException {
        return metadata.leaveBlocksAllocated() ? "a fixed VHDX keeps every block in its place"
                : header.log() == null ? "this VHDX has no log, without which its table cannot be changed" : null;
    }

    @Override
    public void apply(Deallocation plan, Progress progress) throws IOException {
        BlockWriter.apply(this, plan, progress);
    }

    @Override
    public void close() throws IOException {
        try {
            if (parent != null) {
                parent.close();
            }
        } finally {
            file.host().close();
        }
    }
}
