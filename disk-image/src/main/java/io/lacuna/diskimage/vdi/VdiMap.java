package io.lacuna.diskimage.vdi;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.BlockMap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The block map of a VDI image: for each block of the disk the slot of the file that holds it, u32 little-endian. Read page by
 * page, for the map of a large disk is large, and most of it may be empty. May be read by several threads.
 */
final class VdiMap implements BlockMap {

    /** No block here: the parent shows, or zeros without one. */
    static final long NONE = 0xFFFF_FFFFL;
    /** No block here, and zeros whatever the parent holds. */
    static final long ZERO = 0xFFFF_FFFEL;

    /** Entries of a page. */
    private static final int PAGE = 32 << 10;
    private static final int KEPT_PAGES = 256;

    private final HostFile file;
    private final VdiHeader header;
    private final Map<Long, int[]> pages = new LinkedHashMap<>(KEPT_PAGES * 2, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, int[]> eldest) {
            return size() > KEPT_PAGES;
        }
    };

    VdiMap(HostFile file, VdiHeader header) {
        this.file = file;
        this.header = header;
    }

    @Override
    public List<HostFile> files() {
        return List.of(file);
    }

    @Override
    public long virtualSize() {
        return header.virtualSize();
    }

    @Override
    public long mappedSize() {
        return header.blocks() * header.blockSize();
    }

    @Override
    public long blockSize() {
        return header.blockSize();
    }

    /** @return the slot that holds a block, {@link #NONE} or {@link #ZERO} */
    long entry(long block) throws IOException {
        return Integer.toUnsignedLong(page(block / PAGE)[(int) (block % PAGE)]);
    }

    static boolean isStored(long entry) {
        return entry < ZERO;
    }

    /**
     * @param entry what the map says of the block
     * @return byte of the file where the block starts
     * @throws CorruptException if it is not all inside the file
     */
    long place(long block, long entry) throws CorruptException {
        long offset = header.dataOffset() + entry * header.blockSize();
        if (offset > file.size() - header.blockSize()) {
            throw new CorruptException("block map: slot of block " + block, header.mapOffset() + block * VdiHeader.ENTRY,
                    "a slot inside the file's " + file.size() + " bytes", entry);
        }
        return offset;
    }

    private synchronized int[] page(long number) throws IOException {
        int[] page = pages.get(number);
        if (page == null) {
            page = new int[(int) Math.min(PAGE, header.blocks() - number * PAGE)];
            ByteBuffer bytes = ByteBuffer.allocate(page.length * VdiHeader.ENTRY).order(ByteOrder.LITTLE_ENDIAN);
            file.read(header.mapOffset() + number * PAGE * VdiHeader.ENTRY, bytes);
            bytes.flip().asIntBuffer().get(page);
            pages.put(number, page);
        }
        return page;
    }

    /**
     * Changes entries in the file; not durable yet.
     *
     * @param blocks in rising order
     * @param entries what the map shall say of each
     */
    synchronized void write(long[] blocks, long[] entries) throws IOException {
        int next = 0;
        while (next < blocks.length) { // Ends: a page holds at least one of the blocks.
            long number = blocks[next] / PAGE;
            int first = next;
            int[] page = page(number).clone();
            while (next < blocks.length && blocks[next] / PAGE == number) {
                page[(int) (blocks[next] % PAGE)] = (int) entries[next];
                next++;
            }
            int from = (int) (blocks[first] % PAGE);
            int to = (int) (blocks[next - 1] % PAGE) + 1;
            ByteBuffer bytes = ByteBuffer.allocate((to - from) * VdiHeader.ENTRY).order(ByteOrder.LITTLE_ENDIAN);
            bytes.asIntBuffer().put(page, from, to - from);
            file.write(header.mapOffset() + blocks[first] * VdiHeader.ENTRY, bytes);
            pages.put(number, page);
        }
    }

    /** @return ranges of the disk that do not show the parent */
    ExtentSet ownRanges() throws IOException {
        long size = header.blockSize();
        ExtentSet.Builder own = ExtentSet.builder();
        for (long start = 0; start < virtualSize(); start += size) {
            if (entry(start / size) != NONE) {
                own.add(start, Math.min(size, virtualSize() - start));
            }
        }
        return own.build();
    }

    @Override
    public void forEachStored(Extent guestRange, StoredVisitor visitor) throws IOException {
        long size = header.blockSize();
        long host = 0;
        long guest = 0;
        long length = 0;
        for (long block = guestRange.offset() / size; block * size < guestRange.end(); block++) {
            long entry = entry(block);
            long from = Math.max(block * size, guestRange.offset());
            long to = Math.min((block + 1) * size, guestRange.end());
            long place = isStored(entry) ? place(block, entry) + from - block * size : -1;
            if (length > 0 && place == host + length) {
                length += to - from;
                continue;
            }
            if (length > 0) {
                visitor.stored(guest, 0, host, length);
            }
            guest = from;
            host = place;
            length = place < 0 ? 0 : to - from;
        }
        if (length > 0) {
            visitor.stored(guest, 0, host, length);
        }
    }
}
