package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;
import static io.lacuna.fs.ntfs.Refusals.assertUnsafe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.Corpus;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Volume Shadow Copies: blocks that are free today may be theirs. */
class ShadowCopiesTest {

    private static final int HEADER = ShadowVolume.HEADER;
    private static final int BLOCK = ShadowVolume.BLOCK;
    private static final int CATALOG = 3 << 20;

    /** A volume with a VSS header that leads to this catalog; 0 for none. */
    static NtfsEditor header(long catalog) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.volume.put(HEADER, ShadowVolume.IDENTIFIER).putInt(HEADER + 0x10, 1).putInt(HEADER + 0x14, 1);
        editor.volume.putLong(HEADER + 0x18, HEADER).putLong(HEADER + 0x20, HEADER).putLong(HEADER + 0x30, catalog);
        for (int i = 0; i < 16; i++) {
            editor.bytes[HEADER + 0x40 + i] = (byte) (i + 1);
            editor.bytes[HEADER + 0x50 + i] = (byte) (i + 1);
        }
        return editor;
    }

    /** Writes an empty block of a catalog, into clusters that are in use from then on. */
    static NtfsEditor block(NtfsEditor editor, int at, long next) {
        for (int i = 0; i < BLOCK; i++) {
            editor.bytes[at + i] = 0;
        }
        editor.volume.put(at, ShadowVolume.IDENTIFIER).putInt(at + 0x10, 1).putInt(at + 0x14, 2);
        editor.volume.putLong(at + 0x18, at - CATALOG).putLong(at + 0x20, at).putLong(at + 0x28, next);
        for (int cluster = at / 4096; cluster < (at + BLOCK) / 4096; cluster++) {
            editor.mark(cluster, true);
        }
        return editor;
    }

    private static NtfsEditor catalog() throws IOException {
        return block(block(header(CATALOG), CATALOG, CATALOG + BLOCK), CATALOG + BLOCK, 0);
    }

    @Test
    void acceptsAHeaderWithoutACatalog() throws IOException {
        assertEquals(NtfsVolumes.small().freeSpace().free(), header(0).freeSpace().free());
        assertTrue(header(0).freeSpace().evidence().contains("no shadow copies"));
    }

    @Test
    void acceptsACatalogWithoutShadowCopies() throws IOException {
        NtfsEditor editor = catalog();
        editor.volume.putLong(CATALOG + 256, 1);
        assertEquals(NtfsVolumes.small().freeSpace().free().minus(ExtentSet.ofRange(CATALOG, 2 * BLOCK)),
                editor.freeSpace().free());
        assertEquals(List.of(), editor.freeSpace().kept());
        assertTrue(editor.freeSpace().evidence().contains("no shadow copies (their catalog is empty)"));
    }

    @Test
    void freesWhatNoShadowCopyCallsInUse() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        FreeSpace space = volume.freeSpace();
        assertEquals(volume.expected(), space.free());
        assertTrue(space.free().totalBytes() > 1 << 20, space.free().toString());
        assertEquals(1, space.kept().size());
        assertEquals("still needed by a shadow copy", space.kept().get(0).why());
        assertEquals(ShadowVolume.free(volume.bytes).minus(space.free()), space.kept().get(0).bytes());
        assertTrue(space.evidence().contains("read the bitmaps of 2 shadow copies: what they do not call unused is kept"),
                space.evidence().toString());
        assertTrue(space.remarks().stream().anyMatch(remark -> remark.contains("vssadmin delete shadows /all")));
    }

    /** Deleted since, and still whole in a shadow copy: the clusters are free, and they are all that it has. */
    @Test
    void trapABlockFreeNowButNeededByAShadowCopyIsNeverFreed() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet freeNow = ShadowVolume.free(volume.bytes);
        ExtentSet freed = volume.freeSpace().free();
        for (byte[] day : volume.past) {
            ExtentSet deleted = freeNow.minus(ShadowVolume.free(day));
            assertTrue(deleted.totalBytes() > 100_000, deleted.toString());
            assertEquals(ExtentSet.EMPTY, deleted.intersect(freed));
        }
    }

    /** Each bitmap of each shadow copy counts. */
    @ParameterizedTest
    @CsvSource({"0,2", "1,2", "1,3"})
    void trapAClearBitOfAnyBitmapKeepsItsBlock(int copy, int record) throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet before = volume.freeSpace().free();
        int block = (int) (before.start(before.count() - 1) / BLOCK);
        volume.bytes[volume.records[copy][record] + 128 + block / 8] &= (byte) ~(1 << block % 8);
        assertEquals(before.minus(ExtentSet.ofRange((long) block * BLOCK, BLOCK)), volume.freeSpace().free());
    }

    /** A shadow copy of another volume: its bitmaps are not about this one, but only the catalog says so. */
    @Test
    void trapAStoreWithoutItsShadowCopyStillCounts() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet before = volume.freeSpace().free();
        volume.volume.putLong(volume.catalog + 128, 0);
        FreeSpace space = volume.freeSpace();
        assertEquals(before, space.free());
        assertTrue(space.evidence().contains("read the bitmaps of 1 shadow copy and of 1 shadow copy of another volume that is "
                + "stored here: what they do not call unused is kept"), space.evidence().toString());
    }

    /** A forwarder: the block's content lies where it was moved to, and that place was free when the shadow copy was made. */
    @Test
    void trapTheTargetOfAForwarderIsKept() throws IOException {
        assertKept(1, 0);
        assertKept(0x11, 0);
    }

    @Test
    void trapAPartlyWrittenBlockIsKept() throws IOException {
        assertKept(2, 0xFF);
        assertKept(2, -1);
    }

    /** Flags that nobody has explained, and blocks that are marked as not used. */
    @ParameterizedTest
    @CsvSource({"4", "8", "0x10", "0x20", "0x40", "0x80", "0xFF"})
    void trapABlockWithOtherFlagsIsKept(String flags) throws IOException {
        assertKept(Integer.decode(flags), 0);
    }

    private static void assertKept(int flags, int allocation) throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet before = volume.freeSpace().free();
        long original = before.start(0);
        long target = before.end(before.count() - 1) - BLOCK;
        long place = (flags & 1) != 0 ? 0 : volume.records[0][0];
        volume.descriptor(0, original, target, place, flags, allocation);
        ExtentSet after = volume.freeSpace().free();
        assertFalse(after.intersects(original, BLOCK), "original");
        assertFalse(after.intersects(target, BLOCK), "target");
        assertEquals(before.totalBytes() - 2 * BLOCK, after.totalBytes());
    }

    /** What was copied since is whole in the store; the bitmap still says that it was in use, and so it stays. */
    @Test
    void aPlainCopyFreesNothing() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet before = volume.freeSpace().free();
        volume.descriptor(1, before.start(0), 5 * BLOCK, volume.records[0][0], 0, 0);
        assertEquals(before, volume.freeSpace().free());
    }

    /** The volume has grown since: nobody knows about the new end. */
    @Test
    void trapWhatLiesBehindTheVolumeOfThatDayIsKept() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        ExtentSet before = volume.freeSpace().free();
        long size = before.end(before.count() - 1) - 1;
        volume.volume.putLong(volume.catalog + 128 + 8, size);
        ExtentSet after = volume.freeSpace().free();
        assertEquals(before.minus(ExtentSet.ofRange(size / BLOCK * BLOCK, BLOCK)), after);
    }

    @Test
    void trapShadowCopiesMayBeOnAnotherVolume() throws IOException {
        for (int at : new int[] {0x40, 0x4F, 0x50, 0x5F}) {
            NtfsEditor editor = header(0);
            editor.bytes[HEADER + at] ^= 1;
            assertUnsafe("stored on another volume", editor);
        }
    }

    @Test
    void trapAHeaderThatCannotBeReadIsADoubt() throws IOException {
        assertHeader("version", 0x10, 3);
        assertHeader("version", 0x10, 0);
        assertHeader("type", 0x14, 2);
        assertHeader("its own place", 0x18, 0);
        for (int i = 0; i < 16; i++) {
            NtfsEditor editor = header(CATALOG);
            editor.bytes[HEADER + i] ^= 1;
            assertCorrupt("VSS volume header: identifier", editor);
        }
    }

    private static void assertHeader(String words, int at, int value) throws IOException {
        NtfsEditor editor = header(0);
        editor.volume.putInt(HEADER + at, value);
        assertCorrupt("VSS volume header: " + words, editor);
    }

    @Test
    void rejectsCatalogsThatCannotBeRead() throws IOException {
        assertUnsafe("VSS catalog: identifier", header(CATALOG));
        assertUnsafe("VSS catalog", header(4 << 20));
        assertUnsafe("VSS catalog", header((4 << 20) - 16383));
        assertUnsafe("VSS catalog", header(Long.MAX_VALUE));
        assertCorrupt("64-bit field", header(-1));
        assertBlock("version", 0x10, 9);
        assertBlock("type", 0x14, 1);
        assertBlock("place in the catalog", 0x18, 0);
        assertBlock("its own place", 0x20, 0);
        assertUnsafe("one that was read before", block(catalog(), CATALOG + BLOCK, CATALOG));
        assertUnsafe("expected in use, found free in $Bitmap", catalog().mark((CATALOG + BLOCK) / 4096 + 3, false));
    }

    private static void assertBlock(String words, int at, int value) throws IOException {
        NtfsEditor editor = catalog();
        editor.volume.putInt(CATALOG + BLOCK + at, value);
        assertUnsafe("VSS catalog: " + words, editor);
    }

    /** Starts of volumes that Windows made. */
    @ParameterizedTest
    @CsvSource({"volume_start_nosc_10.bin,true", "volume_start_nosc_2003.bin,true", "volume_start.bin,false",
        "volume_start_2.bin,false", "volume_start_3.bin,false"})
    void judgesHeadersOfWindows(String name, boolean none) throws IOException {
        byte[] start = Files.readAllBytes(Corpus.root().resolve("dfir_ntfs").resolve(name));
        NtfsEditor editor = NtfsVolumes.small();
        System.arraycopy(start, HEADER, editor.bytes, HEADER, 512);
        if (none) {
            assertEquals(NtfsVolumes.small().freeSpace().free(), editor.freeSpace().free());
        } else {
            assertUnsafe("Volume Shadow Copies", editor);
        }
    }
}
