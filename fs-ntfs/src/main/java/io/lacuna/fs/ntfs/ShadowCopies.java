package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Set;

/**
 * Volume Shadow Copies (VSS): 128 bytes at byte 0x1E00 of the volume, which lead to a catalog. A shadow copy keeps a block of
 * 16 KiB only once it is overwritten, and reads all others from the volume: a block that is free now may be one of them.
 *
 * <p>Freed is only what every store calls not in use in all its bitmaps, and nothing else of it names. A block that was copied
 * since is kept as well: the bitmaps do not tell. Source: libvshadow, "Volume header" and "Reading snapshot data".
 */
final class ShadowCopies {

    static final int HEADER_AT = 0x1E00;
    static final int HEADER_SIZE = 128;

    private static final int OWN_OFFSET = 0x18;         // u64
    private static final int CATALOG_OFFSET = 0x30;     // u64
    private static final int VOLUME_ID = 0x40;          // GUID
    private static final int STORAGE_ID = 0x50;         // GUID
    private static final int ID_SIZE = 16;

    private static final String ADVICE = "; clusters that are free now may still belong to them. Delete them in the guest "
            + "(vssadmin delete shadows /all) and shut it down, if nobody needs them";

    private ShadowCopies() {
    }

    /**
     * What the shadow copies leave of the free space.
     *
     * @param free bytes that no shadow copy needs
     * @param evidence a short phrase for the report
     */
    record Verdict(ExtentSet free, String evidence) {
    }

    /**
     * @param free what $Bitmap calls free
     * @param landmarks bytes of the volume that have been the file system's own as long as it exists
     * @throws UnsafeException if there are shadow copies, or may be, and what they need cannot be told
     * @throws CorruptException if the header cannot be read
     */
    static Verdict judge(BlockSource volume, ExtentSet free, Set<Long> landmarks) throws IOException {
        String what = "VSS volume header";
        Bytes header = Bytes.read(volume, what, HEADER_AT, HEADER_SIZE, ByteOrder.LITTLE_ENDIAN);
        if (!ShadowBlocks.hasIdentifier(header)) {
            // Its own place stands in the header: with only the identifier damaged, shadow copies must not be overlooked.
            if (header.s64(OWN_OFFSET) == HEADER_AT) {
                throw ShadowBlocks.withoutIdentifier(header, what);
            }
            return new Verdict(free, "no shadow copies");
        }
        ShadowBlocks.requireRecord(header, what, ShadowBlocks.TYPE_VOLUME, OWN_OFFSET, HEADER_AT);
        if (!Arrays.equals(header.copy(VOLUME_ID, ID_SIZE), header.copy(STORAGE_ID, ID_SIZE))) {
            throw new UnsafeException("this NTFS volume has Volume Shadow Copies that are stored on another volume" + ADVICE);
        }
        long catalog = header.u64(CATALOG_OFFSET);
        if (catalog == 0) {
            return new Verdict(free, "no shadow copies");
        }
        try {
            return judge(new ShadowBlocks(volume, free), catalog, free, landmarks);
        } catch (CorruptException e) {
            throw new UnsafeException("this NTFS volume may have Volume Shadow Copies, and their records cannot be read ("
                    + e.reason() + ")" + ADVICE);
        } catch (UnsupportedException e) {
            throw new UnsafeException(e.reason() + ADVICE);
        }
    }

    private static Verdict judge(ShadowBlocks blocks, long catalogAt, ExtentSet free, Set<Long> landmarks)
            throws IOException {
        ShadowCatalog catalog = ShadowCatalog.read(blocks, catalogAt);
        if (catalog.stores().isEmpty()) {
            return new Verdict(free, "no shadow copies (their catalog is empty)");
        }
        ExtentSet rest = free.inwardTo(ShadowBlocks.SIZE);
        for (ShadowStore store : catalog.stores()) {
            rest = store.notNeeded(blocks, rest, landmarks);
        }
        int own = catalog.ownCount();
        int foreign = catalog.stores().size() - own;
        return new Verdict(rest, "read the bitmaps of " + counted(own, "shadow copy", "shadow copies")
                + (foreign == 0 ? "" : " and of " + counted(foreign, "shadow copy", "shadow copies")
                        + " of another volume that " + (foreign == 1 ? "is" : "are") + " stored here")
                + ": what they do not call unused is kept");
    }

    private static String counted(int count, String one, String many) {
        return count + " " + (count == 1 ? one : many);
    }
}
