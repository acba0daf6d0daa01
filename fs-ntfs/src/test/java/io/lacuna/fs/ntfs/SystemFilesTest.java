package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;
import static io.lacuna.fs.ntfs.Refusals.assertUnsupported;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** $Bitmap against the file system's own files, the MFT against its mirror. */
class SystemFilesTest {

    /** Record, attribute, what the refusal calls it. */
    @ParameterizedTest
    @CsvSource({"0,0x80,$MFT", "0,0xB0,MFT record 0 ($MFT)", "1,0x80,MFT record 1 ($MFTMirr)", "2,0x80,MFT record 2 ($LogFile)",
        "4,0x80,MFT record 4 ($AttrDef)", "5,0xA0,MFT record 5 (the root folder)", "6,0x80,MFT record 6 ($Bitmap)",
        "7,0x80,MFT record 7 ($Boot)", "9,0x80,MFT record 9 ($Secure)", "10,0x80,MFT record 10 ($UpCase)"})
    void trapABitmapThatMarksASystemFileFree(int record, String type, String name) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        int first = editor.firstRun(record, Integer.decode(type)) / editor.clusterSize();
        assertTrue(editor.isUsed(first));
        assertCorrupt("$Bitmap: clusters of " + name, editor.mark(first, false));
    }

    @Test
    void everyClusterOfASystemFileCounts() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        int log = editor.firstRun(2, NtfsEditor.DATA) / editor.clusterSize();
        for (int i : new int[] {1, 31, 63}) {
            assertCorrupt("MFT record 2 ($LogFile)", new NtfsEditor(editor.bytes).mark(log + i, false));
        }
    }

    @Test
    void trapAnEmptyBitmapFreesNothing() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        int bitmap = editor.firstRun(6, NtfsEditor.DATA);
        java.util.Arrays.fill(editor.bytes, bitmap, bitmap + 128, (byte) 0);
        assertCorrupt("expected in use, found free", editor);
    }

    /** Runs that lead to another place, where zeros are read as a bitmap. */
    @Test
    void trapABitmapInTheWrongPlace() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        ExtentSet free = editor.freeSpace().free();
        int cluster = (int) (free.get(free.count() - 1).offset() / editor.clusterSize());
        assertCorrupt("expected in use, found free", editor.runs(6, NtfsEditor.DATA,
                new byte[] {0x21, 1, (byte) cluster, (byte) (cluster >> 8), 0}));
    }

    @Test
    void rejectsABitmapOfALargerVolume() throws IOException {
        assertCorrupt("MFT record 6 ($Bitmap): size", NtfsVolumes.small().attribute(6, NtfsEditor.DATA,
                a -> a.putLong(0x30, 129).putLong(0x38, 129)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0x0001, 0x4000})
    void rejectsACompressedOrEncryptedBitmap(int flags) throws IOException {
        assertUnsupported("compressed or encrypted",
                NtfsVolumes.small().attribute(6, NtfsEditor.DATA, a -> a.putShort(0x0C, (short) flags)));
    }

    @Test
    void rejectsABitmapWithoutClusters() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.volume.put(editor.recordOffset(6), NtfsRecords.record(6, 6, 0,
                List.of(NtfsRecords.resident(0x80, new byte[128]))));
        assertCorrupt("one inside of the record", editor);
        editor.volume.put(editor.recordOffset(6), NtfsRecords.record(6, 6, 0, List.of()));
        assertCorrupt("MFT record 6 ($Bitmap): attribute 0x80", editor);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 2, 3})
    void trapAMirrorThatDiffersIsADoubt(int number) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        // The number of hard links: a field that nothing else looks at.
        editor.fixed(editor.mirrorOffset(number), 1024, record -> record.putShort(0x12, (short) 7));
        assertCorrupt("$MFTMirr: copy of MFT record " + number, editor);
    }

    @Test
    void theMirrorsUpdateSequenceIsItsOwn() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.fixed(editor.mirrorOffset(2), 1024, record -> record.putShort(record.getShort(4), (short) 99));
        assertEquals(NtfsVolumes.small().freeSpace().free(), editor.freeSpace().free());
    }

    @Test
    void rejectsATornMirror() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.bytes[editor.mirrorOffset(3) + 511] ^= 1;
        assertCorrupt("MFT record 3: sector 0 is from another write", editor);
    }

    @Test
    void rejectsAMirrorElsewhere() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.volume.putLong(0x38, editor.volume.getLong(0x38) + 1);
        assertCorrupt("$MFTMirr: its first byte", editor);
    }

    @Test
    void rejectsABootFileElsewhere() throws IOException {
        assertCorrupt("MFT record 7 ($Boot): its first byte",
                NtfsVolumes.small().runs(7, NtfsEditor.DATA, new byte[] {0x11, 2, 1, 0}));
    }

    @Test
    void rejectsAnMftElsewhere() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        int cluster = (int) editor.volume.getLong(0x38);
        // The mirror has the same records, but the first says where the MFT is.
        editor.volume.putLong(0x30, cluster).putLong(0x38, 4);
        assertCorrupt("$MFT: its first byte", editor);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})
    void everySystemFileMustHaveARecord(int number) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.bytes[editor.recordOffset(number)] = 'X';
        assertCorrupt("MFT record " + number + ": signature", editor);
        assertEquals("ntfs", new NtfsProbe().open(new ByteArraySource(editor.bytes)).type());
    }
}
