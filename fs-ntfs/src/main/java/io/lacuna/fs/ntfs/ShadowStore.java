package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.Set;

/**
 * One shadow copy's store: where its records lie on the volume, in bytes. Its list of ranges is not among them: it goes on
 * naming what Windows took from the store when the next one was made. Source: libvshadow, "Catalog entry type 0x03" and "Store".
 *
 * @param volumeSize bytes of the volume on that day; {@link #FOREIGN} for a shadow copy of another volume
 * @param blockList what was copied, and to where
 * @param header what kind of shadow copy it is
 * @param bitmap which blocks of 16 KiB held nothing on that day
 * @param previousBitmap which blocks no older shadow copy needed on that day; 0 if there was none
 */
record ShadowStore(long volumeSize, long blockList, long header, long bitmap, long previousBitmap) {

    static final long FOREIGN = -1;

    // In the catalog's entry, u64:
    private static final int BLOCK_LIST = 0x08;
    private static final int HEADER = 0x20;
    private static final int BITMAP = 0x30;
    private static final int PREVIOUS_BITMAP = 0x48;

    // In the header's block:
    private static final int INFORMATION_SIZE = 0x30;       // u64
    private static final int MIN_INFORMATION_SIZE = 0x40;
    private static final int ATTRIBUTES = ShadowBlocks.HEADER_SIZE + 0x38;  // u32
    private static final int PERSISTENT = 0x01;

    // A block descriptor:
    private static final int DESCRIPTOR_SIZE = 32;
    private static final int ORIGINAL = 0x00;               // u64, on the volume
    private static final int RELATIVE = 0x08;               // u64, in the store; of a forwarder on the volume
    private static final int COPY = 0x10;                   // u64, on the volume
    private static final int FLAGS = 0x18;                  // u32
    private static final int FORWARDER = 0x01;
    private static final int NOT_USED = 0x04;
    private static final int KNOWN_FLAGS = 0xFF;
    /** Ours: bounds the memory that moved and partly written blocks cost. */
    private static final int MAX_SPECIAL_BLOCKS = 1 << 19;

    /** @param entry of type 3 */
    static ShadowStore parse(Bytes entry, long volumeSize) throws CorruptException {
        for (int at : new int[] {BLOCK_LIST, HEADER, BITMAP}) {
            if (entry.u64(at) == 0) {
                throw entry.corrupt("VSS catalog: place of a store's record", at, "somewhere on this volume", "none");
            }
        }
        return new ShadowStore(volumeSize, entry.u64(BLOCK_LIST), entry.u64(HEADER), entry.u64(BITMAP), entry.u64(PREVIOUS_BITMAP));
    }

    boolean isOwn() {
        return volumeSize != FOREIGN;
    }

    /**
     * Reads the store and takes out of a set of free bytes what its shadow copy may still read from the volume.
     *
     * @param free whole blocks of 16 KiB
     * @param landmarks bytes of the volume that every shadow copy of it needs: a bitmap that denies them is wrong
     * @throws CorruptException if the store contradicts itself or $Bitmap, or may not outlive the guest's last run
     */
    ExtentSet notNeeded(ShadowBlocks blocks, ExtentSet free, Set<Long> landmarks) throws IOException {
        requirePersistent(blocks);
        Set<Long> uncopied = new HashSet<>();
        if (isOwn()) {
            landmarks.forEach(landmark -> uncopied.add(blockStart(landmark)));
        }
        ExtentSet special = specialBlocks(blocks, uncopied);
        long size = isOwn() ? volumeSize : blocks.volumeSize();
        ExtentSet rest = ShadowBitmap.unused(blocks, "VSS store bitmap", bitmap, size, free, uncopied,
                ShadowBitmap.MAX_PIECES);
        if (previousBitmap != 0) {
            // Here a set bit may also mean "copied by an older store", so that it denies nothing.
            rest = ShadowBitmap.unused(blocks, "VSS previous bitmap", previousBitmap, size, rest, Set.of(),
                    ShadowBitmap.MAX_PIECES);
        }
        return rest.minus(special);
    }

