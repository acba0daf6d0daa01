package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.LinkedHashMap;
import java.util.Map;

/** The parts of block allocation table and sector bitmaps that were read last, at most 4 MiB of them. For several threads. */
final class TablePages {

    /** Bytes of a page. No table entry and no block's bitmap lies in two. */
    static final int PAGE = 64 << 10;

    private static final int PAGES = 64;

    private final BlockSource file;
    private final Map<Long, ByteBuffer> pages = new LinkedHashMap<>(16, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Long, ByteBuffer> eldest) {
            return size() > PAGES;
        }
    };
    private volatile Last last;

    /** The page that was asked for last; most often it is asked for again. */
    private record Last(long start, ByteBuffer page) {
    }

    TablePages(BlockSource file) {
        this.file = file;
    }

    /**
     * @param offset byte of the file, inside of it
     * @return the page around it, little-endian, from byte {@code offset - offset % PAGE} on; only to be read absolutely
     */
    ByteBuffer around(long offset) throws IOException {
        long start = offset - offset % PAGE;
        Last kept = last;
        if (kept != null && kept.start == start) {
            return kept.page;
        }
        ByteBuffer page = load(start);
        last = new Last(start, page);
        return page;
    }

    private synchronized ByteBuffer load(long start) throws IOException {
        ByteBuffer page = pages.get(start);
        if (page == null) {
            page = ByteBuffer.allocate(PAGE).order(ByteOrder.LITTLE_ENDIAN);
            page.limit((int) Math.min(PAGE, file.size() - start));
            file.read(start, page);
            page.clear();
            pages.put(start, page);
        }
        return page;
    }

    /** Forgets what was read of tables that have changed since. */
    synchronized void clear() {
        pages.clear();
        last = null;
    }
}
