package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** File records and attributes that contradict themselves, on $Bitmap's. */
class FileRecordTest {

    private static final int BITMAP = 6;

    private static NtfsEditor record(Consumer<ByteBuffer> change) throws IOException {
        return NtfsVolumes.small().record(BITMAP, change);
    }

    private static NtfsEditor data(Consumer<ByteBuffer> change) throws IOException {
        return NtfsVolumes.small().attribute(BITMAP, NtfsEditor.DATA, change);
    }

    /** A field's place in the record, the value of its 16 bits, words of the refusal. */
    @ParameterizedTest
    @CsvSource({
        "0x00, 0x4142, signature",
        "0x16, 0, flags",
        "0x1C, 512, allocated size",
        "0x2C, 7, its own number",
        "0x18, 1032, used size",
        "0x18, 0x30, used size",
        "0x14, 0x28, used size",
        "0x14, 0x7FF8, used size",
        "0x18, 0x100, on-disk structure",
    })
    void rejectsHeaders(String at, String value, String words) throws IOException {
        assertCorrupt(words, record(r -> r.putShort(Integer.decode(at), (short) (int) Integer.decode(value))));
    }

    @Test
    void namesATornRecord() throws IOException {
        assertCorrupt("\"BAAD\", which marks a torn write", record(r -> r.putInt(0, 0x44414142)));
    }

    @ParameterizedTest
    @ValueSource(ints = {511, 1023})
    void trapATornSectorIsSeen(int tail) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.bytes[editor.recordOffset(BITMAP) + tail] ^= 0x40;
        assertCorrupt("MFT record 6: sector " + tail / 512 + " is from another write", editor);
    }

    @ParameterizedTest
    @CsvSource({"0x06, 2, number of fix-up values", "0x06, 4, number of fix-up values", "0x06, 0, number of fix-up values",
        "0x04, 4, place of the fix-up values", "0x04, 0x31, place of the fix-up values",
        "0x04, 1020, place of the fix-up values", "0x04, 0xFFFE, place of the fix-up values"})
    void rejectsFixups(String at, String value, String words) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        editor.volume.putShort(editor.recordOffset(BITMAP) + Integer.decode(at), (short) (int) Integer.decode(value));
        assertCorrupt(words, editor);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 8, 0x10, 0x49, 0x1000, -8})
    void rejectsLengthsOfAttributes(int length) throws IOException {
        assertCorrupt("length of an attribute", data(a -> a.putInt(4, length)));
    }

    @Test
    void rejectsAttributesWithoutAnEnd() throws IOException {
        assertCorrupt("on-disk structure", record(r -> r.putInt(0x18, r.getInt(0x18) - 8)));
    }

    @Test
    void rejectsTwoOfAKind() throws IOException {
        assertCorrupt("expected one, found several",
                record(r -> r.putInt(NtfsEditor.attributeOffset(r, 0x30), 0x80)
                        .put(NtfsEditor.attributeOffset(r, 0x80) + 9, (byte) 0)));
    }

    @Test
    void rejectsValuesOutsideOfTheirAttribute() throws IOException {
        Consumer<ByteBuffer> tooLong = a -> a.putInt(0x10, 0x1000);
        Consumer<ByteBuffer> negative = a -> a.putInt(0x10, -1);
        Consumer<ByteBuffer> tooFar = a -> a.putShort(0x14, (short) 0x7000);
        assertCorrupt("length of its value", NtfsVolumes.small().attribute(BITMAP, 0x10, tooLong));
        assertCorrupt("length of its value", NtfsVolumes.small().attribute(BITMAP, 0x10, negative));
        assertCorrupt("length of its value", NtfsVolumes.small().attribute(BITMAP, 0x10, tooFar));
    }

    @Test
    void rejectsNamesOutsideOfTheirAttribute() throws IOException {
        assertCorrupt("on-disk structure", data(a -> a.put(9, (byte) 200)));
    }

    @ParameterizedTest
    @CsvSource({"0,-2", "0,4398046511103", "5,3", "4398046511104,4398046511104", "0,9223372036854775807"})
    void rejectsClusterNumbers(long first, long last) throws IOException {
        assertCorrupt("clusters it maps", data(a -> a.putLong(0x10, first).putLong(0x18, last)));
    }

    @Test
    void rejectsPlacesOfTheRuns() throws IOException {
        assertCorrupt("place of the data runs", data(a -> a.putShort(0x20, (short) 0x38)));
        assertCorrupt("place of the data runs", data(a -> a.putShort(0x20, (short) 0x49)));
    }

    @ParameterizedTest
    @CsvSource({"4096,4097,128", "4096,128,129", "64,128,128"})
    void rejectsSizes(long allocated, long data, long valid) throws IOException {
        assertCorrupt("sizes", data(a -> a.putLong(0x28, allocated).putLong(0x30, data).putLong(0x38, valid)));
    }

    @ParameterizedTest
    @ValueSource(longs = {8192, 128, 4097})
    void trapRunsThatAreNotAllOfTheStream(long allocated) throws IOException {
        assertCorrupt("clusters of all pieces", data(a -> a.putLong(0x28, allocated)));
    }

    @Test
    void rejectsAPieceThatIsNotTheFirst() throws IOException {
        assertCorrupt("first cluster of a piece", data(a -> a.putLong(0x10, 1).putLong(0x18, 1)));
    }

    @Test
    void rejectsRunsOutsideOfTheVolume() throws IOException {
        assertCorrupt("place of a run", data(a -> a.put(a.getShort(0x20), new byte[] {0x21, 1, -1, 3, 0})));
    }
}
