package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;

class DataRunsTest {

    private static RunList decode(String hex, long endVcn, long volumeClusters) throws DiskFormatException {
        RunList.Builder runs = new RunList.Builder();
        DataRuns.decode(Bytes.littleEndian(ByteBuffer.wrap(HexFormat.of().parseHex(hex)), 0), endVcn, volumeClusters, runs);
        return runs.build();
    }

    private static void assertCorrupt(String words, String hex, long endVcn, long volumeClusters) {
        CorruptException e = assertThrows(CorruptException.class, () -> decode(hex, endVcn, volumeClusters));
        assertTrue(e.getMessage().contains(words), e.getMessage());
    }

    @Test
    void stepsBackwardsAndForwards() throws DiskFormatException {
        // 24 clusters at 0x5634, then 12 clusters 0x30 before, 5 sparse ones, and 1 cluster 0x100 behind the second.
        RunList runs = decode("21183456" + "110cd0" + "0105" + "21010001" + "00", 42, 0x10000);
        assertEquals(4, runs.count());
        assertEquals(0x5634, runs.lcn(0));
        assertEquals(0x5604, runs.lcn(1));
        assertEquals(RunList.SPARSE, runs.lcn(2));
        assertEquals(0x5704, runs.lcn(3));
        assertEquals(36, runs.vcn(2));
        assertEquals(1, runs.length(3));
    }

    @Test
    void aMissingEndMarkIsNoMatterAtTheEndOfTheAttribute() throws DiskFormatException {
        assertEquals(1, decode("110405", 4, 100).count());
    }

    @Test
    void rejectsSizesOfNothingAndOfTooMuch() {
        assertCorrupt("header", "1005", 1, 100);
        assertCorrupt("header", "190102030405060708091000", 1, 100);
        assertCorrupt("header", "9101010203040506070809", 1, 100);
    }

    @Test
    void rejectsLengths() {
        assertCorrupt("length of a run", "11000100", 1, 100);
        assertCorrupt("length of a run", "11ff0100", 1, 100);
        assertCorrupt("length of a run", "11050100", 4, 100);
        assertCorrupt("length of a run", "18ffffffffffffff7f0100", 4, 100);
    }

    @Test
    void rejectsRunsOutsideOfTheVolume() {
        assertCorrupt("place of a run", "1104ff00", 4, 100);
        assertCorrupt("place of a run", "11046100", 4, 100);
        assertCorrupt("place of a run", "11041011 04ef00".replace(" ", ""), 8, 100);
        assertCorrupt("place of a run", "8104ffffffffffffff7f00", 4, 100);
        assertCorrupt("place of a run", "810400000000000000 8000".replace(" ", ""), 4, 100);
    }

    @Test
    void rejectsRunsThatEndEarlyOrAreCut() {
        assertCorrupt("NTFS data runs", "11040100", 5, 100);
        assertCorrupt("NTFS data runs", "00", 1, 100);
        assertCorrupt("on-disk structure", "2104", 4, 100);
        assertCorrupt("length of a run", "1104011101ff00", 4, 100);
    }

    @Test
    void boundsTheNumberOfRuns() throws DiskFormatException {
        RunList.Builder runs = new RunList.Builder();
        for (int i = 0; i < RunList.MAX_RUNS; i++) {
            runs.add(2L * i, 1);
        }
        assertThrows(UnsupportedException.class, () -> runs.add(0, 1));
    }
}
