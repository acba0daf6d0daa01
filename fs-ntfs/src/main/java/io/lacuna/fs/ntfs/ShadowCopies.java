package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Volume Shadow Copies (VSS): 128 bytes at byte 0x1E00 of the volume, which lead to a catalog of 16 KiB blocks, little-endian.
 * Source: libvshadow, "Volume header" and "Catalog".
 */
final class ShadowCopies {

    static final int HEADER_AT = 0x1E00;
    static final int HEADER_SIZE = 128;

    private static final byte[] IDENTIFIER = {0x6B, (byte) 0x87, 0x08, 0x38, 0x76, (byte) 0xC1, 0x48, 0x4E, (byte) 0xB7,
        (byte) 0xAE, 0x04, 0x04, 0x6E, 0x6C, (byte) 0xC7, 0x52};  // 3808876b-c176-4e48-b7ae-04046e6cc752
    private static final int VERSION = 0x10;            // u32
    private static final int RECORD_TYPE = 0x14;        // u32
    private static final int HEADER_OWN_OFFSET = 0x18;  // u64
    private static final int CATALOG_OFFSET = 0x30;     // u64
    private static final int VOLUME_ID = 0x40;          // GUID
    private static final int STORAGE_ID = 0x50;         // GUID
    private static final int ID_SIZE = 16;
    private static final int MAX_VERSION = 2;
    private static final int TYPE_HEADER = 1;

    private static final int TYPE_CATALOG = 2;
    private static final int BLOCK_OWN_OFFSET = 0x20;   // u64
    private static final int BLOCK_NEXT_OFFSET = 0x28;  // u64, 0: the last
    private static final int BLOCK_SIZE = 16 << 10;
    private static final int ENTRY_SIZE = 128;
    private static final int MAX_UNUSED_ENTRY = 1;      // 0: never used, 1: not in use any more; above: a shadow copy
    /** Ours: Windows keeps at most 512 shadow copies, which fit into nine blocks. */
    private static final int MAX_BLOCKS = 64;

    private static final String ADVICE = "; clusters that are free now may still belong to them. Delete them in the guest "
            + "(vssadmin delete shadows /all) and shut it down, if nobody needs them";

    private ShadowCopies() {
    }

    /**
     * @return a short phrase for the report
     * @throws UnsafeException if there are shadow copies of this volume, or may be
     * @throws CorruptException if the header cannot be read
     */
    static String requireNone(BlockSource volume) throws IOException {
        Bytes header = Bytes.read(volume, "VSS volume header", HEADER_AT, HEADER_SIZE, ByteOrder.LITTLE_ENDIAN);
        if (!hasIdentifier(header)) {
            // Its own place stands in the header: with only the identifier damaged, shadow copies must not be overlooked.
            if (header.s64(HEADER_OWN_OFFSET) == HEADER_AT) {
                throw header.corrupt("VSS volume header: identifier", 0, "3808876b-c176-4e48-b7ae-04046e6cc752",
                        "something else in front of the rest of a header");
            }
            return "no shadow copies";
        }
        requireKnown(header, "VSS volume header", TYPE_HEADER, HEADER_OWN_OFFSET, HEADER_AT);
        if (!Arrays.equals(header.copy(VOLUME_ID, ID_SIZE), header.copy(STORAGE_ID, ID_SIZE))) {
            throw new UnsafeException("this NTFS volume has Volume Shadow Copies that are stored on another volume" + ADVICE);
        }
        long catalog = header.u64(CATALOG_OFFSET);
        if (catalog == 0) {
            return "no shadow copies";
        }
        try {
            requireEmpty(volume, catalog);
        } catch (CorruptException e) {
            throw new UnsafeException("this NTFS volume may have Volume Shadow Copies, and their catalog cannot be read ("
                    + e.reason() + ")" + ADVICE);
        }
        return "no shadow copies (their catalog is empty)";
    }

    private static void requireEmpty(BlockSource volume, long catalog) throws IOException {
        long offset = catalog;
        for (int i = 0; i < MAX_BLOCKS; i++) {
            Bytes block = Bytes.read(volume, "VSS catalog", offset, BLOCK_SIZE, ByteOrder.LITTLE_ENDIAN);
            if (!hasIdentifier(block)) {
                throw block.corrupt("VSS catalog: identifier", 0, "3808876b-c176-4e48-b7ae-04046e6cc752", "something else");
            }
            requireKnown(block, "VSS catalog", TYPE_CATALOG, BLOCK_OWN_OFFSET, offset);
            for (int entry = ENTRY_SIZE; entry < BLOCK_SIZE; entry += ENTRY_SIZE) {
                long type = block.s64(entry);
                if (type < 0 || type > MAX_UNUSED_ENTRY) {
                    throw new UnsafeException("this NTFS volume has Volume Shadow Copies" + ADVICE);
                }
            }
            offset = block.u64(BLOCK_NEXT_OFFSET);
            if (offset == 0) {
                return;
            }
        }
        throw new CorruptException("VSS catalog", catalog, "at most " + MAX_BLOCKS + " blocks", "more, or a loop");
    }

    private static boolean hasIdentifier(Bytes bytes) throws CorruptException {
        return Arrays.equals(bytes.copy(0, IDENTIFIER.length), IDENTIFIER);
    }

    private static void requireKnown(Bytes bytes, String what, int type, int ownOffsetAt, long offset)
            throws CorruptException {
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
