package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.Tools;
import io.lacuna.fs.ntfs.NtfsRecords.Run;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files in more pieces than one record holds: $Bitmap, and the MFT itself. */
class AttributeListTest {

    private static final int CLUSTER = 512;
    private static final int BITMAP = 6;
    /** Records that mkntfs leaves empty. */
    private static final int FIRST_PIECE = 20;
    private static final int LIST = 0x20;

    @TempDir
    static Path directory;
    private static byte[] original;
    private static ExtentSet originalFree;

    @BeforeAll
    static void makeVolume() throws IOException {
        // 8 KiB of bitmap, which are 16 clusters.
        Path image = NtfsVolumes.make(directory, 32 << 20, "-s 512 -c 512");
        NtfsVolumes.write(image, "for i in $(seq 50); do head -c 3000 /dev/urandom > f$i; done; rm f*[02468]");
        NtfsEditor editor = new NtfsEditor(Files.readAllBytes(image)).cleanLog();
        original = editor.bytes;
        originalFree = editor.freeSpace().free();
        Files.delete(image);
    }

    /** @return a free cluster for the n-th one of $Bitmap: backwards and forwards, never next to each other */
    private static int place(int n) {
        Extent largest = Collections.max(StreamSupport.stream(originalFree.spliterator(), false).toList(),
                Comparator.comparingLong(Extent::length));
        return (int) (largest.offset() / CLUSTER) + (n % 2 == 0 ? 7 : 4000) + 3 * n;
    }

    /** What a case does with the pieces before they are written. */
    private static final class Layout {
        boolean listIsResident = true;
        List<byte[]> entries = new ArrayList<>();
        List<List<Run>> pieces = new ArrayList<>();
        long sequence = 1;
        long base;
        long validSize = -1;
    }

    /** Moves every cluster of $Bitmap to another place, and its runs into so many records. */
    private static NtfsEditor fragmented(int pieces, Consumer<Layout> change) {
        NtfsEditor editor = new NtfsEditor(original);
        int clusters = editor.clusterCount();
        int size = (clusters + 63) / 64 * 8;
        int count = (size + CLUSTER - 1) / CLUSTER;
        int old = editor.firstRun(BITMAP, NtfsEditor.DATA);
        byte[] bitmap = Arrays.copyOfRange(editor.bytes, old, old + count * CLUSTER);

        Layout layout = new Layout();
        layout.base = editor.volume.getShort(editor.recordOffset(BITMAP) + 0x10) * (1L << 48) + BITMAP;
        int[] places = new int[count + 1];
        for (int i = 0; i <= count; i++) {
            int place = place(i);
            assertTrue(!editor.isUsed(place), "cluster " + place + " is taken");
            bitmap[place / 8] |= (byte) (1 << place % 8);
            places[i] = place;
        }
        for (int i = 0; i < count; i++) {
            System.arraycopy(bitmap, i * CLUSTER, editor.bytes, places[i] * CLUSTER, CLUSTER);
        }
        for (int piece = 0; piece < pieces; piece++) {
            List<Run> runs = new ArrayList<>();
            for (int i = count * piece / pieces; i < count * (piece + 1) / pieces; i++) {
                runs.add(new Run(places[i], 1));
            }
            layout.pieces.add(runs);
        }
        layout.validSize = size;
        change.accept(layout);

        layout.entries.add(NtfsRecords.listEntry(0x10, 0, layout.base));
        layout.entries.add(NtfsRecords.listEntry(0x30, 0, layout.base));
        long vcn = 0;
        List<byte[]> records = new ArrayList<>();
        for (int piece = 0; piece < pieces; piece++) {
            List<Run> runs = layout.pieces.get(piece);
            layout.entries.add(NtfsRecords.listEntry(0x80, vcn, FIRST_PIECE + piece | layout.sequence << 48));
            records.add(NtfsRecords.record(FIRST_PIECE + piece, 1, layout.base, List.of(NtfsRecords.nonResident(0x80, vcn,
                    (long) count * CLUSTER, size, layout.validSize, runs))));
            vcn += runs.stream().mapToLong(Run::length).sum();
        }
        for (int piece = 0; piece < pieces; piece++) {
            editor.volume.put(editor.recordOffset(FIRST_PIECE + piece), records.get(piece));
        }
        writeBase(editor, layout, places[count]);
        return editor;
    }

