package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.BlockMap;
import java.io.IOException;
import java.util.List;

/** Where a dynamic or differencing disk stores its blocks. */
final class VhdBlocks implements BlockMap {

    private final HostFile file;
    private final Footers footers;
    private final DynamicHeader header;
    private final DiskSize size;
    private final Structures structures;
    private final Bat bat;
    private final SectorBitmap bitmap;
    /** A block of zeros whose place in the table is only what a cut run left; -1 if there is none. */
    private int leftover = -1;

    /** @throws CorruptException if the format's own structures contradict each other; the table is not looked into */
    VhdBlocks(HostFile file, Footers footers, DynamicHeader header) throws IOException {
        this.file = file;
        this.footers = footers;
        this.header = header;
        this.size = DiskSize.of(footers.footer(), header.capacity());
        if (!size.isComplete()) {
            throw new CorruptException("VHD dynamic disk header: entries of the table", header.offset(), "enough for a disk of "
                    + footers.footer().currentSize() + " bytes", header.entries() + " for " + header.blockSize() + " bytes each");
        }
        this.structures = Structures.of(file, header);
        if (header.tableOffset() > dataEnd() - header.tableSize()) {
            throw new CorruptException("VHD dynamic disk header: table offset", header.offset(), "a table of "
                    + header.tableSize() + " bytes before the footer at " + dataEnd(), header.tableOffset());
        }
        this.bat = Bat.read(file, header);
        this.bitmap = isDifferencing() ? new SectorBitmap(file, header.bitmapSize()) : null;
    }

    boolean isDifferencing() {
        return footers.footer().kind() == VhdFooter.Kind.DIFFERENCING;
    }

    HostFile file() {
        return file;
    }

    Footers footers() {
        return footers;
    }

    DynamicHeader header() {
        return header;
    }

    DiskSize size() {
        return size;
    }

    Structures structures() {
        return structures;
    }

    Bat bat() {
        return bat;
    }

    /** @return first byte behind all that blocks may lie in */
    long dataEnd() {
        return file.size() - footers.tailLength();
    }

    @Override
    public List<HostFile> files() {
        return List.of(file);
    }

    @Override
    public long virtualSize() {
        return size.bytes();
    }

    @Override
    public long mappedSize() {
        return header.capacity();
    }

    @Override
    public long blockSize() {
        return header.blockSize();
    }

    /** Says that blocks have other places now. */
    void moved() {
        if (bitmap != null) {
            bitmap.forget();
        }
    }

    /** Counts a block that is nothing but zeros as not stored, whatever the table says. @param block its number; -1 for none */
    void leaveOut(int block) {
        leftover = block;
    }

    /** @return byte of the file where the block begins, with its sector bitmap; -1 if it is not stored */
    long place(int block) throws CorruptException {
        long place = bat.place(block);
        if (place >= 0) {
            requireFree(place, block);
        }
        return block == leftover ? -1 : place;
    }

    private void requireFree(long place, int block) throws CorruptException {
        if (place > dataEnd() - header.slotSize()) {
            throw corrupt(block, header.slotSize() + " bytes before the footer at " + dataEnd(), place);
        }
        if (structures.all().intersects(place, header.slotSize())) {
            throw corrupt(block, "a place beside the VHD's own structures", place);
        }
    }

    private CorruptException corrupt(int block, String expected, long place) {
        return new CorruptException("VHD table: block " + block, header.tableOffset() + (long) block * DynamicHeader.ENTRY,
                expected, place);
    }

    /**
     * Checks all of the table, also what it says of blocks behind the disk's end.
     *
     * @return what all blocks take
     * @throws CorruptException if a block lies outside of the file, in the format's own structures or in another block
     */
    ExtentSet requireSound() throws CorruptException {
        for (int block = 0; block < bat.size(); block++) {
            place(block);
        }
        ExtentSet.Builder used = ExtentSet.builder();
        long end = 0;
        for (int sorted : bat.sortedPlaces()) {
            long place = Bat.position(sorted);
            if (place < end) {
                throw new CorruptException("VHD table of blocks", header.tableOffset(), "every place of the file used once",
                        "two blocks at " + place);
            }
            end = place + header.slotSize();
            used.add(place, header.slotSize());
        }
        return used.build();
    }

    @Override
    public void forEachStored(Extent guestRange, StoredVisitor visitor) throws IOException {
        long end = guestRange.end();
        for (long at = guestRange.offset(); at < end;) {
            int block = (int) (at / header.blockSize());
            long within = at % header.blockSize();
            int length = (int) Math.min(header.blockSize() - within, end - at);
            long place = place(block);
            if (place >= 0 && bitmap == null) {
                visitor.stored(at, 0, place + header.bitmapSize() + within, length);
            } else if (place >= 0) {
                long guest = at;
                bitmap.forEachSet(place, within, length, (run, bytes) -> visitor.stored(guest - within + run, 0,
                        place + header.bitmapSize() + run, bytes));
            }
            at += length;
        }
    }
}
