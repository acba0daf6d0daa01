package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;

/** The block allocation table: which block lies where, each entry checked when it is used. */
final class Bat {

    private final VhdxFile file;
    private final BatLayout layout;
    private final boolean differencing;
    private final Extent region;
    private final ExtentSet reserved;
    private final TablePages pages;

    /** @param regions where the table lies, and what no block may overlap */
    Bat(VhdxFile file, BatLayout layout, boolean differencing, RegionTable regions) throws CorruptException {
        this.file = file;
        this.layout = layout;
        this.differencing = differencing;
        this.region = regions.bat();
        this.reserved = regions.reserved();
        this.pages = new TablePages(file);
        long bytes = layout.entries(differencing) * BatLayout.ENTRY_SIZE;
        if (bytes > regions.bat().length()) {
            throw new CorruptException("VHDX BAT region: length", regions.bat().offset(), "at least " + bytes
                    + " bytes, 8 for each block of the disk", regions.bat().length());
        }
    }

    BatLayout layout() {
        return layout;
    }

    boolean isDifferencing() {
        return differencing;
    }

    /** @return the file's pages, which hold sector bitmaps as well */
    TablePages pages() {
        return pages;
    }

    /** @return byte of the file */
    long entryOffset(long index) {
        return region.offset() + index * BatLayout.ENTRY_SIZE;
    }

    /** @return how many entries the region has room for, those behind the disk's end included */
    long capacity() {
        return region.length() / BatLayout.ENTRY_SIZE;
    }

    /** @return what can never be a block's: headers, log, regions */
    ExtentSet reserved() {
        return reserved;
    }

    /** @return the entry as it is */
    long entry(long index) throws IOException {
        long at = entryOffset(index);
        return pages.around(at).getLong((int) (at % TablePages.PAGE));
    }

    /** @return this payload block's state; what it needs for that is checked */
    BatEntry.State state(int block) throws IOException {
        return state(layout.payloadIndex(block), entry(layout.payloadIndex(block)));
    }

    private BatEntry.State state(long index, long entry) throws IOException {
        BatEntry.State state = BatEntry.state(entry);
        if (state == null || BatEntry.hasReservedBits(entry) || state == BatEntry.State.PARTIALLY_PRESENT && !differencing) {
            throw corrupt(index, differencing ? "state 0, 1, 2, 3, 6 or 7, reserved bits 0"
                    : "state 0, 1, 2, 3 or 6 (no parent), reserved bits 0", entry);
        }
        return state;
    }

    /** @return byte of the file where this payload block begins; it is stored */
    long place(int block) throws IOException {
        long index = layout.payloadIndex(block);
        return checkedPlace(index, entry(index), layout.blockSize(), layout.guestLength(block));
    }

    /**
     * @return byte of the file where this chunk's sector bitmap begins; -1 if it has none
     * @throws CorruptException if the entry makes no sense
     */
    long bitmapPlace(int chunk) throws IOException {
        long index = layout.bitmapIndex(chunk);
        long entry = entry(index);
        BatEntry.State state = BatEntry.state(entry);
        if (state == BatEntry.State.NOT_PRESENT) {
            return -1;
        }
        if (state != BatEntry.State.FULLY_PRESENT || BatEntry.hasReservedBits(entry)) {
            throw corrupt(index, "state 0 or 6 of a sector bitmap, reserved bits 0", entry);
        }
        return checkedPlace(index, entry, VhdxHeader.MIB, VhdxHeader.MIB);
    }

    /** @param used bytes of the block that hold something, and so must be in the file */
    private long checkedPlace(long index, long entry, int size, int used) throws IOException {
        long place = BatEntry.place(entry);
        if (place < VhdxHeader.MIB || place > file.size() - used) {
            throw corrupt(index, "a block behind the headers, inside of the file's 0x" + Long.toHexString(file.size())
                    + " bytes", entry);
        }
        if (reserved.intersects(place, size)) {
            throw corrupt(index, "a block beside the log and the regions", entry);
        }
        return place;
    }

    /** @return the error that this entry is wrong, to be thrown */
    CorruptException corrupt(long index, String expected, long entry) {
        return new CorruptException("VHDX BAT entry " + index, entryOffset(index), expected, "0x" + Long.toHexString(entry));
    }
}
