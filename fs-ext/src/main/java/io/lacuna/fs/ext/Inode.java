package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.DiskFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * An inode, 128 bytes or more, little-endian, in its group's inode table. Source: kernel documentation
 * {@code filesystems/ext4/inodes}.
 *
 * @param number counted from 1
 * @param mode i_mode
 * @param links i_links_count
 * @param flags i_flags
 * @param size bytes
 * @param blocks i_block: 60 bytes, block numbers or the root of an extent tree
 * @param checksumSeed register with which the checksums of its extent blocks begin
 */
record Inode(long number, int mode, int links, int flags, long size, Bytes blocks, int checksumSeed) {

    static final int EXTENTS = 0x0008_0000;
    static final int INLINE_DATA = 0x1000_0000;
    private static final int CHECKSUM_LOW = 0x7C;
    private static final int CHECKSUM_HIGH = 0x82;

    /** @throws DiskFormatException if it cannot be trusted */
    static Inode read(BlockSource volume, Superblock superblock, long number) throws IOException {
        if (number < 1 || number > superblock.inodeCount()) {
            throw new CorruptException("ext inode number", -1, "1 to " + superblock.inodeCount(), number);
        }
        int group = (int) ((number - 1) / superblock.inodesPerGroup());
        long index = (number - 1) % superblock.inodesPerGroup();
        GroupDescriptors descriptors = GroupDescriptors.forSingle(volume, superblock);
        descriptors.loadOnly(group);
        long offset = descriptors.inodeTable(group) * superblock.blockSize() + index * superblock.inodeSize();
        Bytes b = Bytes.read(volume, "ext inode " + number, offset, superblock.inodeSize(), ByteOrder.LITTLE_ENDIAN);
        return new Inode(number, b.u16(0x00), b.u16(0x1A), b.s32(0x20), b.u32(0x04) | (b.u32(0x6C) << 32),
                b.slice(0x28, 60), verifyChecksum(b, superblock, number));
    }

    /** @return the register behind inode number and generation */
    private static int verifyChecksum(Bytes b, Superblock superblock, long number) throws CorruptException {
        if (!superblock.features().has(Features.METADATA_CSUM)) {
            return 0;
        }
        ByteBuffer head = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        head.putInt(0, (int) number).putInt(4, b.s32(0x64));
        int seed = Crc32c.update(superblock.checksumSeed(), head);

        byte[] text = b.copy(0, b.length());
        ByteBuffer fields = ByteBuffer.wrap(text).order(ByteOrder.LITTLE_ENDIAN);
        boolean wide = text.length > 128 && b.u16(0x80) >= 4;
        int stored = b.u16(CHECKSUM_LOW);
        fields.putShort(CHECKSUM_LOW, (short) 0);
        if (wide) {
            stored |= b.u16(CHECKSUM_HIGH) << 16;
            fields.putShort(CHECKSUM_HIGH, (short) 0);
        }
        int computed = Crc32c.update(seed, text, 0, text.length);
        if (stored != (wide ? computed : computed & 0xFFFF)) {
            throw b.corrupt("ext inode " + number + ": checksum (run e2fsck -f in the guest)", CHECKSUM_LOW,
                    Superblock.hex(computed), Superblock.hex(stored));
        }
        return seed;
    }

    boolean isRegularFile() {
        return (mode & 0xF000) == 0x8000;
    }

    boolean has(int flag) {
        return (flags & flag) != 0;
    }
}
