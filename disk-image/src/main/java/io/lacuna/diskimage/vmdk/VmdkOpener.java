package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Reads descriptor and headers, opens the files and the parent that they name. Used once. */
final class VmdkOpener {

    private final HostFile file;
    private final ImageLinks links;
    private final List<HostFile> files = new ArrayList<>();
    private final Map<String, Integer> byName = new HashMap<>();
    private final Map<Integer, ExtentSet> taken = new HashMap<>();
    private final List<DiskPart> parts = new ArrayList<>();
    /** Indices of parts whose file was not closed cleanly. */
    private final List<Integer> unclean = new ArrayList<>();
    private final List<String> remarks = new ArrayList<>();
    private long position;
    private long directoryEntries;
    private DiskImage parent;

    private VmdkOpener(HostFile file, ImageLinks links) {
        this.file = file;
        this.links = links;
        files.add(file);
    }

    /** Leaves the image's own file open in any case. */
    static VmdkImage open(HostFile file, ImageLinks links) throws IOException {
        VmdkOpener opener = new VmdkOpener(file, links);
        try {
            return opener.open();
        } catch (IOException | RuntimeException | Error e) {
            List<Closeable> opened = new ArrayList<>(opener.files.subList(1, opener.files.size()));
            opened.add(opener.parent);
            IOException closing = VmdkImage.closeAll(opened);
            if (closing != null) {
                e.addSuppressed(closing);
            }
            throw e;
        }
    }

    private VmdkImage open() throws IOException {
        VmdkFormat.Sign sign = VmdkFormat.sign(file);
        if (sign == null || sign == VmdkFormat.Sign.COWD || sign == VmdkFormat.Sign.SESPARSE) {
            throw partOnly();
        }
        VmdkDescriptor descriptor;
        if (sign == VmdkFormat.Sign.SPARSE) {
            SparseHeader header = SparseHeader.parse(file);
            if (header.descriptor() == 0 || isBlank(header.descriptor())) {
                throw partOnly();
            }
            descriptor = descriptor(header.descriptor(), header.descriptorSize());
            embedded(header, descriptor);
        } else {
            if (file.size() > VmdkDescriptor.MAX_SIZE) {
                throw new CorruptException("VMDK descriptor", -1, "at most " + VmdkDescriptor.MAX_SIZE + " bytes (if this is a raw "
                        + "disk, say --format raw)", file.size());
            }
            descriptor = descriptor(0, (int) file.size());
            if (descriptor.extents().isEmpty()) {
                throw new CorruptException("VMDK descriptor", -1, "at least one extent", "none");
            }
            for (DescriptorExtent extent : descriptor.extents()) {
                add(extent);
            }
        }
        openParent(descriptor);
        if (descriptor.changeTrackPath() != null) {
            remarks.add("VMware tracks changed blocks of this disk for incremental backups; what is given back reads as zeros "
                    + "from now on, and the tracking does not know.");
        }
        VmdkDisk disk = new VmdkDisk(files, parts, parent == null ? null : parent.guest());
        checkAfterUncleanShutdown(disk);
        return new VmdkImage(disk, descriptor, parent, remarks);
    }

    private DiskFormatException partOnly() throws IOException {
        String descriptor = Neighbours.descriptorOf(file);
        return new UnsupportedException("this file is one part of a VMDK; give the descriptor"
                + (descriptor == null ? ", the small text file that names it" : " that names it, "
                + VmdkDescriptor.shown(descriptor)));
    }

    /** Makers of many files reserve room for a descriptor in each, and leave it empty. */
    private boolean isBlank(long descriptor) throws IOException {
        ByteBuffer first = ByteBuffer.allocate(1);
        file.read(descriptor, first);
        return first.get(0) == 0;
    }

    private VmdkDescriptor descriptor(long offset, int size) throws IOException {
        ByteBuffer text = ByteBuffer.allocate(size);
        file.read(offset, text);
        return VmdkDescriptor.parse(text.array());
    }

    /** The file itself is the one extent, whatever name the descriptor remembers for it. */
    private void embedded(SparseHeader header, VmdkDescriptor descriptor) throws IOException {
        if (descriptor.extents().size() != 1 || descriptor.extents().get(0).kind() != DescriptorExtent.Kind.SPARSE) {
            throw new UnsupportedException("the VMDK's own descriptor names other extents than the file that it is in");
        }
        DescriptorExtent extent = descriptor.extents().get(0);
        refuseNoAccess(extent);
        addHosted(0, header, fitted(extent, header.layout()));
    }

    private void add(DescriptorExtent extent) throws IOException {
        refuseNoAccess(extent);
        if (position > Long.MAX_VALUE / 2 - extent.length()) {
            throw new CorruptException("VMDK descriptor", -1, "a disk of less than 2^62 bytes", "more");
        }
        if (extent.kind() == DescriptorExtent.Kind.ZERO) {
            parts.add(new FlatPart(position, extent.length(), FlatPart.NO_FILE, 0));
            position += extent.length();
            return;
        }
        Integer known = byName.get(extent.name());
        int index = known == null ? files.size() : known;
        if (known == null) {
            files.add(links.openDataFile(extent.name()));
            byName.put(extent.name(), index);
        }
        HostFile data = files.get(index);
        try {
            if (extent.kind().isFlat()) {
                addFlat(extent, index, data);
            } else if (known != null) {
                throw new CorruptException("VMDK descriptor", -1, "a sparse file named once", "twice");
            } else {
                addSparse(extent, index, data);
            }
        } catch (DiskFormatException e) {
            throw e.in(data.path());
        }
    }

