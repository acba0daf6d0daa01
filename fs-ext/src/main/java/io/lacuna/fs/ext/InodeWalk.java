package io.lacuna.fs.ext;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Compares the block bitmaps with every inode: no block that an inode in use claims may be free. An inode is in use if it has
 * links, if its bitmap says so (an open file that was deleted: the list of orphans and the orphan file name only such), or if the
 * list of orphans names it. Reads the used part of the inode tables once from front to back; memory does not grow with them.
 */
final class InodeWalk {

    /** Ours: so much of an inode table is read at a time. */
    private static final int READ_BYTES = 1 << 20;
    /** Ours: so much of the inode tables is announced ahead. */
    private static final long AHEAD_BYTES = 8 << 20;
    /** Ours: a list of orphans that is longer than this is a loop, or nobody's. */
    private static final int MAX_ORPHANS = 1 << 16;

    private static final int LAST_ORPHAN = 0xE8;    // u32 of the superblock
    private static final int LINKS = 0x1A;          // u16
    private static final int DELETED = 0x14;        // u32, of an orphan the number of the next one
    private static final int CHECKSUM_LOW = 0x7C;   // u16
    private static final int EXTRA_SIZE = 0x80;     // u16, only in inodes of more than 128 bytes
    private static final int CHECKSUM_HIGH = 0x82;  // u16
    private static final int GENERATION = 0x64;     // u32

    private final BlockSource volume;
    private final Superblock superblock;
    private final GroupDescriptors descriptors;
    private final BlockClaims claims;
    private final InodeBlocks blocks;
    private final int inodeSize;
    private final ByteBuffer table;
    private final ByteBuffer bitmap;
    private int bitmapGroup = -1;
    /** Number, generation and inode, as they are checksummed. */
    private final byte[] text;
    private final ByteBuffer textFields;
    private final Crc32c.OfLength checksum;
    private final Crc32c.OfLength bitmapChecksum;
    private long inodes;

    /** @param free what the bitmaps call free, bytes of the volume */
    InodeWalk(BlockSource volume, Superblock superblock, ExtentSet free) throws IOException {
        this.volume = volume;
        this.superblock = superblock;
        descriptors = new GroupDescriptors(volume, superblock);
        claims = new BlockClaims(superblock, free);
        blocks = new InodeBlocks(volume, superblock, claims);
        inodeSize = superblock.inodeSize();
        long longest = (long) superblock.inodesPerGroup() * inodeSize;
        table = ByteBuffer.allocateDirect((int) Math.min(READ_BYTES, longest)).order(ByteOrder.LITTLE_ENDIAN);
        bitmap = ByteBuffer.allocate(superblock.blockSize());
        boolean checksums = superblock.features().has(Features.METADATA_CSUM);
        text = new byte[8 + inodeSize];
        textFields = ByteBuffer.wrap(text).order(ByteOrder.LITTLE_ENDIAN);
        checksum = checksums ? new Crc32c.OfLength(superblock.checksumSeed(), text.length) : null;
        bitmapChecksum = checksums
                ? new Crc32c.OfLength(superblock.checksumSeed(), (superblock.inodesPerGroup() + 7) / 8) : null;
    }

    /**
     * What was compared.
     *
     * @param inodes inodes in use
     * @param extents ranges that they claim, with the blocks that map them
     * @param bytes of these
     */
    record Summary(long inodes, long extents, long bytes) {
    }

    /** @throws CorruptException if a block in use is free, or an inode in use cannot be understood */
    Summary run() throws IOException {
        for (int group = 0; group < superblock.groupCount();) {
            int end = group + descriptors.load(group);
            int next = group;
            long ahead = 0;
            for (; group < end; group++) {
                while (next < end && ahead < AHEAD_BYTES) {
                    if (tableBytes(next) > 0) {
                        volume.prefetch(tableOffset(next), tableBytes(next));
                    }
                    ahead += tableBytes(next);
                    next++;
                }
                ahead -= tableBytes(group);
                walkTable(group);
            }
        }
        walkOrphans();
        return new Summary(inodes, claims.count(), claims.bytes());
    }

    private long tableOffset(int group) {
        return descriptors.inodeTable(group) * superblock.blockSize();
    }

    private long tableBytes(int group) {
        return (long) descriptors.inodesEverUsed(group) * inodeSize;
    }

