package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.function.Predicate;

/** The disk as the guest reads it: through the active L1 table, neighbouring clusters in one read. */
final class Qcow2Guest implements BlockSource {

    /** More pieces than this are not worth the fetching. */
    private static final int MAX_PREFETCHED = 256;
    /** Nor are more bytes at once: already to find their places would cost. */
    private static final long MAX_PREFETCHED_BYTES = 256 << 20;

    private final Qcow2Header header;
    private final HostFile file;
    private final BlockSource data;
    private final BlockSource backing;
    private final L2Entry entries;
    private final L2Cache cache;
    private final CompressedClusters compressed;
    private volatile long[] l1;

    /**
     * @param data where clusters lie: the image or its data file
     * @param backing the parent's guest bytes; null if there is none
     */
    Qcow2Guest(Qcow2Header header, HostFile file, BlockSource data, BlockSource backing, long[] l1) {
        this.header = header;
        this.file = file;
        this.data = data;
        this.backing = backing;
        this.l1 = l1;
        this.entries = new L2Entry(header);
        this.cache = new L2Cache(file, header);
        this.compressed = new CompressedClusters(file, header);
    }

    @Override
    public long size() {
        return header.virtualSize();
    }

    /** Forgets what was read of tables that have changed since. */
    void changed(long[] newL1) {
        l1 = newL1;
        cache.clear();
        compressed.clear();
    }

    /** Nothing will be read any more. */
    void release() {
        compressed.release();
        cache.clear();
    }

    long[] l1() {
        return l1;
    }

    /** A piece of the disk that lies in one place. */
    private static final class Piece {
        private L2Entry.Kind kind;
        private long guest;
        /** Byte in {@link #data}; for a compressed cluster its entry. */
        private long host;
        private long length;

        boolean continuedBy(Piece next) {
            return kind == next.kind && kind != L2Entry.Kind.COMPRESSED
                    && (kind != L2Entry.Kind.STORED || host + length == next.host);
        }
    }

