package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.block.BlockPlan;
import io.lacuna.diskimage.block.BlockWriter;
import io.lacuna.diskimage.block.StoredRanges;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** An opened VMDK image. */
final class VmdkImage implements DiskImage {

    private final VmdkDisk disk;
    private final VmdkDescriptor descriptor;
    private final DiskImage parent;
    private final List<String> remarks;
    private final VmdkTable table;

    /** @param parent null if there is none */
    VmdkImage(VmdkDisk disk, VmdkDescriptor descriptor, DiskImage parent, List<String> remarks) {
        this.disk = disk;
        this.descriptor = descriptor;
        this.parent = parent;
        this.remarks = List.copyOf(remarks);
        this.table = obstacleToTable() == null ? new VmdkTable(disk, parent != null) : null;
    }

    /** @return the id of its content, which a child remembers */
    long cid() {
        return descriptor.cid();
    }

    @Override
    public String format() {
        return VmdkFormat.NAME;
    }

    @Override
    public long virtualSize() {
        return disk.size();
    }

    @Override
    public long blockSize() {
        return disk.blockSize();
    }

    @Override
    public BlockSource guest() {
        return disk;
    }

    @Override
    public ExtentSet mayHoldData() throws IOException {
        try {
            ExtentSet stored = StoredRanges.outsideOfHoles(disk).union(disk.ranges(kind -> kind == DiskPart.Kind.PACKED));
            return StoredRanges.through(stored, ownRanges(), parent, virtualSize());
        } catch (DiskFormatException e) {
            throw e.in(disk.files().get(0).path());
        }
    }

    @Override
    public ExtentSet ownRanges() throws IOException {
        try {
            return parent == null ? ExtentSet.ofRange(0, virtualSize()) : disk.ranges(kind -> kind != DiskPart.Kind.NONE);
        } catch (DiskFormatException e) {
            throw e.in(disk.files().get(0).path());
        }
    }

    @Override
    public List<ImageLayer> layers() throws IOException {
        List<ImageLayer> layers = new ArrayList<>();
        for (HostFile file : disk.files()) {
            boolean image = layers.isEmpty();
            layers.add(new ImageLayer(image ? "image" : "data file", file.path(), VmdkFormat.NAME,
                    image ? disk.size() : file.size(), file.hostBytes()));
        }
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
        long sum = 0;
        for (HostFile file : disk.files()) {
            long bytes = file.hostBytes();
            if (bytes < 0) {
                return -1;
            }
            sum += bytes;
        }
        return sum;
    }

    /** @return a sentence why no table of this image may change; null if they may */
    private String obstacleToTable() {
        if (disk.sparseParts().isEmpty()) {
            return "A flat VMDK has no table of blocks.";
        }
        for (DiskPart part : disk.parts()) {
            if (part instanceof FlatPart flat && flat.file() != FlatPart.NO_FILE) {
                return "A VMDK that is flat in part is taken as a flat one.";
            }
        }
        for (SparsePart part : disk.sparseParts()) {
            GrainLayout.Kind kind = part.tables().layout().kind();
            if (kind != GrainLayout.Kind.HOSTED) {
                return "The tables of " + (kind == GrainLayout.Kind.COWD ? "vmfsSparse (COWD)" : "seSparse")
                        + " extents are left as they are.";
            }
            if (part.header().version() == 3) {
                return "The tables of version 3 extents, which VMware tracks changes of, are left as they are.";
            }
        }
        return null;
    }

    @Override
    public Deallocation plan(DeallocationRequest request) throws IOException {
        try {
            refuseToWrite();
            for (SparsePart part : disk.sparseParts()) {
                boolean lacks = TableCheck.redundantLacks(part);
                if (table != null) {
                    table.redundantLacks(part, lacks);
                }
            }
            return BlockPlan.of(this, disk, table, obstacleToTable(), request);
        } catch (DiskFormatException e) {
            throw e.in(disk.files().get(0).path());
        }
    }

    private void refuseToWrite() throws DiskFormatException {
        if (disk.sparseParts().stream().anyMatch(part -> part.grains() != null)) {
            throw new UnsupportedException("the VMDK is a stream of compressed grains (streamOptimized), in which nothing can be "
                    + "given back in place; make a smaller one with lacuna copy");
        }
        if (descriptor.extents().stream().anyMatch(extent -> extent.access() == DescriptorExtent.Access.RDONLY)) {
            throw new UnsafeException("the VMDK's descriptor marks an extent as read-only (RDONLY); change it to RW there if it "
                    + "may be written to");
        }
    }

    @Override
    public void apply(Deallocation plan, Progress progress) throws IOException {
        if (!plan.isEmpty()) {
            for (HostFile file : disk.files()) {
                if (!file.isWritable()) {
                    throw new IOException(file.path() + " was opened read-only");
                }
            }
        }
        try {
            BlockWriter.apply(this, plan, progress);
        } catch (DiskFormatException e) {
            throw e.in(disk.files().get(0).path());
        } finally {
            disk.sparseParts().forEach(part -> part.tables().changed());
        }
    }

    @Override
    public void close() throws IOException {
        List<Closeable> all = new ArrayList<>(disk.files());
        all.add(parent);
        IOException failure = closeAll(all);
        if (failure != null) {
            throw failure;
        }
    }

    /** Closes all that is not null, whatever the others answer. @return the first failure; null if there was none */
    static IOException closeAll(List<Closeable> opened) {
        IOException failure = null;
        for (Closeable one : opened) {
            try {
                if (one != null) {
                    one.close();
                }
            } catch (IOException e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        return failure;
    }
}
