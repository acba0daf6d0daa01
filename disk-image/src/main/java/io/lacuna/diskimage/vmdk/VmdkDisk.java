package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.BlockMap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.function.Predicate;

/** The disk: its parts, one after another, and what is not in them from the parent. */
final class VmdkDisk implements BlockSource, BlockMap {

    /** More pieces than this are not worth the fetching. */
    private static final int MAX_PREFETCHED = 256;
    private static final byte[] ZEROS = new byte[64 << 10];

    private final List<HostFile> files;
    private final List<DiskPart> parts;
    private final BlockSource parent;
    private final long size;

    /**
     * @param files as the parts number them
     * @param parts in their order
     * @param parent the parent's guest bytes; null if there is none
     */
    VmdkDisk(List<HostFile> files, List<DiskPart> parts, BlockSource parent) {
        this.files = List.copyOf(files);
        this.parts = List.copyOf(parts);
        this.parent = parent;
        this.size = parts.get(parts.size() - 1).end();
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public long virtualSize() {
        return size;
    }

    @Override
    public List<HostFile> files() {
        return files;
    }

    List<DiskPart> parts() {
        return parts;
    }

    /** @return the parts in sparse files */
    List<SparsePart> sparseParts() {
        return parts.stream().filter(SparsePart.class::isInstance).map(SparsePart.class::cast).toList();
    }

    @Override
    public long blockSize() {
        return sparseParts().stream().mapToLong(SparsePart::grainSize).max().orElse(1);
    }

    /** @return the index of the part that holds a byte of the disk */
    int partAt(long guest) {
        int low = 0;
        int high = parts.size() - 1;
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (parts.get(middle).end() > guest) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        return low;
    }

    void forEachPiece(long offset, long length, DiskPart.PieceVisitor visitor) throws IOException {
        long end = offset + length;
        for (int i = partAt(offset); i < parts.size() && parts.get(i).start() < end; i++) {
            DiskPart part = parts.get(i);
            long from = Math.max(offset, part.start());
            long to = Math.min(end, part.end());
            if (from < to) {
                part.forEachPiece(from, to - from, visitor);
            }
        }
    }

    /** @return ranges of the disk whose pieces are of such a kind */
    ExtentSet ranges(Predicate<DiskPart.Kind> wanted) throws IOException {
        ExtentSet.Builder ranges = ExtentSet.builder();
        forEachPiece(0, size, (part, kind, guest, host, length) -> {
            if (wanted.test(kind)) {
                ranges.add(guest, length);
            }
        });
        return ranges.build();
    }

    @Override
    public void forEachStored(Extent guestRange, StoredVisitor visitor) throws IOException {
        long[] run = new long[4]; // guest, file, host, length
        forEachPiece(guestRange.offset(), guestRange.length(), (part, kind, guest, host, length) -> {
            if (kind != DiskPart.Kind.STORED) {
                return;
            }
            if (run[3] > 0 && run[0] + run[3] == guest && run[1] == part.file() && run[2] + run[3] == host) {
                run[3] += length;
                return;
            }
            if (run[3] > 0) {
                visitor.stored(run[0], (int) run[1], run[2], run[3]);
            }
            run[0] = guest;
            run[1] = part.file();
            run[2] = host;
            run[3] = length;
        });
        if (run[3] > 0) {
            visitor.stored(run[0], (int) run[1], run[2], run[3]);
        }
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), size);
        if (!target.hasRemaining()) {
            return;
        }
        forEachPiece(offset, target.remaining(), (part, kind, guest, host, length) -> {
            switch (kind) {
                case ZERO -> zero(target, length);
                case STORED -> readFrom(files.get(part.file()), host, length, target);
                case PACKED -> {
                    SparsePart packed = (SparsePart) part;
                    long grain = packed.grain(guest);
                    try {
                        packed.grains().read(grain, host, (int) (guest - part.start() - grain * packed.grainSize()), (int) length,
                                target);
                    } catch (CorruptException e) {
                        throw packed.named(e);
                    }
                }
                case NONE -> {
                    long below = parent == null ? 0 : Math.max(0, Math.min(length, parent.size() - guest));
                    if (below > 0) {
                        readFrom(parent, guest, below, target);
                    }
                    zero(target, length - below);
                }
            }
        });
    }

    @Override
    public void prefetch(long offset, long length) {
        if (offset < 0 || offset >= size || length <= 0) {
            return;
        }
        int[] left = {MAX_PREFETCHED};
        try {
            forEachPiece(offset, Math.min(length, size - offset), (part, kind, guest, host, count) -> {
                if (left[0]-- == 0) {
                    throw new IOException("enough");
                }
                if (kind == DiskPart.Kind.STORED) {
                    files.get(part.file()).prefetch(host, count);
                } else if (kind == DiskPart.Kind.NONE && parent != null) {
                    parent.prefetch(guest, count);
                }
            });
        } catch (IOException hintsNeverFail) {
            // The read that follows will tell.
        }
    }

    private static void readFrom(BlockSource source, long offset, long length, ByteBuffer target) throws IOException {
        int limit = target.limit();
        target.limit(target.position() + (int) length);
        source.read(offset, target);
        target.limit(limit);
    }

    private static void zero(ByteBuffer target, long length) {
        for (long left = length; left > 0; left -= ZEROS.length) {
            target.put(ZEROS, 0, (int) Math.min(left, ZEROS.length));
        }
    }
}
