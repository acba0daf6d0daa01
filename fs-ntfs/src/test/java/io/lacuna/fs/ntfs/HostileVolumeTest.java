package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import java.io.EOFException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Volumes with a byte wrong anywhere, and volumes that end anywhere: the right answer or a refusal, and nothing else. */
class HostileVolumeTest {

    private static final Duration LIMIT = Duration.ofMinutes(2);

    /** Structure, how many bytes of it, every how many bytes of it to damage. */
    @ParameterizedTest
    @CsvSource({"boot sector,512,1", "MFT record 0,1024,1", "MFT record 1,1024,1", "MFT record 2,1024,1", "MFT record 3,1024,1",
        "MFT record 5,1024,1", "MFT record 6,1024,1", "MFT record 7,1024,1", "MFT record 9,1024,1", "mirror,4096,7",
        "journal,8192,5", "root index,4096,2", "VSS header,128,1", "VSS catalog,1024,1"})
    void aByteWrongIsARefusalOrChangesNothing(String structure, int length, int step) throws IOException {
        NtfsEditor sound = withEmptyShadowCatalog();
        ExtentSet free = sound.freeSpace().free();
        int start = start(sound, structure);
        assertTimeoutPreemptively(LIMIT, () -> {
            int refused = 0;
            NtfsEditor editor = new NtfsEditor(sound.bytes);
            for (int at = start; at < start + length; at += step) {
                for (int flip : new int[] {1 << at % 8, 0xFF}) {
                    editor.bytes[at] ^= (byte) flip;
                    refused += check(editor, free, structure + " byte " + (at - start) + " ^ " + flip) ? 1 : 0;
                    editor.bytes[at] ^= (byte) flip;
                }
            }
            assertTrue(refused > 0, "nothing was noticed in " + structure);
        });
    }

    /** @return whether the volume was refused */
    private static boolean check(NtfsEditor editor, ExtentSet free, String what) {
        try {
            ExtentSet found = editor.freeSpace().free();
            assertEquals(ExtentSet.EMPTY, found.minus(free), what);
            return false;
        } catch (DiskFormatException | EOFException expected) {
            return true;
        } catch (Exception e) {
            throw new AssertionError(what, e);
        }
    }

    private static int start(NtfsEditor editor, String structure) {
        return switch (structure) {
            case "boot sector" -> 0;
            case "mirror" -> editor.mirrorOffset(0);
            case "journal" -> editor.firstRun(2, NtfsEditor.DATA);
            case "root index" -> editor.firstRun(5, 0xA0);
            case "VSS header" -> 0x1E00;
            case "VSS catalog" -> CATALOG;
            default -> editor.recordOffset(Integer.parseInt(structure.replaceAll("\\D", "")));
        };
    }

    private static final int CATALOG = 3 << 20;

    private static NtfsEditor withEmptyShadowCatalog() throws IOException {
        NtfsEditor editor = ShadowCopiesTest.header(CATALOG);
        return ShadowCopiesTest.block(editor, CATALOG, 0);
    }

    @Test
    void aTruncatedVolumeIsRefused() throws IOException {
        NtfsEditor sound = NtfsVolumes.small();
        ExtentSet free = sound.freeSpace().free();
        long end = sound.volume.getLong(0x28) * 512;
        for (int size = 0; size < sound.bytes.length; size = size < 20_000 ? size + 97 : size + 65_537) {
            byte[] cut = Arrays.copyOf(sound.bytes, size);
            if (size < end) {
                assertThrows(DiskFormatException.class, () -> NtfsVolumes.freeSpace(new ByteArraySource(cut)));
            } else {
                assertEquals(free, NtfsVolumes.freeSpace(new ByteArraySource(cut)).free());
            }
        }
    }

    /** Many bytes wrong, where the parser looks. */
    @Test
    void noiseInTheMetadataIsARefusalOrTakesNothing() throws IOException {
        NtfsEditor sound = withEmptyShadowCatalog();
        ExtentSet free = sound.freeSpace().free();
        Random random = new Random(20260101);
        assertTimeoutPreemptively(LIMIT, () -> {
            for (int round = 0; round < 2000; round++) {
                NtfsEditor editor = sound;
                int record = editor.recordOffset(random.nextInt(12));
                byte[] saved = Arrays.copyOfRange(editor.bytes, record, record + 1024);
                for (int i = random.nextInt(6); i >= 0; i--) {
                    int at = record + 0x38 + random.nextInt(400);
                    editor.bytes[at] = random.nextBoolean() ? (byte) random.nextInt() : (byte) (random.nextBoolean() ? 0 : -1);
                }
                check(editor, free, "round " + round);
                System.arraycopy(saved, 0, editor.bytes, record, saved.length);
            }
        });
    }

    /** To say so costs nothing, to read it what it says. */
    @Test
    void streamsThatAreLargerThanTheVolumeAreRefused() throws IOException {
        NtfsEditor overlapping = NtfsVolumes.small();
        long clusters = overlapping.clusterCount();
        replaceLog(overlapping, 2 * (clusters - 1) * 4096, List.of(new NtfsRecords.Run(0, clusters - 1),
                new NtfsRecords.Run(1, clusters - 1)));
        Refusals.assertCorrupt("clusters of all runs", overlapping);
        NtfsEditor sparse = NtfsVolumes.small();
        long log = sparse.firstRun(2, NtfsEditor.DATA) / 4096;
        replaceLog(sparse, 5L << 30, List.of(new NtfsRecords.Run(log, 64), new NtfsRecords.Run(-1, (5 << 18) - 64)));
        Refusals.assertCorrupt("$LogFile: size", sparse);
    }

    private static void replaceLog(NtfsEditor editor, long size, List<NtfsRecords.Run> runs) {
        List<byte[]> attributes = new ArrayList<>();
        editor.record(2, record -> {
            for (int type : new int[] {0x10, 0x30}) {
                byte[] attribute = new byte[record.getInt(NtfsEditor.attributeOffset(record, type) + 4)];
                record.get(NtfsEditor.attributeOffset(record, type), attribute);
                attributes.add(attribute);
            }
        });
        attributes.add(NtfsRecords.nonResident(NtfsEditor.DATA, 0, size, size, size, runs));
        editor.volume.put(editor.recordOffset(2), NtfsRecords.record(2, 2, 0, attributes));
    }
}
