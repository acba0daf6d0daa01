package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.UnsupportedException;
import java.util.BitSet;

/** Which MiB of the file are somebody's: a bit for each, so at most 16 MiB of memory. */
final class Claims {

    private final BitSet used = new BitSet();
    private final long fileSize;

    /** @param fileSize bytes */
    Claims(long fileSize) throws UnsupportedException {
        if (fileSize > ReplayedLog.MAX_FILE_SIZE) {
            throw new UnsupportedException("the VHDX's file has more than 128 TiB, twice the largest virtual disk; compact it"
                    + " with its own tools first");
        }
        this.fileSize = fileSize;
    }

    /** Regions are known not to overlap; what of one lies behind the file's end does not count. */
    void claimRegion(Extent region) {
        if (region.offset() < fileSize) {
            used.set((int) (region.offset() / VhdxHeader.MIB),
                    (int) ((Math.min(fileSize, region.end()) - 1) / VhdxHeader.MIB) + 1);
        }
    }

    /**
     * @param place byte of the file, whole MiB, inside it
     * @param size bytes, whole MiB; the last block's may reach behind the file's end
     * @return false if a part of it is somebody's already
     */
    boolean claim(long place, int size) {
        int first = (int) (place / VhdxHeader.MIB);
        int behind = first + size / VhdxHeader.MIB;
        int taken = used.nextSetBit(first);
        if (taken >= 0 && taken < behind) {
            return false;
        }
        used.set(first, behind);
        return true;
    }

    /** @return first byte of the file behind all that is somebody's, whole MiB */
    long end() {
        return (long) used.length() * VhdxHeader.MIB;
    }
}