    private void walkTable(int group) throws IOException {
        int count = descriptors.inodesEverUsed(group);
        int perRead = table.capacity() / inodeSize;
        for (int first = 0; first < count; first += perRead) {
            int length = Math.min(perRead, count - first);
            volume.read(tableOffset(group) + (long) first * inodeSize, table.clear().limit(length * inodeSize));
            for (int i = 0; i < length; i++) {
                int at = i * inodeSize;
                boolean inUse = table.getShort(at + LINKS) != 0
                        || !blocks.claimsNothing(table, at) && isMarked(descriptors, group, first + i);
                if (inUse) {
                    walk((long) group * superblock.inodesPerGroup() + first + i + 1, at,
                            tableOffset(group) + (long) (first + i) * inodeSize);
                }
            }
        }
    }

    private void walk(long number, int at, long position) throws IOException {
        textFields.putInt(0, (int) number).putInt(4, table.getInt(at + GENERATION));
        if (checksum != null) {
            verifyChecksum(number, at, position);
        }
        inodes++;
        blocks.walk(number, table, at, position, textFields);
    }

    private void verifyChecksum(long number, int at, long position) throws CorruptException {
        table.get(at, text, 8, inodeSize);
        boolean wide = inodeSize > 128 && (table.getShort(at + EXTRA_SIZE) & 0xFFFF) >= 4;
        int stored = table.getShort(at + CHECKSUM_LOW) & 0xFFFF;
        textFields.putShort(8 + CHECKSUM_LOW, (short) 0);
        if (wide) {
            stored |= table.getShort(at + CHECKSUM_HIGH) << 16;
            textFields.putShort(8 + CHECKSUM_HIGH, (short) 0);
        }
        int computed = checksum.of(text);
        if (stored != (wide ? computed : computed & 0xFFFF)) {
            throw new CorruptException("ext inode " + number + ": checksum (run e2fsck -f in the guest)",
                    position + CHECKSUM_LOW, Superblock.hex(wide ? computed : computed & 0xFFFF), Superblock.hex(stored));
        }
    }

    /** @return whether the inode bitmap says that an inode is in use */
    private boolean isMarked(GroupDescriptors from, int group, int index) throws IOException {
        if (from.areInodesUninitialised(group)) {
            return false;
        }
        if (bitmapGroup != group) {
            volume.read(from.inodeBitmap(group) * superblock.blockSize(), bitmap.clear());
            bitmap.flip();
            if (bitmapChecksum != null) {
                int computed = bitmapChecksum.of(bitmap);
                if (!from.hasInodeBitmapChecksum(group, computed)) {
                    throw from.corrupt(group, "inode bitmap checksum (run e2fsck -f in the guest)", 0x1A,
                            Superblock.hex(computed), Superblock.hex(from.inodeBitmapChecksum(group)));
                }
            }
            bitmapGroup = group;
        }
        return (bitmap.get(index / 8) >>> index % 8 & 1) != 0;
    }

    private void walkOrphans() throws IOException {
        long number = Bytes.read(volume, "ext superblock", Superblock.OFFSET, Superblock.SIZE, ByteOrder.LITTLE_ENDIAN)
                .u32(LAST_ORPHAN);
        GroupDescriptors single = number == 0 ? null : GroupDescriptors.forSingle(volume, superblock);
        for (int i = 0; number != 0; i++) {
            if (i == MAX_ORPHANS || number > superblock.inodeCount()) {
                throw new CorruptException("ext list of orphaned inodes (run e2fsck -f in the guest)",
                        Superblock.OFFSET + LAST_ORPHAN, "at most " + MAX_ORPHANS + " numbers up to " + superblock.inodeCount(),
                        i == MAX_ORPHANS ? "more, or a loop" : "" + number);
            }
            int group = (int) ((number - 1) / superblock.inodesPerGroup());
            int index = (int) ((number - 1) % superblock.inodesPerGroup());
            single.loadOnly(group);
            long position = single.inodeTable(group) * superblock.blockSize() + (long) index * inodeSize;
            volume.read(position, table.clear().limit(inodeSize));
            // The others have been walked with their table.
            if (table.getShort(LINKS) == 0 && !isMarked(single, group, index)
                    || index >= single.inodesEverUsed(group)) {
                walk(number, 0, position);
            }
            number = table.getInt(DELETED) & 0xFFFF_FFFFL;
        }
    }
}
