package io.lacuna.diskimage.vhd;

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
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.block.BlockMap;
import io.lacuna.diskimage.block.BlockPlan;
import io.lacuna.diskimage.block.BlockWriter;
import io.lacuna.diskimage.block.StoredRanges;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;

/** An opened VHD. */
final class VhdImage implements DiskImage {

    private final HostFile file;
    private final Footers footers;
    private final DiskSize size;
    /** Null for a fixed disk. */
    private final VhdBlocks blocks;
    /** Null unless the disk is a differencing one. */
    private final VhdImage parent;
    private final BlockSource guest;

    /** XenServer's: it writes to new blocks only what its guest does, and reads the rest as zeros by their bitmaps. */
    private static final String TAPDISK = "tap\0";

    private VhdImage(HostFile file, Footers footers, DiskSize size, VhdBlocks blocks, VhdImage parent) {
        this.file = file;
        this.footers = footers;
        this.size = size;
        this.blocks = blocks;
        this.parent = parent;
        this.guest = blocks == null ? file.window(0, size.bytes()) : new VhdGuest(blocks, parent == null ? null : parent.guest());
    }

    static VhdImage open(HostFile file, ImageLinks links) throws IOException {
        Footers footers = Footers.read(file);
        if (footers.footer().kind() == VhdFooter.Kind.FIXED) {
            DiskSize size = DiskSize.of(footers.footer(), file.size() - footers.tailLength());
            return new VhdImage(file, footers, size, null, null);
        }
        if (file.isBlockDevice() && footers.footer().kind() == VhdFooter.Kind.DYNAMIC
                && footers.footer().creator().equals(TAPDISK)) {
            throw new UnsupportedException("a dynamic VHD of XenServer on a device: of what its bitmaps do not call written, the "
                    + "device holds what was there before; copy it to a file with vhd-util");
        }
        DynamicHeader header = DynamicHeader.read(file, footers.footer());
        VhdBlocks blocks = new VhdBlocks(file, footers, header);
        VhdImage parent = blocks.isDifferencing() ? VhdParent.open(file, header, links) : null;
        return new VhdImage(file, footers, blocks.size(), blocks, parent);
    }

    /** @return whether the file has all bytes of the disk */
    boolean isComplete() {
        return size.isComplete();
    }

    UUID id() {
        return footers.footer().id();
    }

    Path path() {
        return file.path();
    }

    /** @return when the file was last modified, in nanoseconds since 1970 */
    long modifiedNanos() throws IOException {
        return file.identity().modifiedNanos();
    }

    @Override
    public String format() {
        return VhdFormat.NAME;
    }

    @Override
    public long virtualSize() {
        return size.bytes();
    }

    @Override
    public long blockSize() {
        return map().blockSize();
    }

    @Override
    public BlockSource guest() {
        return guest;
    }

    private BlockMap map() {
        return blocks == null ? new FixedBlocks(file, size.bytes()) : blocks;
    }

    @Override
    public ExtentSet mayHoldData() throws IOException {
        try {
            requireOwnPlaces();
            return StoredRanges.through(StoredRanges.outsideOfHoles(map()), ownRanges(), parent, virtualSize());
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    @Override
    public ExtentSet ownRanges() throws IOException {
        try {
            requireOwnPlaces();
            return parent == null ? ExtentSet.ofRange(0, virtualSize()) : StoredRanges.of(blocks);
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    /** A block that serves again and again, to be walked sector by sector, costs its maker nothing. */
    private void requireOwnPlaces() throws DiskFormatException {
        if (parent != null) {
            blocks.requireSound();
        }
    }

    @Override
    public List<ImageLayer> layers() throws IOException {
        List<ImageLayer> layers = new ArrayList<>();
        layers.add(new ImageLayer("image", file.path(), VhdFormat.NAME, virtualSize(), hostBytes()));
        if (parent != null) {
            for (ImageLayer layer : parent.layers()) {
                layers.add(new ImageLayer("backing", layer.path(), layer.format(), layer.virtualSize(), layer.hostBytes()));
            }
        }
        return layers;
    }

    @Override
    public List<String> remarks() {
        List<String> remarks = new ArrayList<>(footers.remarks());
        size.remarks().ifPresent(remarks::add);
        if (!size.isComplete()) {
            remarks.add(incomplete() + ".");
        }
        if (footers.isSavedState()) {
            remarks.add("The VHD says that a virtual machine is suspended with it.");
        }
        if (parent != null && blocks.header().parentStamp() == 0) {
            remarks.add("The differencing disk did not note when its parent was last changed, so only the parent's id was "
                    + "checked.");
        }
        remarks.add("A run leaves the file's modification time as it was, for differencing disks made on a VHD go by it; backup "
                + "programs that do, too, must be told of the change.");
        return List.copyOf(remarks);
    }

    private String incomplete() {
        return "The file holds " + size.bytes() + " bytes of a fixed disk that has " + footers.footer().currentSize()
                + " by its footer: a part of it was cut off";
    }

    @Override
    public long hostBytes() throws IOException {
        return file.hostBytes();
    }

    @Override
    public Deallocation plan(DeallocationRequest request) throws IOException {
        try {
            if (footers.isSavedState()) {
                throw new UnsafeException("the VHD says that a virtual machine is suspended with it, which still counts on what "
                        + "its disk calls free; resume the machine and shut it down", UnsafeException.Scope.MACHINE);
            }
            if (!size.isComplete()) {
                throw new UnsupportedException(incomplete()
                        + "; complete it, or if it is a copy of one volume, say --format raw");
            }
            if (blocks == null) {
                return BlockPlan.of(this, map(), null, "A fixed VHD has no table of blocks.", request);
            }
            blocks.requireSound();
            return BlockPlan.of(this, blocks, new VhdTable(blocks), null, request);
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    @Override
    public void apply(Deallocation plan, Progress progress) throws IOException {
        if (!plan.isEmpty() && !file.isWritable()) {
            throw new IOException(file.path() + " was opened read-only");
        }
        long modified = modifiedNanos();
        try {
            BlockWriter.apply(this, plan, progress);
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        } finally {
            if (!plan.isEmpty()) {
                file.setModified(modified);
                file.sync();
            }
        }
    }

    @Override
    public void close() throws IOException {
        try {
            if (parent != null) {
                parent.close();
            }
        } finally {
            file.close();
        }
    }
}
