package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * The bitmaps before the blocks of a differencing disk: a bit for each sector, the highest of a byte first; 1 if the sector is in
 * the block, 0 if the parent has it. (A dynamic disk has them, too, but QEMU does not look at them there, and neither do we: a
 * sector that was never written is zeros in the block.)
 */
final class SectorBitmap {

    private static final int SECTOR = 512;

    private final HostFile file;
    private final int size;
    /** The last one that was read. The bits never change as long as the image is open. */
    private volatile Cached cached;

    private record Cached(long place, byte[] bits) {
    }

    /** Takes runs of sectors. */
    @FunctionalInterface
    interface RunVisitor {

        /**
         * @param start byte of the block
         * @param length bytes, above 0
         */
        void run(long start, long length) throws IOException;
    }

    /** @param size bytes of a bitmap */
    SectorBitmap(HostFile file, int size) {
        this.file = file;
        this.size = size;
    }

    private byte[] bits(long place) throws IOException {
        Cached last = cached;
        if (last != null && last.place() == place) {
            return last.bits();
        }
        ByteBuffer buffer = ByteBuffer.allocate(size);
        file.read(place, buffer);
        cached = new Cached(place, buffer.array());
        return buffer.array();
    }

    /** Forgets what was read: blocks have moved. */
    void forget() {
        cached = null;
    }

    /** Visits the parts of a range of a block that are in it, in rising order. @param place byte of the file where the bitmap is */
    void forEachSet(long place, long from, long length, RunVisitor visitor) throws IOException {
        byte[] bits = bits(place);
        long end = from + length;
        long start = -1;
        for (long at = from; at < end; at = (at / SECTOR + 1) * SECTOR) {
            int sector = (int) (at / SECTOR);
            boolean set = (bits[sector / Byte.SIZE] & 0x80 >> sector % Byte.SIZE) != 0;
            if (set && start < 0) {
                start = at;
            } else if (!set && start >= 0) {
                visitor.run(start, at - start);
                start = -1;
            }
        }
        if (start >= 0) {
            visitor.run(start, end - start);
        }
    }
}