    private static long blockStart(long offset) {
        return offset / ShadowBlocks.SIZE * ShadowBlocks.SIZE;
    }

    private void requirePersistent(ShadowBlocks blocks) throws IOException {
        Bytes block = blocks.read("VSS store header", ShadowBlocks.TYPE_STORE, header);
        long size = block.u64(INFORMATION_SIZE);
        if (size < MIN_INFORMATION_SIZE || size > ShadowBlocks.SIZE - ShadowBlocks.HEADER_SIZE) {
            throw block.corrupt("VSS store header: size of its information", INFORMATION_SIZE,
                    MIN_INFORMATION_SIZE + " bytes to a block", size);
        }
        if ((block.u32(ATTRIBUTES) & PERSISTENT) == 0) {
            throw block.corrupt("VSS store header: attributes", ATTRIBUTES, "persistent (0x1)",
                    NtfsBootSector.hex(block.u32(ATTRIBUTES)));
        }
    }

    /**
     * Reads what was copied. A plain copy needs nothing but itself. Whatever else stands in the list keeps each block that it
     * names: a forwarder says that the block's content has moved to another place on the volume, which may have been free on
     * that day; an overlay covers a part of a block and leaves the rest where it is.
     *
     * @param uncopied blocks to look for; those that were copied are taken out
     */
    private ExtentSet specialBlocks(ShadowBlocks blocks, Set<Long> uncopied) throws IOException {
        ExtentSet.Builder special = ExtentSet.builder();
        int count = 0;
        for (long at = blockList; at != 0;) {
            Bytes block = blocks.read("VSS block list", ShadowBlocks.TYPE_BLOCK_LIST, at);
            ByteBuffer entries = block.buffer();
            for (int entry = ShadowBlocks.HEADER_SIZE; entry < ShadowBlocks.SIZE; entry += DESCRIPTOR_SIZE) {
                if (block.isZero(entry, DESCRIPTOR_SIZE)) {
                    continue;
                }
                long original = entries.getLong(entry + ORIGINAL);
                long relative = entries.getLong(entry + RELATIVE);
                int flags = entries.getInt(entry + FLAGS);
                requireDescriptor(blocks, block, entry, original, flags);
                if (flags == 0) {
                    uncopied.remove(original);
                    continue;
                }
                count += 2;
                if (count > MAX_SPECIAL_BLOCKS) {
                    throw block.corrupt("VSS block list: moved and partly written blocks", entry,
                            "at most " + MAX_SPECIAL_BLOCKS / 2, "more");
                }
                keep(special, original, blocks.volumeSize());
                keep(special, relative, blocks.volumeSize());
            }
            at = ShadowBlocks.next(block);
        }
        return special.build();
    }

    private void requireDescriptor(ShadowBlocks blocks, Bytes block, int entry, long original, int flags)
            throws CorruptException {
        if ((flags & ~KNOWN_FLAGS) != 0) {
            throw block.corrupt("VSS block list: flags", entry + FLAGS, "at most 0xff",
                    NtfsBootSector.hex(flags & 0xFFFF_FFFFL));
        }
        if (original < 0 || original % ShadowBlocks.SIZE != 0 || isOwn() && original >= volumeSize) {
            throw block.corrupt("VSS block list: place of a block", entry + ORIGINAL, "a multiple of 16 KiB inside the volume",
                    NtfsBootSector.hex(original));
        }
        long copy = block.u64(entry + COPY);
        if ((flags & FORWARDER) != 0) {
            if (copy != 0) {
                throw block.corrupt("VSS block list: copy of a block that was moved", entry + COPY, "none",
                        NtfsBootSector.hex(copy));
            }
        } else if ((flags & NOT_USED) == 0) {
            blocks.requireUsed("VSS block list: copy of a block", copy);
        }
    }

    /** Keeps the block that a position is in, and the one behind it if the position is not a block's first byte. */
    private static void keep(ExtentSet.Builder special, long position, long volumeSize) {
        if (position >= 0 && position < volumeSize) {
            long start = blockStart(position);
            special.add(start, position == start ? ShadowBlocks.SIZE : 2L * ShadowBlocks.SIZE);
        }
    }
}
