package io.lacuna.diskimage.vhdx;

/**
 * Which entry of the block allocation table is whose: behind the entries of each chunk of payload blocks stands one for the
 * chunk's sector bitmap, used or not. Source: [MS-VHDX] 2.4, 2.5.
 *
 * @param blockSize bytes of a payload block, a power of two
 * @param sectorSize bytes of a logical sector, a power of two
 * @param virtualSize bytes of the guest's disk
 * @param chunkRatio payload blocks of a chunk, which has 2^23 sectors
 * @param payloadBlocks how many payload blocks the disk has, at most 2^26
 */
record BatLayout(int blockSize, int sectorSize, long virtualSize, int chunkRatio, int payloadBlocks) {

    /** Bytes of an entry. */
    static final int ENTRY_SIZE = 8;
    /** Sectors that a sector bitmap of 1 MiB tells of. */
    static final int CHUNK_SECTORS = 1 << 23;

    static BatLayout of(VhdxMetadata metadata) {
        long blocks = (metadata.virtualSize() - 1) / metadata.blockSize() + 1;
        return new BatLayout(metadata.blockSize(), metadata.sectorSize(), metadata.virtualSize(),
                (int) ((long) CHUNK_SECTORS * metadata.sectorSize() / metadata.blockSize()), (int) blocks);
    }

    /** @return how many chunks there are */
    int chunks() {
        return (payloadBlocks - 1) / chunkRatio + 1;
    }

    /** @return how many entries the table needs; a differencing disk's goes on to the last chunk's bitmap */
    long entries(boolean differencing) {
        return differencing ? (long) chunks() * (chunkRatio + 1) : payloadIndex(payloadBlocks - 1) + 1;
    }

    /** @return the entry of this payload block */
    long payloadIndex(int block) {
        return (long) block + block / chunkRatio;
    }

    /** @return the entry of this chunk's sector bitmap */
    long bitmapIndex(int chunk) {
        return (long) chunk * (chunkRatio + 1) + chunkRatio;
    }

    int blockOf(long guestOffset) {
        return (int) (guestOffset / blockSize);
    }

    long guestOffset(int block) {
        return (long) block * blockSize;
    }

    /** @return bytes of the disk that are in this block: the last one may go on behind the disk's end */
    int guestLength(int block) {
        return (int) Math.min(blockSize, virtualSize - guestOffset(block));
    }
}
