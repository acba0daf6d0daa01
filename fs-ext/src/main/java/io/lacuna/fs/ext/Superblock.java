package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * The superblock: 1024 bytes at byte 1024 of the volume, little-endian. Source: kernel documentation
 * {@code filesystems/ext4/super}. A parsed one has a geometry that can be computed with: counts are bounded and the file
 * system lies on its volume.
 *
 * @param features what the file system uses
 * @param state s_state
 * @param blockSize bytes, 1 KiB to 64 KiB
 * @param blocksPerCluster blocks that one bit of a bitmap stands for; 1 without bigalloc
 * @param blockCount blocks, counted from block 0
 * @param firstDataBlock where group 0 begins: 1 where a cluster has 1 KiB, else 0
 * @param clustersPerGroup bits used in a group's bitmap
 * @param groupCount block groups; the last one may be short
 * @param inodesPerGroup inodes
 * @param inodeSize bytes
 * @param inodeCount inodes
 * @param descriptorSize bytes of a group descriptor
 * @param reservedDescriptorBlocks blocks behind the descriptors that the resize inode keeps for more of them
 * @param firstMetaGroup first block of descriptors that lies where META_BG puts it
 * @param backupGroups the two groups with copies under sparse_super2
 * @param freeBlocks s_free_blocks_count; the kernel brings it up to date only now and then
 * @param uuid 16 bytes, s_uuid
 * @param checksumSeed register with which METADATA_CSUM checksums begin
 * @param label s_volume_name
 * @param journalInode inode number of the journal; 0 if it is not in this file system
 * @param mmpBlock block of the multiple mount protection
 * @param errorCount errors the kernel recorded since the last full check
 */
