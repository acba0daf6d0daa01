package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.FileSource;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** $Bitmap against all file records, on volumes that NTFS-3G wrote. */
class RecordWalkTest {

    private static final int DATA = NtfsEditor.DATA;
    private static final int MFT_BITMAP = 0xB0;

    /** Files of one and of many records, a large folder, a sparse file, files that were deleted; and a clean journal. */
    private static byte[] busy;

    @BeforeAll
    static void make(@TempDir Path directory) throws IOException {
        Path image = NtfsVolumes.make(directory, 4 << 20, "-s 512 -c 512 -L Busy");
        NtfsVolumes.write(image, """
                mkdir folder
                for i in $(seq 150); do : > "folder/an empty file with number $i"; done
                for i in $(seq 20); do head -c $((i * 1000)) /dev/urandom > "file number $i"; done
                truncate -s 2M sparse
                head -c 4096 /dev/urandom | dd of=sparse bs=4096 seek=100 conv=notrunc status=none
                for i in $(seq 100); do head -c $((i * 37 + 1000)) /dev/urandom > piece$i; done
                for i in $(seq 15); do ln 'file number 19' "$(printf l%.0s $(seq 100)) number $i"; done
                rm file*[02468] piece*[13579]
                head -c 250000 /dev/urandom > pieces
                """);
        busy = new NtfsEditor(Files.readAllBytes(image)).cleanLog().bytes;
        Files.delete(image);
    }

    private static FreeSpace crossChecked(byte[] bytes) throws IOException {
        return new NtfsProbe().open(new ByteArraySource(bytes)).freeSpace();
    }

    private static String refusal(NtfsEditor editor) {
        CorruptException e = assertThrows(CorruptException.class, () -> crossChecked(editor.bytes));
        assertTrue(e.getMessage().contains("chkdsk /f"), e.getMessage());
        return e.reason();
    }

    private static void assertRefused(String words, NtfsEditor editor) {
        String reason = refusal(editor);
        assertTrue(reason.contains(words), () -> "expected \"" + words + "\" in: " + reason);
    }

    @Test
    void whatIsComparedIsTold() throws IOException {
        FreeSpace space = crossChecked(busy);
        List<String> told = space.evidence().subList(space.evidence().size() - 2, space.evidence().size());
        assertTrue(told.get(0).matches("cross-checked: \\d+ file records with \\d+ data runs, \\d+ bytes, none of them free"),
                told.get(0));
        assertTrue(told.get(1).matches("the cross-check took \\d+ ms"), told.get(1));
        // Every cluster in use belongs to one record.
        long used = (long) new NtfsEditor(busy).clusterCount() * 512 - space.free().totalBytes();
        assertTrue(told.get(0).contains(" " + used + " bytes"), told.get(0) + ", in use " + used);
    }

    /** On NTFS nothing is in use that is not in a file. Every third cluster, for the time it takes. */
    @Test
    void everyUsedClusterThatIsMarkedFreeIsFound() throws IOException {
        NtfsEditor editor = new NtfsEditor(busy);
        int ofFiles = 0;
        int bitmap = editor.firstRun(6, DATA);
        for (int cluster = 0; cluster < editor.clusterCount(); cluster += 3) {
            int bit = 1 << cluster % 8;
            if ((editor.bytes[bitmap + cluster / 8] & bit) == 0) {
                continue;
            }
            editor.bytes[bitmap + cluster / 8] ^= (byte) bit;
            String reason = refusal(editor);
            assertTrue(reason.contains("clusters of ") && reason.contains("expected in use, found"), reason);
            ofFiles += reason.contains(", found at least one of ") ? 1 : 0;
            editor.bytes[bitmap + cluster / 8] ^= (byte) bit;
        }
        assertTrue(ofFiles > 250, ofFiles + " clusters of files");
    }

    /** NTFS-3G leaves no mark of a crash: an erased journal stays erased, and that of a Windows that was shut down stays clean. */
    @Test
    void trapAVolumeIsCrossCheckedUnasked() throws IOException {
        for (boolean erased : new boolean[] {true, false}) {
            NtfsEditor editor = NtfsVolumes.small();
            int file = fileRecord(editor);
            int cluster = editor.firstRun(file, DATA) / editor.clusterSize();
            if (erased) {
                int log = editor.firstRun(2, DATA);
                Arrays.fill(editor.bytes, log, log + 256 * 1024, (byte) 0xFF);
            }
            CorruptException e = assertThrows(CorruptException.class, editor.mark(cluster, false)::freeSpace);
            assertTrue(e.reason().contains("clusters of MFT record " + file + ", $DATA from cluster 0 on @0x"
                    + Integer.toHexString(cluster * 4096)), e.reason());
            FreeSpace sound = editor.mark(cluster, true).freeSpace();
            assertTrue(sound.evidence().toString().contains("cross-checked: "), sound.evidence().toString());
        }
    }