    private void addFlat(DescriptorExtent extent, int index, HostFile data) throws IOException {
        if (extent.offset() > data.size() - extent.length()) {
            throw new CorruptException("flat extent of a VMDK", extent.offset(), extent.length() + " bytes before the file's end",
                    "an end at " + data.size());
        }
        ExtentSet others = taken.getOrDefault(index, ExtentSet.EMPTY);
        Extent own = new Extent(extent.offset(), extent.length());
        if (others.intersects(own.offset(), own.length())) {
            throw new CorruptException("flat extent of a VMDK", extent.offset(), "bytes that are no other extent's",
                    "a second use");
        }
        taken.put(index, others.union(ExtentSet.of(own)));
        parts.add(new FlatPart(position, extent.length(), index, extent.offset()));
        position += extent.length();
    }

    private void addSparse(DescriptorExtent extent, int index, HostFile data) throws IOException {
        taken.put(index, ExtentSet.ofRange(0, Long.MAX_VALUE));
        if (extent.kind() == DescriptorExtent.Kind.SPARSE) {
            SparseHeader header = SparseHeader.parse(data);
            addHosted(index, header, fitted(extent, header.layout()));
            return;
        }
        GrainLayout layout;
        if (extent.kind() == DescriptorExtent.Kind.VMFSSPARSE) {
            CowdHeader header = CowdHeader.parse(data);
            layout = header.layout();
            if (header.unclean()) {
                unclean.add(parts.size());
            }
        } else {
            layout = SeSparseHeader.parse(data);
        }
        requireSame(extent.length(), layout.capacity());
        spendDirectory(layout);
        parts.add(new SparsePart(position, index, new GrainTables(data, layout, false), null, null));
        position += layout.capacity();
    }

    /** VirtualBox gives the header whole grains, and only the descriptor the disk's own length. */
    private static GrainLayout fitted(DescriptorExtent extent, GrainLayout layout) throws CorruptException {
        long inHeader = layout.capacity();
        if (inHeader > extent.length() && inHeader % layout.grainSize() == 0 && inHeader - extent.length() < layout.grainSize()) {
            return layout.withCapacity(extent.length());
        }
        requireSame(extent.length(), inHeader);
        return layout;
    }

    private void addHosted(int index, SparseHeader header, GrainLayout layout) throws IOException {
        HostFile data = files.get(index);
        spendDirectory(layout);
        if (header.unclean() && !header.compressed()) {
            unclean.add(parts.size());
        }
        parts.add(new SparsePart(position, index, new GrainTables(data, layout, header.compressed()), header,
                header.compressed() ? new PackedGrains(data, layout, header.markers()) : null));
        position += layout.capacity();
    }

    /** Directories are held as long as the image is open, and cost their maker nothing where they are holes. */
    private void spendDirectory(GrainLayout layout) throws UnsupportedException {
        directoryEntries += layout.redundantDirectory() == 0 ? layout.directoryEntries() : 2L * layout.directoryEntries();
        if (directoryEntries > 2L * GrainLayout.MAX_DIRECTORY_ENTRIES) {
            throw new UnsupportedException("the VMDK's files have grain directories with more than "
                    + 2L * GrainLayout.MAX_DIRECTORY_ENTRIES + " entries, more than can be held");
        }
    }

    private static void requireSame(long inDescriptor, long inHeader) throws CorruptException {
        if (inDescriptor != inHeader) {
            throw new CorruptException("sparse extent of a VMDK", -1, inDescriptor + " bytes of disk, as the descriptor says",
                    inHeader + " in its header");
        }
    }

    private static void refuseNoAccess(DescriptorExtent extent) throws UnsupportedException {
        if (extent.access() == DescriptorExtent.Access.NOACCESS) {
            throw new UnsupportedException("the VMDK's descriptor forbids access to an extent (NOACCESS)");
        }
    }

    private void openParent(VmdkDescriptor descriptor) throws IOException {
        if (!descriptor.hasParent()) {
            return;
        }
        if (descriptor.parentName() == null || descriptor.parentName().isEmpty()) {
            throw new UnsupportedException("the VMDK has a parent (parentCID), but does not name it (parentFileNameHint)");
        }
        parent = links.openBacking(descriptor.parentName(), VmdkFormat.NAME);
        if (!(parent instanceof VmdkImage vmdk)) {
            throw new UnsupportedException("the VMDK's parent is of another format");
        }
        if (vmdk.cid() != descriptor.parentCid()) {
            throw new UnsafeException("the VMDK's parent " + VmdkDescriptor.shown(descriptor.parentName()) + " was changed since "
                    + "this child was made, or is another disk: its CID is " + hex(vmdk.cid()) + ", the child remembers parentCID "
                    + hex(descriptor.parentCid()) + "; restore the parent, for with this one the disk's content is not right");
        }
    }

    private static String hex(long id) {
        return String.format("%08x", id);
    }

    private void checkAfterUncleanShutdown(VmdkDisk disk) throws IOException {
        for (int index : unclean) {
            SparsePart part = (SparsePart) disk.parts().get(index);
            TableCheck.inFull(part);
            remarks.add("The file " + part.tables().file().path().getFileName() + " was not closed cleanly; its grain tables were "
                    + "checked in full, and are sound.");
        }
    }
}
