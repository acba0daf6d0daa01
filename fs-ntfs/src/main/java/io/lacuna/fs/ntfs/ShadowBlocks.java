package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Reads the blocks of 16 KiB that Volume Shadow Copies keep their records in, little-endian: a header of 128 bytes, then
 * entries, and where a record needs more room, the place of its next block. Source: libvshadow, "Store block header".
 */
final class ShadowBlocks {

    static final int SIZE = 16 << 10;
    static final int HEADER_SIZE = 128;

    static final int TYPE_VOLUME = 1;
    static final int TYPE_CATALOG = 2;
    static final int TYPE_BLOCK_LIST = 3;
    static final int TYPE_STORE = 4;
    static final int TYPE_BITMAP = 6;

    static final int RELATIVE_OFFSET = 0x18;            // u64, from the start of the file that the record is in

    private static final byte[] IDENTIFIER = {0x6B, (byte) 0x87, 0x08, 0x38, 0x76, (byte) 0xC1, 0x48, 0x4E, (byte) 0xB7,
        (byte) 0xAE, 0x04, 0x04, 0x6E, 0x6C, (byte) 0xC7, 0x52};
    private static final String IDENTIFIER_TEXT = "3808876b-c176-4e48-b7ae-04046e6cc752";
    private static final int VERSION = 0x10;            // u32
    private static final int RECORD_TYPE = 0x14;        // u32
    private static final int OWN_OFFSET = 0x20;         // u64, from the start of the volume
    private static final int NEXT_OFFSET = 0x28;        // u64, 0: the last
    private static final int MAX_VERSION = 2;           // 1: Windows Vista and 7; 2: Windows 8 and later
    /** Ours: 32 GiB of records; those of 64 shadow copies of a volume of 8 TiB take 8 GiB and what was copied. */
    static final int MAX_BLOCKS = 1 << 21;

    private final BlockSource volume;
    private final ExtentSet free;
    private final LongSet visited = new LongSet();

    /** @param free what $Bitmap calls free: a block of ours in there contradicts it */
    ShadowBlocks(BlockSource volume, ExtentSet free) {
        this.volume = volume;
        this.free = free;
    }

    long volumeSize() {
        return volume.size();
    }

    /** Says that so many bytes of records will be read soon, if they follow each other, as they mostly do. */
    void prefetch(long offset, long length) {
        volume.prefetch(offset, length);
    }

    /**
     * @param what name for errors
     * @param type of record that the block must hold
     * @throws CorruptException if it is something else, free, or was read before, so that a chain has a loop
     */
    Bytes read(String what, int type, long offset) throws IOException {
        Bytes block = Bytes.read(volume, what, offset, SIZE, ByteOrder.LITTLE_ENDIAN);
        requireRecord(block, what, type, OWN_OFFSET, offset);
        requireUsed(what + ": its block", offset);
        if (!visited.add(offset)) {
            throw new CorruptException(what, offset, "a block of its own", "one that was read before");
        }
        if (visited.size() > MAX_BLOCKS) {
            throw new UnsupportedException("the shadow copies of this NTFS volume have more than " + MAX_BLOCKS
                    + " blocks of records, more than are read: delete some of them in the guest (vssadmin delete shadows)");
        }
        return block;
    }

    /** @return where the block lies that continues this one; 0 if none does */
    static long next(Bytes block) throws CorruptException {
        return block.u64(NEXT_OFFSET);
    }

    /** @throws CorruptException if the 16 KiB from here on are not inside the volume, or $Bitmap calls a part of them free */
    void requireUsed(String what, long offset) throws CorruptException {
        if (offset < 0 || offset > volume.size() - SIZE) {
            throw new CorruptException(what, offset, "inside the volume of " + volume.size() + " bytes", "behind its end");
        }
        if (free.intersects(offset, SIZE)) {
            throw new CorruptException(what, offset, "in use", "free in $Bitmap");
        }
    }

    static boolean hasIdentifier(Bytes bytes) throws CorruptException {
        return Arrays.equals(bytes.copy(0, IDENTIFIER.length), IDENTIFIER);
    }

    /** @return the error that the identifier is missing, to be thrown */
    static CorruptException withoutIdentifier(Bytes bytes, String what) {
        return bytes.corrupt(what + ": identifier", 0, IDENTIFIER_TEXT, "something else");
    }

    /** @throws CorruptException unless this is a record of this type that says it belongs here */
    static void requireRecord(Bytes bytes, String what, int type, int ownOffsetAt, long offset) throws CorruptException {
        if (!hasIdentifier(bytes)) {
            throw withoutIdentifier(bytes, what);
        }
        if (bytes.u32(VERSION) < 1 || bytes.u32(VERSION) > MAX_VERSION) {
            throw bytes.corrupt(what + ": version", VERSION, "1 or 2", bytes.u32(VERSION));
        }
        if (bytes.u32(RECORD_TYPE) != type) {
            throw bytes.corrupt(what + ": type", RECORD_TYPE, type + "", bytes.u32(RECORD_TYPE));
        }
        if (bytes.s64(ownOffsetAt) != offset) {
            throw bytes.corrupt(what + ": its own place", ownOffsetAt, NtfsBootSector.hex(offset),
                    NtfsBootSector.hex(bytes.s64(ownOffsetAt)));
        }
    }
}