    /** Windows numbers each change of a record by its place in the journal. */
    @Test
    void trapAFileThatNoWindowsHasWrittenPutsAParentInDoubt() throws IOException {
        VolumeOptions runsOn = new VolumeOptions(false, false, true);
        NtfsEditor editor = NtfsVolumes.small();
        for (int number = 24; editor.volume.getInt(editor.recordOffset(number)) == 0x454C4946; number++) {
            editor.record(number, record -> record.putLong(0x08, 0x12345));
        }
        FreeSpace windows = new NtfsProbe().open(new ByteArraySource(editor.bytes), runsOn).freeSpace();
        assertEquals(List.of(), windows.remarks());
        int file = fileRecord(editor);
        editor.record(file, record -> record.putLong(0x08, 0));
        assertTrue(editor.freeSpace().remarks().toString().contains("no Windows has written (MFT record " + file + ")"));
        UnsafeException e = assertThrows(UnsafeException.class,
                () -> new NtfsProbe().open(new ByteArraySource(editor.bytes), runsOn).freeSpace());
        assertTrue(e.reason().contains("(MFT record " + file + ")") && e.reason().contains("nothing tells whether"), e.reason());
    }

    @Test
    void aRecordIsInUseIfItSaysSoOrTheBitmapOfTheMftDoes() throws IOException {
        for (boolean flag : new boolean[] {true, false}) {
            for (boolean marked : new boolean[] {true, false}) {
                NtfsEditor editor = NtfsVolumes.small();
                int file = fileRecord(editor);
                editor.mark(editor.firstRun(file, DATA) / editor.clusterSize(), false);
                editor.record(file, record -> record.putShort(0x16, (short) (flag ? 1 : 0)));
                int at = editor.firstRun(0, MFT_BITMAP) + file / 8;
                editor.bytes[at] = (byte) (marked ? editor.bytes[at] | 1 << file % 8 : editor.bytes[at] & ~(1 << file % 8));
                if (flag || marked) {
                    assertRefused("clusters of MFT record " + file, editor);
                } else {
                    crossChecked(editor.bytes);
                }
            }
        }
    }