record Superblock(Features features, int state, int blockSize, int blocksPerCluster, long blockCount, int firstDataBlock,
        int clustersPerGroup, int groupCount, int inodesPerGroup, int inodeSize, long inodeCount, int descriptorSize,
        int reservedDescriptorBlocks, long firstMetaGroup, BackupGroups backupGroups, long freeBlocks, Uuid uuid,
        int checksumSeed, String label, long journalInode, long mmpBlock, long errorCount) {

    /** Byte of the volume. */
    static final int OFFSET = 1024;
    static final int SIZE = 1024;
    static final int MAGIC_AT = 0x38;
    static final int MAGIC = 0xEF53;

    /** Ours: 1 PiB in groups of 128 MiB. Bounds what a forged superblock can make us do. */
    private static final int MAX_GROUPS = 1 << 23;
    /** Ours: 4 PiB at least. With bigalloc few groups hold any number of blocks; {@link JournalEntries} have 42 bits for one. */
    private static final long MAX_BLOCKS = 1L << 42;
    private static final int GOOD_OLD_INODE_SIZE = 128;
    private static final int CHECKSUM_AT = 0x3FC;
    private static final int CRC32C = 1;

    /** s_backup_bgs: the numbers of the groups with copies, 0 for none. */
    record BackupGroups(long first, long second) {
    }

    /** The 16 bytes that begin every checksum. */
    record Uuid(long first, long second) {
    }

    /** @throws DiskFormatException if this is no ext file system, or one that cannot be understood in full */
    static Superblock read(BlockSource volume) throws IOException {
        return parse(Bytes.read(volume, "ext superblock", OFFSET, SIZE, ByteOrder.LITTLE_ENDIAN), volume.size());
    }

    /**
     * @param bytes little-endian, at least the 1024
     * @param volumeSize bytes the file system has to fit in
     */
    static Superblock parse(Bytes bytes, long volumeSize) throws DiskFormatException {
        Bytes b = bytes.slice(0, SIZE);
        if (b.u16(MAGIC_AT) != MAGIC) {
            throw b.corrupt("ext superblock: magic", MAGIC_AT, "0xef53", "0x" + Integer.toHexString(b.u16(MAGIC_AT)));
        }
        long revision = b.u32(0x4C);
        if (revision > 1) {
            throw b.unsupported("ext superblock: revision", 0x4C, "0 or 1", revision);
        }
        Features features = Features.at(b.buffer());
        features.requireKnown();
        verifyChecksum(b, features);
        if (revision > 0 && b.u16(0x5A) != 0) {
            throw b.corrupt("ext superblock: number of its group (this is a copy; the volume does not begin where the file "
                    + "system does)", 0x5A, "0", b.u16(0x5A));
        }

        int blockSize = 1024 << exponent(b, "block size", 0x18, 6);
        int blocksPerCluster = blocksPerCluster(b, features, blockSize);
        long blocks = b.u32(0x04) | (features.has(Features.SIXTY_FOUR_BIT) ? b.u32(0x150) << 32 : 0);
        if (blocks < 0 || blocks > volumeSize / blockSize) {
            throw b.corrupt("ext superblock: block count (the file system is larger than its volume: part of it is missing)",
                    0x04, "at most the " + volumeSize / blockSize + " blocks of " + blockSize + " bytes that the volume has",
                    Long.toUnsignedString(blocks));
        }
        int firstDataBlock = blockSize * (long) blocksPerCluster == 1024 ? 1 : 0;
        if (b.u32(0x14) != firstDataBlock) {
            throw corrupt(b, "first data block", 0x14, "" + firstDataBlock, b.u32(0x14));
        }
        if (blocks <= firstDataBlock) {
            throw corrupt(b, "block count", 0x04, "more than " + firstDataBlock, blocks);
        }
        int clustersPerGroup = clustersPerGroup(b, features, blockSize, blocksPerCluster);
        long blocksPerGroup = (long) clustersPerGroup * blocksPerCluster;
        if (blocks > MAX_BLOCKS) {
            throw b.unsupported("ext superblock: block count", 0x04, "at most " + MAX_BLOCKS, blocks);
        }
        long groups = (blocks - firstDataBlock + blocksPerGroup - 1) / blocksPerGroup;
        if (groups > MAX_GROUPS) {
            throw b.unsupported("ext superblock: block count", 0x04, "at most " + MAX_GROUPS + " block groups", groups);
        }

        int inodesPerGroup = ranged(b, "inodes per group", 0x28, 1, 8L * blockSize);
        int inodeSize = revision == 0 ? GOOD_OLD_INODE_SIZE : b.u16(0x58);
        if (inodeSize < GOOD_OLD_INODE_SIZE || inodeSize > blockSize || Integer.bitCount(inodeSize) != 1) {
            throw corrupt(b, "inode size", 0x58, "a power of two from 128 to " + blockSize, inodeSize);
        }
        if (b.u32(0x00) != groups * inodesPerGroup) {
            throw corrupt(b, "inode count", 0x00, groups + " groups of " + inodesPerGroup, b.u32(0x00));
        }
        int descriptorSize = descriptorSize(b, features);
        long descriptorsPerBlock = blockSize / descriptorSize;
        long descriptorBlocks = (groups + descriptorsPerBlock - 1) / descriptorsPerBlock;
        long firstMetaGroup = features.has(Features.META_BG) ? b.u32(0x104) : descriptorBlocks;
        if (firstMetaGroup > descriptorBlocks) {
            throw corrupt(b, "first meta block group", 0x104, "at most " + descriptorBlocks, firstMetaGroup);
        }
        int reserved = b.u16(0xCE);
        if (reserved > blockSize / 4) {
            throw corrupt(b, "reserved descriptor blocks", 0xCE, "at most " + blockSize / 4, reserved);
        }
        if (reserved > 0 && features.has(Features.META_BG)) {
            throw corrupt(b, "reserved descriptor blocks", 0xCE, "none beside meta_bg", reserved);
        }
        long free = b.u32(0x0C) | (features.has(Features.SIXTY_FOUR_BIT) ? b.u32(0x158) << 32 : 0);

        return new Superblock(features, b.u16(0x3A), blockSize, blocksPerCluster, blocks, firstDataBlock, clustersPerGroup,
                (int) groups, inodesPerGroup, inodeSize, b.u32(0x00), descriptorSize, reserved, firstMetaGroup,
                new BackupGroups(b.u32(0x24C), b.u32(0x250)), free, new Uuid(b.s64(0x68), b.s64(0x70)), seed(b, features),
                label(b), b.isZero(0xD0, 16) && b.u32(0xE4) == 0 ? b.u32(0xE0) : 0, b.s64(0x168), b.u32(0x194));
    }

    private static void verifyChecksum(Bytes b, Features features) throws DiskFormatException {
        if (!features.has(Features.METADATA_CSUM)) {
            return;
        }
        if (b.u8(0x175) != CRC32C) {
            throw b.unsupported("ext superblock: checksum type", 0x175, "1 (crc32c)", b.u8(0x175));
        }
        int computed = Crc32c.update(~0, b.buffer().limit(CHECKSUM_AT));
        if (computed != b.s32(CHECKSUM_AT)) {
            throw b.corrupt("ext superblock: checksum (run e2fsck -f in the guest)", CHECKSUM_AT, hex(computed),
                    hex(b.s32(CHECKSUM_AT)));
        }
    }

    private static int seed(Bytes b, Features features) throws CorruptException {
        return features.has(Features.CSUM_SEED) ? b.s32(0x270) : Crc32c.update(~0, b.copy(0x68, 16), 0, 16);
    }

    private static int blocksPerCluster(Bytes b, Features features, int blockSize) throws CorruptException {
        // 2^20 KiB, 1 GiB, is the largest cluster mke2fs and the kernel know.
        int clusterSize = 1024 << exponent(b, "cluster size", 0x1C, 20);
        if (features.has(Features.BIGALLOC) ? clusterSize < blockSize : clusterSize != blockSize) {
            throw corrupt(b, "cluster size", 0x1C, features.has(Features.BIGALLOC)
                    ? "at least the block size, " + blockSize : "the block size, " + blockSize + ", without bigalloc", clusterSize);
        }
        return clusterSize / blockSize;
    }

    private static int clustersPerGroup(Bytes b, Features features, int blockSize, int blocksPerCluster)
            throws CorruptException {
        if (!features.has(Features.BIGALLOC)) {
            return ranged(b, "blocks per group", 0x20, 1, 8L * blockSize);
        }
        int clusters = ranged(b, "clusters per group", 0x24, 1, 8L * blockSize);
        if (b.u32(0x20) != (long) clusters * blocksPerCluster) {
            throw corrupt(b, "blocks per group", 0x20, clusters + " clusters of " + blocksPerCluster, b.u32(0x20));
        }
        return clusters;
    }

    private static int descriptorSize(Bytes b, Features features) throws CorruptException {
        if (!features.has(Features.SIXTY_FOUR_BIT)) {
            return 32;
        }
        int size = b.u16(0xFE);
        if (size < 64 || size > 1024 || Integer.bitCount(size) != 1) {
            throw corrupt(b, "descriptor size", 0xFE, "a power of two from 64 to 1024", size);
        }
        return size;
    }

    private static CorruptException corrupt(Bytes b, String field, int at, String expected, Object found) {
        return b.corrupt("ext superblock: " + field + " (run e2fsck -f in the guest)", at, expected, found);
    }

    private static int exponent(Bytes b, String what, int at, int largest) throws CorruptException {
        return ranged(b, what + ", as the power of two of 1 KiB", at, 0, largest);
    }

    private static int ranged(Bytes b, String what, int at, int smallest, long largest) throws CorruptException {
        long value = b.u32(at);
        if (value < smallest || value > largest) {
            throw corrupt(b, what, at, smallest + " to " + largest, value);
        }
        return (int) value;
    }

    private static String label(Bytes b) throws CorruptException {
        String text = new String(b.copy(0x78, 16), StandardCharsets.UTF_8);
        int end = text.indexOf('\0');
        StringBuilder printable = new StringBuilder(end < 0 ? text : text.substring(0, end));
        for (int i = 0; i < printable.length(); i++) {
            if (Character.isISOControl(printable.charAt(i))) {
                printable.setCharAt(i, '?');
            }
        }
        return printable.toString();
    }

    static String hex(int value) {
        return "0x" + Integer.toHexString(value);
    }

    long blocksPerGroup() {
        return (long) clustersPerGroup * blocksPerCluster;
    }

    int clusterSize() {
        return blockSize * blocksPerCluster;
    }

    /** @return bytes from the start of the volume that the bitmaps speak for */
    long length() {
        return blockCount * blockSize;
    }

    /** @return the first block of a group */
    long groupStart(int group) {
        return firstDataBlock + group * blocksPerGroup();
    }

    /** @return first block behind a group; the last group ends with the file system */
    long groupEnd(int group) {
        return Math.min(groupStart(group) + blocksPerGroup(), blockCount);
    }

    /** @return clusters of a group; the last cluster of the last group may be cut short by the end of the file system */
    int clustersIn(int group) {
        return (int) ((groupEnd(group) - groupStart(group) + blocksPerCluster - 1) / blocksPerCluster);
    }

    int inodeTableBlocks() {
        return (int) (((long) inodesPerGroup * inodeSize + blockSize - 1) / blockSize);
    }

    int descriptorsPerBlock() {
        return blockSize / descriptorSize;
    }
}