    /** Takes the pieces of a range, in order. */
    private interface PieceSink {
        void take(Piece piece) throws IOException;
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), size());
        try {
            forEachPiece(offset, target.remaining(), piece -> readPiece(piece, target));
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        }
    }

    @Override
    public void prefetch(long offset, long length) {
        if (offset < 0 || offset >= size() || length <= 0) {
            return;
        }
        int[] left = {MAX_PREFETCHED};
        try {
            forEachPiece(offset, Math.min(Math.min(length, MAX_PREFETCHED_BYTES), size() - offset), piece -> {
                if (left[0]-- == 0) {
                    throw new IOException("enough");
                }
                if (piece.kind == L2Entry.Kind.STORED) {
                    data.prefetch(piece.host, piece.length);
                } else if (piece.kind == L2Entry.Kind.UNALLOCATED && backing != null) {
                    backing.prefetch(piece.guest, piece.length);
                }
            });
        } catch (IOException hintsNeverFail) {
            // The read that follows will tell.
        }
    }

    /** @return the ranges of the disk whose pieces are of such a kind */
    ExtentSet ranges(Predicate<L2Entry.Kind> wanted) throws IOException {
        requireTablesOfTheirOwn();
        ExtentSet.Builder ranges = ExtentSet.builder();
        forEachPiece(0, size(), piece -> {
            if (wanted.test(piece.kind)) {
                ranges.add(piece.guest, piece.length);
            }
        });
        return ranges.build();
    }

    /** Tables that are named again and again, or lie in holes, cost their maker nothing, and whoever walks them what they say. */
    private void requireTablesOfTheirOwn() throws IOException {
        long clusters = (file.size() >>> header.clusterBits()) + 1;
        // 4 Mi of them are as many as there can be: in half the memory where their numbers are small enough.
        int[] small = clusters <= Integer.MAX_VALUE ? new int[l1.length] : null;
        long[] large = small == null ? new long[l1.length] : null;
        int count = 0;
        for (int i = 0; i < l1.length; i++) {
            long table = entries.l2Offset(l1[i], i, header.l1Offset()) >>> header.clusterBits();
            if (table > 0 && table < clusters) {
                if (small != null) {
                    small[count++] = (int) table;
                } else {
                    large[count++] = table;
                }
            }
        }
        if (small != null) {
            Arrays.sort(small, 0, count);
        } else {
            Arrays.sort(large, 0, count);
        }
        for (int i = 1; i < count; i++) {
            if (small != null ? small[i] == small[i - 1] : large[i] == large[i - 1]) {
                throw new CorruptException("L1 table: L2 table", (small != null ? small[i] : large[i]) << header.clusterBits(),
                        "named once", "named again").in(file.path());
            }
        }
        long host = file.hostBytes();
        if (host >= 0 && ((long) count << header.clusterBits()) - host > ClusterUse.MAX_TABLES_IN_HOLES) {
            throw ClusterUse.tablesInHoles().in(file.path());
        }
    }

    private void forEachPiece(long offset, long length, PieceSink sink) throws IOException {
        Piece pending = null;
        Piece next = new Piece();
        long position = offset;
        long end = offset + length;
        while (position < end) { // Ends: every piece has at least one byte.
            find(position, end - position, next);
            position += next.length;
            if (pending == null) {
                pending = next;
                next = new Piece();
            } else if (pending.continuedBy(next)) {
                pending.length += next.length;
            } else {
                sink.take(pending);
                Piece done = pending;
                pending = next;
                next = done;
            }
        }
        if (pending != null) {
            sink.take(pending);
        }
    }

    /** Finds the piece that starts at a guest byte: at most up to the end of its cluster, or of an absent L2 table. */
    private void find(long guest, long most, Piece piece) throws IOException {
        piece.guest = guest;
        long[] table = l1;
        int index = (int) (guest >>> header.clusterBits() + header.l2EntryBits());
        long l2 = entries.l2Offset(table[index], index, header.l1Offset());
        if (l2 == 0) {
            piece.kind = L2Entry.Kind.UNALLOCATED;
            piece.length = Math.min(most, header.l2Span() - (guest & header.l2Span() - 1));
            return;
        }
        if (!header.insideFile(l2, header.clusterSize(), file.size())) {
            throw new CorruptException("L1 entry " + index, header.l1Offset() + index * 8L, "an L2 table in the file's 0x"
                    + Long.toHexString(file.size()) + " bytes", "0x" + Long.toHexString(l2));
        }
        long clusterStart = guest & -header.clusterSize();
        int within = (int) (guest >>> header.clusterBits() & (1L << header.l2EntryBits()) - 1) * header.l2EntryLongs();
        long[] slice = cache.slice(l2, within / cache.sliceLongs());
        long entry = slice[within & cache.sliceLongs() - 1];
        piece.kind = entries.kind(entry, clusterStart);
        piece.length = Math.min(most, clusterStart + header.clusterSize() - guest);
        if (piece.kind == L2Entry.Kind.COMPRESSED) {
            piece.host = entry;
            return;
        }
        piece.host = (entry & L2Entry.OFFSET) + (guest - clusterStart);
        if (header.extendedL2()) {
            long bits = slice[(within & cache.sliceLongs() - 1) + 1];
            entries.checkSubclusters(bits, entry, clusterStart);
            int subBits = header.clusterBits() - 5;
            int first = (int) (guest - clusterStart >>> subBits);
            piece.kind = L2Entry.subclusterKind(bits, first);
            int end = first + 1;
            while (end < L2Entry.SUBCLUSTERS && L2Entry.subclusterKind(bits, end) == piece.kind) {
                end++;
            }
            piece.length = Math.min(most, clusterStart + ((long) end << subBits) - guest);
        }
        if (piece.kind == L2Entry.Kind.STORED && data == file
                && ((entry & L2Entry.OFFSET) == 0 || !header.insideFile(entry & L2Entry.OFFSET, 1, file.size()))) {
            throw new CorruptException("L2 entry of guest byte 0x" + Long.toHexString(guest), -1,
                    "a cluster in the file's 0x" + Long.toHexString(file.size()) + " bytes",
                    "0x" + Long.toHexString(entry));
        }
    }

    private void readPiece(Piece piece, ByteBuffer target) throws IOException {
        switch (piece.kind) {
            case ZERO -> HostBytes.zero(target, piece.length);
            case STORED -> readFrom(data, piece.host, piece.length, target);
            case UNALLOCATED -> {
                long below = backing == null ? 0
                        : Math.max(0, Math.min(piece.length, backing.size() - piece.guest));
                if (below > 0) {
                    readFrom(backing, piece.guest, below, target);
                }
                HostBytes.zero(target, piece.length - below);
            }
            case COMPRESSED -> target.put(compressed.unpack(piece.host),
                    (int) (piece.guest & header.clusterSize() - 1), (int) piece.length);
        }
    }

    private static void readFrom(BlockSource source, long offset, long length, ByteBuffer target) throws IOException {
        int limit = target.limit();
        target.limit(target.position() + (int) length);
        HostBytes.readPadded(source, offset, target);
        target.limit(limit);
    }
}