    /** Puts the list in the place of the data in $Bitmap's own record. */
    private static void writeBase(NtfsEditor editor, Layout layout, int spare) {
        byte[] list = NtfsRecords.concat(layout.entries);
        List<byte[]> attributes = new ArrayList<>();
        editor.record(BITMAP, record -> {
            for (int type : new int[] {0x10, 0x30}) {
                int at = NtfsEditor.attributeOffset(record, type);
                byte[] attribute = new byte[record.getInt(at + 4)];
                record.get(at, attribute);
                attributes.add(attribute);
            }
        });
        if (!layout.listIsResident) {
            System.arraycopy(list, 0, editor.bytes, spare * CLUSTER, list.length);
        }
        attributes.add(1, layout.listIsResident ? NtfsRecords.resident(LIST, list)
                : NtfsRecords.nonResident(LIST, 0, CLUSTER, list.length, list.length, List.of(new Run(spare, 1))));
        editor.volume.put(editor.recordOffset(BITMAP),
                NtfsRecords.record(BITMAP, (int) (layout.base >>> 48), 0, attributes));
    }

    private static ExtentSet expected() {
        ExtentSet.Builder moved = ExtentSet.builder();
        for (int i = 0; i <= 16; i++) {
            moved.add(place(i) * (long) CLUSTER, CLUSTER);
        }
        return originalFree.minus(moved.build());
    }

    private static void assertAgreesWithNtfscat(NtfsEditor editor) throws IOException {
        Path image = Files.write(directory.resolve("fragmented.img"), editor.bytes);
        assertEquals(NtfsVolumes.freeByNtfscat(image, CLUSTER, editor.clusterCount()), editor.freeSpace().free());
    }

    @Test
    void readsABitmapInManyRunsOfOneRecord() throws IOException {
        NtfsEditor editor = fragmented(1, layout -> { });
        assertEquals(expected(), editor.freeSpace().free());
        assertAgreesWithNtfscat(editor);
    }

    @Test
    void readsABitmapInManyRecords() throws IOException {
        for (boolean resident : new boolean[] {true, false}) {
            NtfsEditor editor = fragmented(5, layout -> layout.listIsResident = resident);
            assertEquals(expected(), editor.freeSpace().free());
            assertAgreesWithNtfscat(editor);
        }
    }

    @Test
    void trapBitsBehindTheValidSizeAreInUse() throws IOException {
        for (int valid : new int[] {0, 1, 511, 512, 5000, 8191}) {
            FreeSpace space = fragmented(5, layout -> layout.validSize = valid).freeSpace();
            assertEquals(expected().intersect(ExtentSet.ofRange(0, valid * 8L * CLUSTER)), space.free());
            assertTrue(space.remarks().stream().anyMatch(remark -> remark.startsWith("$Bitmap speaks for " + valid * 8 + " of ")),
                    space.toString());
        }
    }

    @Test
    void trapBitsInASparseRunAreInUse() throws IOException {
        FreeSpace space = fragmented(5, layout -> {
            List<Run> third = layout.pieces.get(2);
            third.set(1, new Run(-1, 1));
        }).freeSpace();
        long hole = (16 * 2 / 5 + 1) * 512L * 8 * CLUSTER;
        assertEquals(expected().minus(ExtentSet.ofRange(hole, 512L * 8 * CLUSTER)), space.free());
    }

    @Test
    void trapPiecesThatDoNotJoinUp() {
        assertCorrupt("first cluster of a piece", fragmented(5, layout -> { }).record(FIRST_PIECE + 2,
                record -> record.putLong(0x38 + 0x10, record.getLong(0x38 + 0x10) + 1)
                        .putLong(0x38 + 0x18, record.getLong(0x38 + 0x18) + 1)).record(BITMAP, shiftEntry(2)));
    }

    /** Makes the list agree with a piece that says it starts one cluster later. */
    private static Consumer<ByteBuffer> shiftEntry(int piece) {
        return record -> {
            int at = NtfsEditor.attributeOffset(record, LIST) + 0x18 + (2 + piece) * 0x20 + 8;
            record.putLong(at, record.getLong(at) + 1);
        };
    }

