package io.lacuna.diskimage.block;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.util.List;

/** Collects the ranges of a disk that may hold something: what an image maps to a place in its files, without the host's holes. */
public final class StoredRanges {

    private final List<HostFile> files;
    private final ExtentSet[] allocated;
    private final ExtentSet.Builder ranges = ExtentSet.builder();

    /** @param files as the places are told by, see {@link BlockMap#files()} */
    public StoredRanges(List<HostFile> files) {
        this.files = files;
        this.allocated = new ExtentSet[files.size()];
    }

    /** @return what this map and a parent may hold; the parent's part only as far as the disk goes */
    public static ExtentSet of(BlockMap map, ExtentSet parent) throws IOException {
        StoredRanges stored = new StoredRanges(map.files());
        if (map.virtualSize() > 0) {
            map.forEachStored(new Extent(0, map.virtualSize()), stored::add);
        }
        return stored.with(parent, map.virtualSize());
    }

    /** Adds a piece as {@link BlockMap.StoredVisitor#stored} is told of it. */
    public void add(long guest, int file, long host, long length) throws IOException {
        if (allocated[file] == null) {
            allocated[file] = files.get(file).map().allocated();
        }
        ExtentSet inFile = allocated[file];
        if (inFile.contains(host, length)) {
            ranges.add(guest, length);
            return;
        }
        for (Extent part : inFile.intersect(new Extent(host, length))) {
            ranges.add(guest + part.offset() - host, part.length());
        }
    }

    /** Adds a range that is stored in another form than byte by byte. */
    public void addPacked(long guest, long length) {
        ranges.add(guest, length);
    }

    /** @return the ranges that were added, and those of a parent inside a disk of this size */
    public ExtentSet with(ExtentSet parent, long virtualSize) {
        return ranges.build().union(parent.intersect(ExtentSet.ofRange(0, virtualSize)));
    }
}
