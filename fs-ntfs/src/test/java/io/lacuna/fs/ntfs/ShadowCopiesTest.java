package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;
import static io.lacuna.fs.ntfs.Refusals.assertUnsafe;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.Corpus;
import java.io.IOException;
import java.nio.file.Files;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Volume Shadow Copies: blocks that are free today may be theirs. */
class ShadowCopiesTest {

    private static final byte[] IDENTIFIER = HexFormat.of().parseHex("6b87083876c1484eb7ae04046e6cc752");
    private static final int HEADER = 0x1E00;
    private static final int CATALOG = 3 << 20;

    /** A volume with a VSS header that leads to this catalog; 0 for none. */
    static NtfsEditor header(long catalog) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.volume.put(HEADER, IDENTIFIER).putInt(HEADER + 0x10, 1).putInt(HEADER + 0x14, 1);
        editor.volume.putLong(HEADER + 0x18, HEADER).putLong(HEADER + 0x20, HEADER).putLong(HEADER + 0x30, catalog);
        for (int i = 0; i < 16; i++) {
            editor.bytes[HEADER + 0x40 + i] = (byte) (i + 1);
            editor.bytes[HEADER + 0x50 + i] = (byte) (i + 1);
        }
        return editor;
    }

    static NtfsEditor block(NtfsEditor editor, int at, long next) {
        for (int i = 0; i < 16384; i++) {
            editor.bytes[at + i] = 0;
        }
        editor.volume.put(at, IDENTIFIER).putInt(at + 0x10, 1).putInt(at + 0x14, 2);
        editor.volume.putLong(at + 0x18, at - CATALOG).putLong(at + 0x20, at).putLong(at + 0x28, next);
        return editor;
    }

    private static NtfsEditor catalog() throws IOException {
        return block(block(header(CATALOG), CATALOG, CATALOG + 16384), CATALOG + 16384, 0);
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
        assertEquals(NtfsVolumes.small().freeSpace().free(), editor.freeSpace().free());
        assertTrue(editor.freeSpace().evidence().contains("no shadow copies (their catalog is empty)"));
    }

    @ParameterizedTest
    @CsvSource({"128,2", "128,3", "16256,2", "16512,3", "32640,2", "256,4", "256,-1"})
    void trapAShadowCopyKeepsFreeClusters(int at, long type) throws IOException {
        NtfsEditor editor = catalog();
        editor.volume.putLong(CATALOG + at, type);
        assertUnsafe("has Volume Shadow Copies", editor);
        assertUnsafe("vssadmin delete shadows /all", editor);
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
        assertBlock("its own place", 0x20, 0);
        assertUnsafe("more, or a loop", block(catalog(), CATALOG + 16384, CATALOG));
    }

    private static void assertBlock(String words, int at, int value) throws IOException {
        NtfsEditor editor = catalog();
        editor.volume.putInt(CATALOG + 16384 + at, value);
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
