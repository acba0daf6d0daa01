package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * A persistent dirty bitmap: an entry of the bitmap directory, 24 bytes and more, big-endian, padded to 8. Source: QEMU
 * {@code docs/interop/qcow2}, "Bitmaps".
 *
 * @param name for messages: at most 60 bytes of it, control characters replaced
 * @param tableOffset byte of its bitmap table, whose entries name the clusters with the bits
 * @param tableEntries entries of that table, 8 bytes each
 */
record PersistentBitmap(String name, long tableOffset, int tableEntries) {

    private static final int SIZE = 24;
    /** QEMU's limit. */
    private static final long MAX_TABLE_ENTRIES = 0x800_0000;
    private static final int SHOWN_NAME = 60;
    private static final long OFFSET = 0x00FF_FFFF_FFFF_FE00L;
    private static final long RESERVED = 0xFF00_0000_0000_01FEL;

    static List<PersistentBitmap> parseAll(BlockSource file, Qcow2Header header, Qcow2Extensions extensions)
            throws IOException {
        List<PersistentBitmap> bitmaps = new ArrayList<>();
        long position = extensions.bitmapDirectoryOffset();
        long end = position + extensions.bitmapDirectorySize();
        for (int i = 0; i < extensions.bitmapCount(); i++) {
            Bytes b = Bytes.read(file, "bitmap directory entry " + i, position, SIZE, ByteOrder.BIG_ENDIAN);
            long offset = b.u64(0);
            long entries = b.u32(8);
            if (entries > MAX_TABLE_ENTRIES) {
                throw b.unsupported("bitmap " + i + ": table entries", 8, "at most " + MAX_TABLE_ENTRIES, entries);
            }
            if (entries > 0 && (offset == 0 || (offset & header.clusterSize() - 1) != 0
                    || !header.insideFile(offset, entries * Long.BYTES, file.size()))) {
                throw b.corrupt("bitmap " + i + ": table", 0, "whole clusters inside the file",
                        entries + " entries at 0x" + Long.toHexString(offset));
            }
            int nameLength = b.u16(18);
            long next = position + (SIZE + b.u32(20) + nameLength + 7 & -8L);
            if (next > end) {
                throw b.corrupt("bitmap directory entry " + i, 0, "an end inside the directory",
                        next - end + " bytes more");
            }
            int shown = Math.min(nameLength, SHOWN_NAME);
            byte[] name = Bytes.read(file, "bitmap name", position + SIZE + b.u32(20), shown, ByteOrder.BIG_ENDIAN)
                    .copy(0, shown);
            bitmaps.add(new PersistentBitmap(new String(name, StandardCharsets.UTF_8).replaceAll("\\p{Cntrl}", "?"),
                    offset, (int) entries));
            position = next;
        }
        return bitmaps;
    }

    /** @return byte of the cluster that an entry of the bitmap table names; 0 if none */
    static long dataOffset(long entry, long position) throws CorruptException {
        if ((entry & RESERVED) != 0 || (entry & OFFSET) != 0 && (entry & 1) != 0) {
            throw new CorruptException("bitmap table entry", position, "no reserved bits", "0x" + Long.toHexString(entry));
        }
        return entry & OFFSET;
    }
}
