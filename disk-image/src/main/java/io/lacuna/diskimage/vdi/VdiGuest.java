package io.lacuna.diskimage.vdi;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/** The disk as the guest reads it: neighbouring slots in one read, the parent where there is no block. */
final class VdiGuest implements BlockSource {

    private static final byte[] ZEROS = new byte[64 << 10];
    /** More pieces than this are not worth the fetching. */
    private static final int MAX_PREFETCHED = 256;

    private final HostFile file;
    private final VdiHeader header;
    private final VdiMap map;
    private final BlockSource parent;

    /** @param parent null if there is none */
    VdiGuest(HostFile file, VdiHeader header, VdiMap map, BlockSource parent) {
        this.file = file;
        this.header = header;
        this.map = map;
        this.parent = parent;
    }

    @Override
    public long size() {
        return header.virtualSize();
    }

    @Override
    public void read(long offset, ByteBuffer target) throws IOException {
        BlockSource.requireInside(offset, target.remaining(), size());
        int limit = target.limit();
        try {
            long position = offset;
            while (target.position() < limit) { // Ends: every piece has at least one byte.
                long block = position / header.blockSize();
                long entry = map.entry(block);
                int length = length(position, block, entry, limit - target.position());
                target.limit(target.position() + length);
                readPiece(position, block, entry, target);
                target.limit(limit);
                position += length;
            }
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        } finally {
            target.limit(limit);
        }
    }

    /** @return bytes that lie in one place, or nowhere, from here on */
    private int length(long position, long block, long entry, int most) throws IOException {
        long end = (block + 1) * header.blockSize();
        long next = VdiMap.isStored(entry) ? entry + 1 : entry;
        while (end - position < most && map.entry(end / header.blockSize()) == next) {
            end += header.blockSize();
            next += VdiMap.isStored(next) ? 1 : 0;
        }
        return (int) Math.min(most, end - position);
    }

    private void readPiece(long position, long block, long entry, ByteBuffer target) throws IOException {
        if (VdiMap.isStored(entry)) {
            // The last of the slots must be inside, too.
            long last = (position + target.remaining() - 1) / header.blockSize();
            map.place(last, entry + last - block);
            file.read(map.place(block, entry) + position % header.blockSize(), target);
        } else if (entry == VdiMap.NONE && parent != null) {
            int limit = target.limit();
            int covered = (int) Math.max(0, Math.min(target.remaining(), parent.size() - position));
            if (covered > 0) {
                target.limit(target.position() + covered);
                parent.read(position, target);
                target.limit(limit);
            }
            zero(target);
        } else {
            zero(target);
        }
    }

    private static void zero(ByteBuffer target) {
        while (target.hasRemaining()) {
            target.put(ZEROS, 0, Math.min(ZEROS.length, target.remaining()));
        }
    }

    @Override
    public void prefetch(long offset, long length) {
        if (offset < 0 || offset >= size() || length <= 0) {
            return;
        }
        long end = offset + Math.min(length, size() - offset);
        try {
            long position = offset;
            for (int i = 0; i < MAX_PREFETCHED && position < end; i++) {
                long block = position / header.blockSize();
                long entry = map.entry(block);
                int piece = length(position, block, entry, (int) Math.min(Integer.MAX_VALUE, end - position));
                if (VdiMap.isStored(entry)) {
                    file.prefetch(map.place(block, entry) + position % header.blockSize(), piece);
                } else if (entry == VdiMap.NONE && parent != null) {
                    parent.prefetch(position, piece);
                }
                position += piece;
            }
        } catch (IOException hintsNeverFail) {
            // The read that follows will tell.
        }
    }
}