    /** A record that continues another holds runs of its own, whatever the other one lists. */
    @Test
    void extensionRecordsAreWalkedToo() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        int file = fileRecord(editor);
        int slot = 64;
        while (isInUse(editor, slot)) {
            slot++;
        }
        long cluster = editor.freeSpace().free().start(0) / 4096;
        byte[] record = NtfsRecords.record(slot, 7, FileReference.of(file, 1), List.of(
                NtfsRecords.nonResident(DATA, 5, 0, 0, 0, List.of(new NtfsRecords.Run(-1, 9), new NtfsRecords.Run(cluster, 1)))));
        System.arraycopy(record, 0, editor.bytes, editor.recordOffset(slot), record.length);
        assertRefused("clusters of MFT record " + slot + " (part of record " + file + "), $DATA from cluster 14 on", editor);
        crossChecked(editor.mark((int) cluster, true).bytes);
    }

    @Test
    void aRecordInUseThatCannotBeReadIsRefused() throws IOException {
        int file = fileRecord(NtfsVolumes.small());
        int at = NtfsVolumes.small().recordOffset(file);
        NtfsEditor torn = NtfsVolumes.small();
        torn.bytes[at + 511] ^= 1;
        assertRefused("MFT record " + file + ": sector 0 is from another write", torn);
        NtfsEditor unsigned = NtfsVolumes.small();
        unsigned.bytes[at] = 'B';
        assertRefused("MFT record " + file + ": signature of a record in use", unsigned);
        NtfsEditor array = NtfsVolumes.small();
        array.bytes[at + 4] = 7;
        assertRefused("MFT record " + file + ": place of the fix-up values", array);
        NtfsEditor count = NtfsVolumes.small();
        count.bytes[at + 6] = 2;
        assertRefused("MFT record " + file + ": number of fix-up values", count);
        assertRefused("MFT record " + file + ": used size",
                NtfsVolumes.small().record(file, record -> record.putInt(0x18, 1025)));
        assertRefused("MFT record " + file + ": used size",
                NtfsVolumes.small().record(file, record -> record.putInt(0x18, -8)));
        assertRefused("MFT record " + file + ": used size",
                NtfsVolumes.small().record(file, record -> record.putShort(0x14, (short) 0x28)));
        assertRefused("MFT record " + file + ": its own number",
                NtfsVolumes.small().record(file, record -> record.putInt(0x2C, file + 1)));
        for (int length : new int[] {0, 0x14, 0x41, 1 << 20, -8}) {
            assertRefused("MFT record " + file + ": length of an attribute",
                    NtfsVolumes.small().attribute(file, DATA, attribute -> attribute.putInt(4, length)));
        }
        // No end mark before the end of what is used.
        assertRefused("MFT record " + file + ": length of an attribute", NtfsVolumes.small().record(file,
                record -> record.putInt(0x18, NtfsEditor.attributeOffset(record, DATA))));
    }

    @Test
    void runsThatContradictThemselvesAreRefused() throws IOException {
        int file = fileRecord(NtfsVolumes.small());
        String what = "MFT record " + file + ": $DATA: ";
        assertRefused(what + "place of a data run of 1 clusters", runs(file, 0x11, 1, -1));
        assertRefused(what + "place of a data run of 1 clusters", runs(file, 0x31, 1, 0xFF, 0xFF, 0x7F));
        assertRefused(what + "header of a data run", runs(file, 0x10, 1));
        assertRefused(what + "header of a data run", runs(file, 0x19, 1));
        assertRefused(what + "header of a data run", runs(file, 0x91, 1));
        assertRefused(what + "header of a data run", runs(file, 0x88, 1));
        assertRefused(what + "length of a data run", runs(file, 0x11, 0, 5));
        assertRefused(what + "length of a data run", runs(file, 0x11, -1, 5));
        assertRefused(what + "length of a data run", runs(file, 0x11, 100, 5));
        assertRefused(what + "data runs", runs(file, 0));
        assertRefused(what + "last cluster it maps",
                NtfsVolumes.small().attribute(file, DATA, attribute -> attribute.putLong(0x18, -2)));
        assertRefused(what + "last cluster it maps",
                NtfsVolumes.small().attribute(file, DATA, attribute -> attribute.putLong(0x10, 1L << 60)));
        assertRefused(what + "place of the data runs",
                NtfsVolumes.small().attribute(file, DATA, attribute -> attribute.putShort(0x20, (short) 0x3F)));
        assertRefused(what + "place of the data runs",
                NtfsVolumes.small().attribute(file, DATA, attribute -> attribute.putShort(0x20, (short) 0x7FFF)));
    }

    /** Some writers leave the last VCN at 0; what the runs cover must then be the allocated size. */
    @Test
    void theLastClusterMayBeLeftOut() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        int file = fileRecord(editor);
        editor.attribute(file, DATA, attribute -> attribute.putLong(0x18, 0));
        assertEquals(NtfsVolumes.small().freeSpace().free(), crossChecked(editor.bytes).free());
        editor.attribute(file, DATA, attribute -> attribute.putLong(0x28, 1 << 20));
        assertRefused("$DATA: data runs", editor);
    }

    private static NtfsEditor runs(int file, int... pairs) throws IOException {
        byte[] bytes = new byte[pairs.length];
        for (int i = 0; i < pairs.length; i++) {
            bytes[i] = (byte) pairs[i];
        }
        return NtfsVolumes.small().runs(file, DATA, bytes);
    }

    /** @return the last record of a file with clusters of its own, more than one in one run */
    private static int fileRecord(NtfsEditor editor) {
        for (int number = 600; number > 24; number--) {
            int at = editor.recordOffset(number);
            if (!isInUse(editor, number) || editor.volume.getLong(at + 0x20) != 0) {
                continue;
            }
            ByteBuffer record = editor.volume.slice(at, 1024).order(ByteOrder.LITTLE_ENDIAN);
            int data = NtfsEditor.attributeOffset(record, DATA);
            if (record.get(data + 8) != 0 && record.getLong(data + 0x18) > 1) {
                return number;
            }
        }
        throw new AssertionError("no file with clusters");
    }

    private static boolean isInUse(NtfsEditor editor, int number) {
        int at = editor.recordOffset(number);
        return at < editor.bytes.length - 1024 && editor.volume.getInt(at) == 0x454C4946
                && editor.volume.getInt(at + 0x2C) == number
                && editor.volume.getShort(at + 0x16) == 1;
    }

    private static final Duration LIMIT = Duration.ofMinutes(1);

    @ParameterizedTest
    @CsvSource({"a file", "an extension", "the MFT's bitmap", "the MFT"})
    void aByteWrongIsARefusalOrChangesNothing(String structure) throws IOException {
        NtfsEditor editor = new NtfsEditor(busy);
        ExtentSet free = editor.freeSpace().free();
        int start = switch (structure) {
            case "a file" -> editor.recordOffset(fileRecord(editor));
            case "an extension" -> extension(editor);
            case "the MFT" -> editor.recordOffset(0);
            default -> editor.firstRun(0, MFT_BITMAP);
        };
        int length = structure.contains("bitmap") ? 64 : 1024;
        assertTimeoutPreemptively(LIMIT, () -> {
            int refused = 0;
            for (int at = start; at < start + length; at++) {
                for (int flip : new int[] {1 << at % 8, 0xFF}) {
                    editor.bytes[at] ^= (byte) flip;
                    refused += check(new ByteArraySource(editor.bytes), free, structure + " byte " + (at - start)) ? 1 : 0;
                    editor.bytes[at] ^= (byte) flip;
                }
            }
            assertTrue(refused > 0, "nothing was noticed in " + structure);
        });
    }

    @Test
    void noiseInRecordsIsARefusalOrTakesNothing() throws IOException {
        NtfsEditor editor = new NtfsEditor(busy);
        ExtentSet free = editor.freeSpace().free();
        Random random = new Random(20260102);
        int[] starts = {editor.recordOffset(fileRecord(editor)), extension(editor)};
        assertTimeoutPreemptively(LIMIT, () -> {
            for (int round = 0; round < 3000; round++) {
                int start = starts[round % 2];
                byte[] saved = Arrays.copyOfRange(editor.bytes, start, start + 1024);
                for (int i = random.nextInt(6); i >= 0; i--) {
                    int at = start + 0x38 + random.nextInt(440);
                    editor.bytes[at] = random.nextBoolean() ? (byte) random.nextInt() : (byte) (random.nextBoolean() ? 0 : -1);
                }
                check(new ByteArraySource(editor.bytes), free, "round " + round);
                System.arraycopy(saved, 0, editor.bytes, start, saved.length);
            }
        });
    }

    @Test
    void aVolumeThatEndsWhileItIsReadIsAnError() throws IOException {
        ExtentSet free = new NtfsEditor(busy).freeSpace().free();
        for (int size = 0; size < busy.length; size += 10_007) {
            int available = size;
            check(new BlockSource() {
                @Override
                public long size() {
                    return busy.length;
                }

                @Override
                public void read(long offset, ByteBuffer target) throws IOException {
                    BlockSource.requireInside(offset, target.remaining(), available);
                    target.put(busy, (int) offset, target.remaining());
                }
            }, free, "cut at " + size);
        }
    }

    private static int extension(NtfsEditor editor) {
        for (int number = 24; number < 600; number++) {
            int at = editor.recordOffset(number);
            if (isInUse(editor, number) && editor.volume.getLong(at + 0x20) != 0) {
                return at;
            }
        }
        throw new AssertionError("no extension record");
    }

    /** @return whether the volume was refused */
    private static boolean check(BlockSource source, ExtentSet free, String what) {
        try {
            assertEquals(ExtentSet.EMPTY, new NtfsProbe().open(source).freeSpace().free().minus(free), what);
            return false;
        } catch (DiskFormatException | EOFException expected) {
            return true;
        } catch (Exception e) {
            throw new AssertionError(what, e);
        }
    }

    /** The MFT and its bitmap, once, in large pieces. */
    @Test
    void costFollowsTheMft(@TempDir Path directory) throws IOException {
        Path image = directory.resolve("busy.img");
        Files.write(image, busy);
        try (FileSource source = new FileSource(image)) {
            NtfsBootSector boot = NtfsBootSector.parse(Bytes.read(source, "NTFS boot sector", 0, NtfsBootSector.SIZE,
                    ByteOrder.LITTLE_ENDIAN), source.size());
            MasterFileTable mft = MasterFileTable.open(source, boot);
            long bytes = source.bytesRead();
            long reads = source.reads();
            RecordWalk.Summary walked = new RecordWalk(mft, boot, ExtentSet.EMPTY).run();
            assertTrue(source.bytesRead() - bytes < 700 * 1024, source.bytesRead() - bytes + " bytes more; " + walked);
            assertTrue(source.reads() - reads < 12, source.reads() - reads + " reads more");
        }
    }
}
