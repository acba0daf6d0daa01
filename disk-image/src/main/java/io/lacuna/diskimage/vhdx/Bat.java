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
    private final long offset;
    private final ExtentSet reserved;
    private final TablePages pages;

    /** @param regions where the table lies, and what no block may overlap */
    Bat(VhdxFile file, BatLayout layout, boolean differencing, RegionTable regions) throws CorruptException {
        this.file = file;
        this.layout = layout;
        this.differencing = differencing;
        this.offset = regions.bat().offset();
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
        return offset + index * BatLayout.ENTRY_SIZE;
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
        long entry = entry(index);
        return checkedPlace(index, entry, layout.blockSize(), layout.guestLength(block));
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

    private CorruptException corrupt(long index, String expected, long entry) {
        return new CorruptException("VHDX BAT entry " + index, entryOffset(index), expected, "0x" + Long.toHexString(entry));
    }

    /**
     * Reads the whole table and checks that no two blocks share a byte: only then can one be given back without the other.
     *
     * @return what is in use of the file: headers, log, regions, blocks and sector bitmaps
     */
    Claims claims() throws IOException {
        Claims claims = new Claims(file.size());
        for (Extent region : reserved) {
            claims.claimRegion(region);
        }
        for (int block = 0; block < layout.payloadBlocks(); block++) {
            long index = layout.payloadIndex(block);
            if (state(index, entry(index)).isStored() && !claims.claim(place(block), layout.blockSize())) {
                throw corrupt(index, "a place of its own", entry(index));
            }
        }
        if (differencing) {
            for (int chunk = 0; chunk < layout.chunks(); chunk++) {
                long place = bitmapPlace(chunk);
                if (place >= 0 && !claims.claim(place, VhdxHeader.MIB)) {
                    throw corrupt(layout.bitmapIndex(chunk), "a place of its own", entry(layout.bitmapIndex(chunk)));
                }
            }
        }
        return claims;
    }
}