    @Test
    void rejectsAMissingPiece() {
        assertCorrupt("piece of an attribute at cluster 7", fragmented(5, layout -> { }).record(BITMAP, shiftEntry(2)));
        // Without the last entry the runs end early.
        assertCorrupt("clusters of all pieces", fragmented(5, layout -> { }).record(BITMAP, record -> {
            int at = NtfsEditor.attributeOffset(record, LIST);
            record.putInt(at + 0x10, record.getInt(at + 0x10) - 0x20);
        }));
        // Without the first one they start late.
        assertCorrupt("first cluster of a piece", fragmented(5, layout -> { }).record(BITMAP, record ->
                record.putInt(NtfsEditor.attributeOffset(record, LIST) + 0x18 + 2 * 0x20, 0x100)));
    }

    @Test
    void rejectsAPieceOfAnotherFile() {
        assertCorrupt("its base record", fragmented(5, layout -> { }).record(FIRST_PIECE + 1,
                record -> record.putLong(0x20, record.getLong(0x20) + 1)));
        assertCorrupt("sequence number", fragmented(5, layout -> layout.sequence = 2));
        assertCorrupt("flags", fragmented(5, layout -> { }).record(FIRST_PIECE + 3, record -> record.putShort(0x16, (short) 0)));
    }

    @Test
    void rejectsATornPiece() {
        NtfsEditor editor = fragmented(5, layout -> { });
        editor.bytes[editor.recordOffset(FIRST_PIECE + 4) + 1023] ^= 1;
        assertCorrupt("MFT record 24: sector 1 is from another write", editor);
    }

    @Test
    void rejectsListsThatContradictThemselves() {
        for (int length : new int[] {0, 0x18, 0x1F, 0x7FF8}) {
            assertCorrupt("$ATTRIBUTE_LIST: length of an entry", fragmented(5, layout -> { }).record(BITMAP, record ->
                    record.putShort(NtfsEditor.attributeOffset(record, LIST) + 0x18 + 4, (short) length)));
        }
        assertCorrupt("$ATTRIBUTE_LIST of MFT record 6 ($Bitmap): size", fragmented(5, layout -> {
            layout.listIsResident = false;
        }).record(BITMAP, record -> {
            int at = NtfsEditor.attributeOffset(record, LIST);
            record.putLong(at + 0x28, 600L * CLUSTER).putLong(at + 0x30, 300_000).putLong(at + 0x38, 300_000);
            record.putLong(at + 0x18, 599).put(at + 0x40, new byte[] {0x12, 0x58, 0x02, 0x40, 0});
        }));
    }

    @Test
    void rejectsTheSamePieceTwice() {
        NtfsEditor editor = fragmented(5, layout -> { });
        ByteBuffer record = ByteBuffer.allocate(1024).order(ByteOrder.LITTLE_ENDIAN);
        byte[] piece = NtfsRecords.nonResident(0x80, 3, 0, 0, 0, List.of(new Run(100, 3)));
        record.put(NtfsRecords.record(FIRST_PIECE + 1, 1, BITMAP | editor.volume.getShort(editor.recordOffset(BITMAP)
                + 0x10) * (1L << 48), List.of(piece, piece)));
        editor.volume.put(editor.recordOffset(FIRST_PIECE + 1), record.array());
        assertCorrupt("several", editor);
    }

    /** NTFS-3G puts a new file record wherever there is a hole, when nothing else is left. */
    @Test
    void readsAnMftInManyPieces() throws IOException {
        Path image = NtfsVolumes.make(directory, 16 << 20, "-s 512 -c 512");
        NtfsVolumes.write(image, """
                mkdir d; content=$(printf %1100s x)
                for i in $(seq 3600); do printf %s "$content" > d/a$i; done
                head -c 100M /dev/zero > filler 2> /dev/null || true
                rm d/a*[13579]
                for i in $(seq 4000); do { : > e$i; } 2> /dev/null || break; done
                rm d/a*[2468]
                """);
        String mft = Tools.ok("ntfsinfo", "-i", "0", image.toString());
        assertTrue(mft.contains("$ATTRIBUTE_LIST"), mft);
        NtfsEditor editor = new NtfsEditor(Files.readAllBytes(image));
        FreeSpace space = editor.freeSpace();
        assertEquals(NtfsVolumes.freeByNtfscat(image, CLUSTER, editor.clusterCount()), space.free());
        assertTrue(space.free().count() > 100, space.free().count() + " extents");
    }
}
