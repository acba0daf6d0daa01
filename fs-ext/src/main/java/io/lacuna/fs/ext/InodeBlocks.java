package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Finds every block that an inode claims: what its map names, and extended attributes. Source: kernel documentation
 * {@code filesystems/ext4/inodes}.
 */
final class InodeBlocks {

    private static final int MODE = 0x00;               // u16
    private static final int SIZE_LOW = 0x04;           // u32
    private static final int SECTORS_LOW = 0x1C;        // u32
    private static final int FLAGS = 0x20;              // u32
    private static final int TRANSLATOR = 0x24;         // u32, a block on the Hurd
    private static final int BLOCKS = 0x28;             // 60 bytes: block numbers, an extent tree, or content
    private static final int BLOCKS_SIZE = 60;
    private static final int ACL_LOW = 0x68;            // u32, block of the extended attributes
    private static final int SIZE_HIGH = 0x6C;          // u32
    private static final int SECTORS_HIGH = 0x74;       // u16
    private static final int ACL_HIGH = 0x76;           // u16

    private static final int FIFO = 1;
    private static final int CHARACTER_DEVICE = 2;
    private static final int DIRECTORY = 4;
    private static final int BLOCK_DEVICE = 6;
    private static final int REGULAR = 8;
    private static final int SYMLINK = 10;
    private static final int SOCKET = 12;

    /** Inodes up to this one are the file system's own, some without a type. */
    private static final int LAST_RESERVED = 10;
    private static final int CREATOR = 0x48;            // u32 of the superblock
    private static final int HURD = 1;

    private final Superblock superblock;
    private final BlockClaims claims;
    private final BlockMap map;
    private final boolean onHurd;
    private final Crc32c.OfLength seed;
    private final ByteBuffer root = ByteBuffer.allocate(BLOCKS_SIZE).order(ByteOrder.LITTLE_ENDIAN);

    private long number;

    InodeBlocks(BlockSource volume, Superblock superblock, BlockClaims claims) throws IOException {
        this.superblock = superblock;
        this.claims = claims;
        map = new BlockMap(volume, superblock, claims);
        seed = superblock.features().has(Features.METADATA_CSUM) ? new Crc32c.OfLength(superblock.checksumSeed(), 8) : null;
        onHurd = Bytes.read(volume, "ext superblock", Superblock.OFFSET, Superblock.SIZE, ByteOrder.LITTLE_ENDIAN)
                .u32(CREATOR) == HURD;
    }

    /**
     * Tells the most of the inodes that were never used or were deleted since: of the others their bitmap tells.
     *
     * @param at where the inode begins
     * @return whether the inode claims no block, used or not
     */
    boolean claimsNothing(ByteBuffer table, int at) {
        if (table.getInt(at + ACL_LOW) != 0 || table.getShort(at + ACL_HIGH) != 0 || onHurd && table.getInt(at + TRANSLATOR) != 0) {
            return false;
        }
        if ((table.getInt(at + FLAGS) & Inode.EXTENTS) != 0) {
            return (table.getShort(at + BLOCKS) & 0xFFFF) == BlockMap.EXTENT_MAGIC && table.getShort(at + BLOCKS + 2) == 0;
        }
        for (int i = 0; i < BLOCKS_SIZE; i += Integer.BYTES) {
            if (table.getInt(at + BLOCKS + i) != 0) {
                return false;
            }
        }
        return true;
    }

    /**
     * Walks an inode in use.
     *
     * @param at where it begins in the table
     * @param position where it lies on the volume, in bytes
     * @param head number and generation, with which the checksums of its extent blocks begin
     * @throws CorruptException if one of its blocks is free, or it cannot be understood
     */
    void walk(long inode, ByteBuffer table, int at, long position, ByteBuffer head) throws IOException {
        number = inode;
        claims.of(inode);
        Features features = superblock.features();
        long acl = table.getInt(at + ACL_LOW) & 0xFFFF_FFFFL;
        if (features.has(Features.SIXTY_FOUR_BIT)) {
            acl |= (table.getShort(at + ACL_HIGH) & 0xFFFFL) << 32;
        }
        if (acl != 0) {
            claims.own("extended attributes", acl, position + ACL_LOW);
        }
        if (onHurd && table.getInt(at + TRANSLATOR) != 0) {
            claims.own("translator", table.getInt(at + TRANSLATOR) & 0xFFFF_FFFFL, position + TRANSLATOR);
        }
        int flags = table.getInt(at + FLAGS);
        if (!hasMap((table.getShort(at + MODE) & 0xFFFF) >>> 12, table, at, position, acl)) {
            return;
        }
        for (int i = 0; i < BLOCKS_SIZE; i += Integer.BYTES) {
            root.putInt(i, table.getInt(at + BLOCKS + i));
        }
        if ((flags & Inode.EXTENTS) != 0) {
            map.walkExtents(inode, root, position + BLOCKS, seed == null ? 0 : seed.of(head.position(0)));
        } else {
            map.walkNumbers(inode, root, position + BLOCKS);
        }
    }

    /** @return whether i_block holds a map of blocks */
    private boolean hasMap(int type, ByteBuffer table, int at, long position, long acl) throws CorruptException {
        int flags = table.getInt(at + FLAGS);
        boolean extents = (flags & Inode.EXTENTS) != 0;
        switch (type) {
            case FIFO, CHARACTER_DEVICE, BLOCK_DEVICE, SOCKET -> {
                return false;
            }
            case REGULAR, DIRECTORY, SYMLINK -> {
                if ((flags & Inode.INLINE_DATA) != 0) {
                    if (extents || !superblock.features().has(Features.INLINE_DATA)) {
                        throw corrupt("flags", position + FLAGS, "inline data only with that feature, and without extents",
                                Superblock.hex(flags));
                    }
                    return false;
                }
                return type != SYMLINK || extents || !isFastSymlink(table, at, acl);
            }
            default -> {
                if (number > LAST_RESERVED) {
                    throw corrupt("type", position + MODE, "a file, a directory, a link, a device, a pipe or a socket",
                            Superblock.hex(type));
                }
                return true;
            }
        }
    }

    /** A short target stands in i_block itself. Blocks that are counted for extended attributes only are no sign of another. */
    private boolean isFastSymlink(ByteBuffer table, int at, long acl) {
        long size = table.getInt(at + SIZE_LOW) & 0xFFFF_FFFFL | (long) table.getInt(at + SIZE_HIGH) << 32;
        if (superblock.features().has(Features.EA_INODE)) {
            return size >= 0 && size < BLOCKS_SIZE;
        }
        long sectors = table.getInt(at + SECTORS_LOW) & 0xFFFF_FFFFL | (table.getShort(at + SECTORS_HIGH) & 0xFFFFL) << 32;
        long ofAttributes = acl == 0 ? 0 : superblock.clusterSize() / 512;
        return size >= 0 && size < BLOCKS_SIZE && (sectors == 0 || sectors == ofAttributes);
    }

    private CorruptException corrupt(String what, long position, String expected, Object found) {
        return new CorruptException("ext inode " + number + ": " + what + " (run e2fsck -f in the guest)", position, expected,
                found);
    }
}
