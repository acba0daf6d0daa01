package io.lacuna.fs.ntfs;

import static io.lacuna.fs.ntfs.Refusals.assertCorrupt;
import static io.lacuna.fs.ntfs.Refusals.assertUnsupported;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class NtfsBootSectorTest {

    @TempDir
    Path directory;

    private static NtfsEditor with(Consumer<ByteBuffer> change) throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        change.accept(editor.volume);
        return editor;
    }

    @ParameterizedTest
    @CsvSource({"512,1,512", "512,8,4096", "512,128,65536", "512,0xF9,65536", "512,0xF8,131072", "512,0xF4,2097152",
        "1024,1,1024", "1024,0xF5,2097152", "2048,0xF6,2097152", "4096,1,4096", "4096,128,524288", "4096,0xF7,2097152"})
    void readsClusterSizes(int sectorSize, String perCluster, int clusterSize) throws IOException {
        ByteBuffer sector = sector(sectorSize, Integer.decode(perCluster));
        NtfsBootSector boot = NtfsBootSector.parse(Bytes.littleEndian(sector, 0), Long.MAX_VALUE);
        assertEquals(clusterSize, boot.clusterSize());
        assertEquals((1L << 40) / (clusterSize / sectorSize), boot.clusterCount());
        assertEquals((1L << 40) * sectorSize, boot.backupOffset());
    }

    @ParameterizedTest
    @CsvSource({"-9,512", "-10,1024", "-12,4096", "-16,65536", "1,4096", "2,8192"})
    void readsRecordSizes(int value, int size) throws IOException {
        ByteBuffer sector = sector(512, 8).put(0x40, (byte) value).put(0x44, (byte) value);
        NtfsBootSector boot = NtfsBootSector.parse(Bytes.littleEndian(sector, 0), Long.MAX_VALUE);
        assertEquals(size, boot.recordSize());
        assertEquals(size, boot.indexBlockSize());
    }

    private static ByteBuffer sector(int sectorSize, int perCluster) {
        ByteBuffer sector = ByteBuffer.allocate(512).order(ByteOrder.LITTLE_ENDIAN);
        sector.put(3, "NTFS    ".getBytes(StandardCharsets.US_ASCII));
        sector.putShort(0x0B, (short) sectorSize).put(0x0D, (byte) perCluster);
        sector.putLong(0x28, 1L << 40).putLong(0x30, 4).putLong(0x38, 5);
        sector.put(0x40, (byte) -10).put(0x44, (byte) -12).putShort(0x1FE, (short) 0xAA55);
        return sector;
    }

    @Test
    void clustersAreRoundedDown() throws IOException {
        ByteBuffer sector = sector(512, 8).putLong(0x28, 8 * 1000 + 7);
        assertEquals(1000, NtfsBootSector.parse(Bytes.littleEndian(sector, 0), Long.MAX_VALUE).clusterCount());
    }

    @Test
    void rejectsOtherSignatures() throws IOException {
        NtfsEditor bitLocker = with(b -> b.put(3, "-FVE-FS-".getBytes(StandardCharsets.US_ASCII)));
        assertEquals(Optional.empty(), new NtfsProbe().recognise(new ByteArraySource(bitLocker.bytes)));
        assertCorrupt("signature", bitLocker);
    }

    @Test
    void recognisesBySignatureAlone() throws IOException {
        byte[] damaged = Arrays.copyOf(NtfsVolumes.small().bytes, 512);
        Arrays.fill(damaged, 11, 512, (byte) 0xEE);
        assertEquals(Optional.of("ntfs"), new NtfsProbe().recognise(new ByteArraySource(damaged)));
        assertEquals(Optional.empty(), new NtfsProbe().recognise(new ByteArraySource(new byte[511])));
    }

    @Test
    void rejectsAMissingEndMark() throws IOException {
        assertCorrupt("end mark", with(b -> b.putShort(0x1FE, (short) 0x55AA)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0x0E, 0x10, 0x11, 0x13, 0x16, 0x20})
    void rejectsFieldsOfFat(int at) throws IOException {
        assertCorrupt("fields of FAT", with(b -> b.put(at, (byte) 1)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 500, 513, 8192, 32768})
    void rejectsBytesPerSector(int value) throws IOException {
        assertCorrupt("bytes per sector", with(b -> b.putShort(0x0B, (short) value)));
    }

    @Test
    void rejectsSectorsThatWindowsCannotRead() throws IOException {
        assertUnsupported("bytes per sector", with(b -> b.putShort(0x0B, (short) 256)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 127, 129, 0xF3, 0xC0})
    void rejectsSectorsPerCluster(int value) throws IOException {
        assertCorrupt("sectors per cluster", with(b -> b.put(0x0D, (byte) value)));
    }

    @Test
    void rejectsClustersOfMoreThanTwoMebibytes() throws IOException {
        assertCorrupt("sectors per cluster", with(b -> b.putShort(0x0B, (short) 4096).put(0x0D, (byte) 0xF6)));
    }

    @ParameterizedTest
    @ValueSource(longs = {(4 << 20) / 512 + 1, Long.MAX_VALUE, -1, Long.MIN_VALUE})
    void rejectsAFileSystemThatIsLargerThanItsVolume(long sectors) throws IOException {
        NtfsEditor editor = with(b -> b.putLong(0x28, sectors));
        if (sectors < 0) {
            assertCorrupt("64-bit field", editor);
        } else {
            assertCorrupt("total sectors", editor);
        }
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 7})
    void rejectsAVolumeWithoutAWholeCluster(long sectors) throws IOException {
        assertCorrupt("total sectors", with(b -> b.putLong(0x28, sectors)));
    }

    @ParameterizedTest
    @ValueSource(longs = {0, 1023, -1, Long.MAX_VALUE})
    void rejectsClustersOutsideOfTheVolume(long cluster) throws IOException {
        assertCorrupt("first cluster of the MFT @", with(b -> b.putLong(0x30, cluster)));
        assertCorrupt("first cluster of the MFT mirror", with(b -> b.putLong(0x38, cluster)));
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 3, 32, -8, -17, -32, -128, 127})
    void rejectsSizesOfRecords(int value) throws IOException {
        assertCorrupt("size of file records", with(b -> b.put(0x40, (byte) value)));
        assertCorrupt("size of index blocks", with(b -> b.put(0x44, (byte) value)));
    }

    @Test
    void remarksOnADifferentBackup() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        String remark = "The NTFS backup boot sector differs from the boot sector.";
        assertFalse(editor.freeSpace().remarks().contains(remark));
        editor.bytes[(int) editor.volume.getLong(0x28) * 512 + 0x30] ^= 1;
        FreeSpace space = editor.freeSpace();
        assertTrue(space.remarks().contains(remark), space.toString());
        assertEquals(NtfsVolumes.small().freeSpace().free(), space.free());
    }

    @Test
    void remarksOnAMissingBackup() throws IOException {
        NtfsEditor editor = NtfsVolumes.small();
        byte[] shorter = Arrays.copyOf(editor.bytes, (int) editor.volume.getLong(0x28) * 512);
        FreeSpace space = NtfsVolumes.freeSpace(new ByteArraySource(shorter));
        assertEquals("The volume ends before the place of the NTFS backup boot sector.", space.remarks().get(0));
    }

    /** The backup boot sector lies behind the last cluster, and the bits behind its bit are no clusters. */
    @ParameterizedTest
    @ValueSource(ints = {0, 1, 7, 8, 63, 64, 65, 500})
    void trapNothingBehindTheLastClusterIsFree(int spare) throws IOException {
        Path image = NtfsVolumes.make(directory, (4 << 20) + spare * 512, "-s 512 -c 512");
        NtfsEditor editor = new NtfsEditor(Files.readAllBytes(image));
        ExtentSet before = editor.freeSpace().free();
        int clusters = (4 << 20) / 512 + spare - 1;
        assertEquals(clusters, editor.clusterCount());
        editor.mark(clusters - 1, false);
        for (int padding = clusters; padding < (clusters + 63) / 64 * 64; padding++) {
            editor.mark(padding, false);
        }
        ExtentSet free = editor.freeSpace().free();
        assertEquals(before.union(ExtentSet.ofRange((clusters - 1) * 512L, 512)), free);
        assertEquals(clusters * 512L, free.end(free.count() - 1));
    }
}
