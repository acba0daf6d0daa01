package io.lacuna.diskimage.vdi;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.block.BlockPlan;
import io.lacuna.diskimage.block.BlockWriter;
import io.lacuna.diskimage.block.StoredRanges;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** An opened VDI image. */
final class VdiImage implements DiskImage {

    private final HostFile file;
    private final VdiHeader header;
    private final DiskImage parent;
    private final List<String> remarks;
    private final VdiMap map;
    private final VdiGuest guest;

    private VdiImage(HostFile file, VdiHeader header, DiskImage parent, List<String> remarks) {
        this.file = file;
        this.header = header;
        this.parent = parent;
        this.remarks = List.copyOf(remarks);
        this.map = new VdiMap(file, header);
        this.guest = new VdiGuest(file, header, map, parent == null ? null : parent.guest());
    }

    static VdiImage open(HostFile file, ImageLinks links) throws IOException {
        VdiHeader header = VdiHeader.parse(file);
        List<String> remarks = new ArrayList<>();
        DiskImage parent = header.hasParent() ? new VdiParent(file, header, links, remarks).open() : null;
        return new VdiImage(file, header, parent, remarks);
    }

    VdiHeader header() {
        return header;
    }

    @Override
    public String format() {
        return VdiFormat.NAME;
    }

    @Override
    public long virtualSize() {
        return header.virtualSize();
    }

    @Override
    public long blockSize() {
        return header.blockSize();
    }

    @Override
    public BlockSource guest() {
        return guest;
    }

    @Override
    public ExtentSet mayHoldData() throws IOException {
        try {
            return StoredRanges.of(map, parent == null ? ExtentSet.EMPTY : parent.mayHoldData());
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    @Override
    public List<ImageLayer> layers() throws IOException {
        List<ImageLayer> layers = new ArrayList<>();
        layers.add(new ImageLayer("image", file.path(), VdiFormat.NAME, header.virtualSize(), file.hostBytes()));
        if (parent != null) {
            for (ImageLayer layer : parent.layers()) {
                layers.add(new ImageLayer("backing", layer.path(), layer.format(), layer.virtualSize(), layer.hostBytes()));
            }
        }
        return layers;
    }

    @Override
    public List<String> remarks() {
        return remarks;
    }

    @Override
    public long hostBytes() throws IOException {
        return file.hostBytes();
    }

    @Override
    public Deallocation plan(DeallocationRequest request) throws IOException {
        try {
            VdiTable table = header.type() == VdiHeader.Type.FIXED ? null : new VdiTable(file, header, map);
            return BlockPlan.of(this, map, table, "A fixed VDI keeps all of its blocks.", request);
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    @Override
    public void apply(Deallocation plan, Progress progress) throws IOException {
        BlockWriter.apply(this, plan, progress);
    }

    @Override
    public void close() throws IOException {
        try {
            file.close();
        } finally {
            if (parent != null) {
                parent.close();
            }
        }
    }
}
