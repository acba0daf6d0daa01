package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertUnsafe;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Records of shadow copies that cannot be believed: the volume is skipped, with the advice to delete them. */
class ShadowStoreTest {

    private static final int BLOCK = ShadowVolume.BLOCK;
    private static final int HEADER = 0;
    private static final int LIST = 1;
    private static final int BITMAP = 2;
    private static final int PREVIOUS = 3;
    /** Of the newer shadow copy. */
    private static final int SHADOW_COPY = 128 + 256;
    private static final int STORE = SHADOW_COPY + 128;

    private static void assertRefused(String words, Consumer<ShadowVolume> change) throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        change.accept(volume);
        assertUnsafe(words, volume.editor());
        assertUnsafe("vssadmin delete shadows /all", volume.editor());
    }

    private static void catalog(String words, int at, long value) throws IOException {
        assertRefused(words, volume -> volume.volume.putLong(volume.catalog + at, value));
    }

    @Test
    void rejectsWrongEntries() throws IOException {
        catalog("type of an entry", SHADOW_COPY, 4);
        catalog("type of an entry", SHADOW_COPY, -1);
        catalog("size of a shadow copy", SHADOW_COPY + 8, 0);
        catalog("size of a shadow copy", SHADOW_COPY + 8, (16 << 20) + 1);
        catalog("64-bit field", SHADOW_COPY + 8, -1);
    }

    @Test
    void rejectsAShadowCopyThatIsNotWhole() throws IOException {
        catalog("expected on this volume, found none", STORE, 0);
        catalog("store of a shadow copy", STORE, 1);
        catalog("store of a shadow copy", STORE + 16, 77);
        catalog("store of a shadow copy", SHADOW_COPY + 16, 77);
    }

    @ParameterizedTest
    @ValueSource(ints = {8, 32, 48})
    void rejectsAStoreWithoutARecord(int at) throws IOException {
        catalog("place of a store's record", STORE + at, 0);
        catalog("VSS", STORE + at, 16 << 20);
        catalog("VSS", STORE + at, (16 << 20) - BLOCK + 1);
        catalog("64-bit field", STORE + at, Long.MIN_VALUE);
        catalog("VSS", STORE + at, Long.MAX_VALUE);
        catalog("VSS", STORE + at, 3);
    }

    @Test
    void rejectsTwoOfOne() throws IOException {
        for (int at : new int[] {SHADOW_COPY, STORE}) {
            assertRefused("expected one, found several", volume -> System.arraycopy(volume.bytes, volume.catalog + at,
                    volume.bytes, volume.catalog + 2048, 128));
        }
    }

    @Test
    void rejectsMoreThanWindowsMakes() throws IOException {
        assertRefused("at most 1024, found more", volume -> {
            int at = volume.catalog + 1024;
            int block = volume.catalog;
            for (int i = 0; i < 1100; i++) {
                if (at == block + BLOCK) {
                    int next = block == volume.catalog ? 0 : block;
                    next = nextRoom(volume, Math.max(next, volume.catalog));
                    volume.volume.putLong(block + 0x28, next);
                    volume.record(next, 2, volume.volume.getLong(block + 0x18) + BLOCK, 0);
                    block = next;
                    at = block + 128;
                }
                volume.volume.putLong(at, 3).putLong(at + 8, 1).putLong(at + 16, i).putLong(at + 32, 1).putLong(at + 48, 1);
                at += 128;
            }
        });
    }

    /** @return a block behind this one that a store's file has room in */
    private static int nextRoom(ShadowVolume volume, int block) {
        int next = block;
        do {
            next += BLOCK;
        } while (next < 16 << 20 && !(volume.bytes[next] == 'S' && volume.bytes[next + BLOCK - 4096] == 'S'
                && volume.bytes[next + 1] == 'T'));
        return next;
    }

    @ParameterizedTest
    @CsvSource({"0", "1", "2", "3"})
    void rejectsRecordsThatAreSomethingElse(int record) throws IOException {
        for (int i = 0; i < 16; i++) {
            int at = i;
            assertRefused("identifier", volume -> volume.bytes[volume.records[1][record] + at] ^= 0x40);
        }
        assertRefused("version", volume -> volume.volume.putInt(volume.records[1][record] + 0x10, 3));
        assertRefused("type", volume -> volume.volume.putInt(volume.records[1][record] + 0x14, 7));
        assertRefused("its own place", volume -> volume.volume.putLong(volume.records[1][record] + 0x20, 0));
    }

    @Test
    void rejectsLoopsAndStrayLinks() throws IOException {
        for (long next : new long[] {-1, Long.MAX_VALUE, 16 << 20, 5}) {
            assertRefused("cannot be read", volume -> volume.volume.putLong(volume.records[1][LIST] + 0x28, next));
        }
        assertRefused("one that was read before",
                volume -> volume.volume.putLong(volume.records[1][LIST] + 0x28, volume.records[1][LIST]));
    }

    /** What belongs to one shadow copy is not another's. */
    @Test
    void rejectsARecordThatTwoShadowCopiesShare() throws IOException {
        assertRefused("one that was read before", volume -> volume.volume.putLong(volume.catalog + STORE + 48,
                volume.records[0][BITMAP]));
        assertRefused("one that was read before", volume -> volume.volume.putLong(volume.catalog + STORE + 72,
                volume.records[1][BITMAP]));
    }

    @Test
    void rejectsRecordsInFreeClusters() throws IOException {
        for (int record : new int[] {HEADER, LIST, BITMAP, PREVIOUS}) {
            ShadowVolume volume = ShadowVolume.sound();
            NtfsEditor editor = volume.editor().cleanLog().mark(volume.records[1][record] / 4096 + 1, false);
            assertUnsafe("expected in use, found free in $Bitmap", editor);
        }
    }

    @Test
    void rejectsAShadowCopyThatIsNotMeantToLast() throws IOException {
        assertRefused("attributes", volume -> volume.volume.putInt(volume.records[1][HEADER] + 128 + 0x38, 0x2001C));
        assertRefused("size of its information", volume -> volume.volume.putLong(volume.records[1][HEADER] + 0x30, 0));
        assertRefused("size of its information", volume -> volume.volume.putLong(volume.records[1][HEADER] + 0x30, 16257));
        assertRefused("64-bit field", volume -> volume.volume.putLong(volume.records[1][HEADER] + 0x30, -1));
    }

    @Test
    void rejectsWrongDescriptors() throws IOException {
        assertRefused("flags", volume -> volume.descriptor(1, BLOCK, BLOCK, volume.records[0][0], 0x100, 0));
        assertRefused("flags", volume -> volume.descriptor(1, BLOCK, BLOCK, volume.records[0][0], Integer.MIN_VALUE, 0));
        assertRefused("place of a block", volume -> volume.descriptor(1, 512, BLOCK, volume.records[0][0], 0, 0));
        assertRefused("place of a block", volume -> volume.descriptor(1, 16 << 20, BLOCK, volume.records[0][0], 0, 0));
        assertRefused("place of a block", volume -> volume.descriptor(1, -BLOCK, BLOCK, volume.records[0][0], 0, 0));
        assertRefused("copy of a block that was moved", volume -> volume.descriptor(1, BLOCK, BLOCK, BLOCK, 1, 0));
        assertRefused("copy of a block", volume -> volume.descriptor(1, BLOCK, BLOCK, (16 << 20) - BLOCK + 1, 0, 0));
        assertRefused("64-bit field", volume -> volume.descriptor(1, BLOCK, BLOCK, -1, 0, 0));
    }

    /** A copy that $Bitmap gives away: whatever is wrong, the shadow copy would read it. */
    @ParameterizedTest
    @ValueSource(ints = {0, 2, 8})
    void rejectsCopiesInFreeClusters(int flags) throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        volume.descriptor(1, BLOCK, BLOCK, volume.freeSpace().free().start(0), flags, 1);
        assertUnsafe("copy of a block", volume.editor());
    }

    /** A descriptor that is not used any more names a copy that may be gone. */
    @Test
    void acceptsAnUnusedDescriptorWithAStaleCopy() throws IOException {
        ShadowVolume volume = ShadowVolume.sound();
        long free = volume.freeSpace().free().totalBytes();
        volume.descriptor(1, 0, 1, volume.freeSpace().free().start(0), 4, 0);
        assertEquals(free, volume.freeSpace().free().totalBytes());
    }

    /** The boot sector, the MFT and its mirror were there on any day. */
    @Test
    void rejectsABitmapThatDeniesTheFileSystem() throws IOException {
        ShadowVolume sound = ShadowVolume.sound();
        for (int place : new int[] {0, sound.editor().recordOffset(0), sound.editor().mirrorOffset(0)}) {
            for (int copy = 0; copy < 2; copy++) {
                ShadowVolume volume = ShadowVolume.sound();
                volume.markUnused(copy, place, true);
                if (isCopied(volume, copy, place / BLOCK * BLOCK)) {
                    assertEquals(sound.freeSpace().free(), volume.freeSpace().free());
                } else {
                    assertUnsafe("in use, for the file system starts there", volume.editor());
                }
            }
        }
    }

    private static boolean isCopied(ShadowVolume volume, int copy, long block) {
        for (int at = volume.records[copy][LIST] + 128; volume.volume.getLong(at + 8) != 0; at += 32) {
            if (volume.volume.getLong(at) == block) {
                return true;
            }
        }
        return false;
    }
}
