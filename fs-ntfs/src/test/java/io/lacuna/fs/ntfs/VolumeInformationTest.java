package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;
import static io.lacuna.fs.ntfs.Refusals.assertUnsafe;
import static io.lacuna.fs.ntfs.Refusals.assertUnsupported;
import static org.junit.jupiter.api.Assertions.assertEquals;

import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class VolumeInformationTest {

    private static final int INFORMATION = 0x70;
    private static final int NAME = 0x60;

    private static NtfsEditor flags(int flags) throws IOException {
        return NtfsVolumes.small().attribute(3, INFORMATION, a -> a.putShort(a.getShort(0x14) + 10, (short) flags));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 0x0008, 0x0080, 0x0088})
    void acceptsTheFlagsOfCleanVolumes(int flags) throws IOException {
        assertEquals(NtfsVolumes.small().freeSpace().free(), flags(flags).freeSpace().free());
    }

    @ParameterizedTest
    @ValueSource(ints = {0x0001, 0x0002, 0x0004, 0x0010, 0x0020, 0x0040, 0x0100, 0x0200, 0x0400, 0x0800, 0x1000, 0x2000,
        0x4000, 0x8000, 0x0081, 0xC089})
    void trapEveryOtherFlagIsADoubt(int flags) throws IOException {
        assertUnsafe("volume flags 0x" + Integer.toHexString(flags), flags(flags));
    }

    @Test
    void namesWhatTheFlagsMean() throws IOException {
        assertUnsafe("marked dirty", flags(1));
        assertUnsafe("a chkdsk was under way", flags(0x4000));
        assertUnsafe("chkdsk changed it", flags(0x8000));
        assertUnsafe("flags 0x12 are set", flags(0x12));
    }

    @ParameterizedTest
    @CsvSource({"1,2", "3,0", "3,1"})
    void acceptsKnownVersions(int major, int minor) throws IOException {
        NtfsEditor editor = version(major, minor);
        assertEquals(NtfsVolumes.small().freeSpace().free(), editor.freeSpace().free());
    }

    @ParameterizedTest
    @CsvSource({"0,0", "1,0", "1,1", "1,3", "2,0", "3,2", "4,0", "255,255"})
    void rejectsOtherVersions(int major, int minor) throws IOException {
        assertUnsupported("NTFS version", version(major, minor));
    }

    private static NtfsEditor version(int major, int minor) throws IOException {
        return NtfsVolumes.small().attribute(3, INFORMATION,
                a -> a.put(a.getShort(0x14) + 8, (byte) major).put(a.getShort(0x14) + 9, (byte) minor));
    }

    @Test
    void rejectsAVolumeWithoutInformation() throws IOException {
        assertCorrupt("$VOLUME_INFORMATION", NtfsVolumes.small().attribute(3, INFORMATION, a -> a.putInt(0, 0x100)));
    }

    @Test
    void rejectsInformationThatIsTooShort() throws IOException {
        assertCorrupt("on-disk structure", NtfsVolumes.small().attribute(3, INFORMATION, a -> a.putInt(0x10, 11)));
    }

    @Test
    void readsTheLabelOfAVolumeInDoubt() throws IOException {
        assertEquals("Lacuna", new NtfsProbe().open(new ByteArraySource(flags(1).bytes)).label());
        assertEquals("", new NtfsProbe().open(new ByteArraySource(version(9, 9).bytes)).label());
    }

    @Test
    void aVolumeNeedsNoLabel() throws IOException {
        NtfsEditor editor = NtfsVolumes.small().attribute(3, NAME, a -> a.putInt(0x10, 0));
        editor.freeSpace();
        assertEquals("", new NtfsProbe().open(new ByteArraySource(editor.bytes)).label());
        NtfsEditor none = NtfsVolumes.small().attribute(3, NAME, a -> a.putInt(0, 0x100));
        none.freeSpace();
        assertEquals("", new NtfsProbe().open(new ByteArraySource(none.bytes)).label());
    }
}
