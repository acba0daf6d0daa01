package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Partition tables of other projects' tests; the expected numbers are what sfdisk says of them. */
class CorpusTablesTest {

    @TempDir
    private Path directory;

    /** Here, and not in the middle of what is expected to throw. */
    @BeforeEach
    void requireCollection() {
        Corpus.root();
    }

    private PartitionTable read(String image) throws IOException {
        try (FileSource source = new FileSource(Corpus.unpack(image, directory))) {
            return PartitionTable.read(source);
        }
    }

    private static String summary(PartitionTable table, int sectorSize) {
        return table.scheme() + table.partitions().stream().map(p -> " " + p.index() + ":" + p.offset() / sectorSize + "+"
                + p.length() / sectorSize + (p.refusal().isPresent() ? "!" : "")).collect(Collectors.joining());
    }

    @ParameterizedTest
    @CsvSource({
        "dfir_ntfs/mbr-512-p0.bin, mbr",
        "dfir_ntfs/mbr-512-p1.bin, mbr 1:1+2047!",
        "dfir_ntfs/mbr-512-p4.bin, mbr 1:1+2! 2:3+2! 3:5+2! 4:7+2041!",
        "dfir_ntfs/mbr-512-p1e2.bin.gz, mbr 2:1025+1023 5:2+511 6:514+511",
        "dfir_ntfs/mbr-512-p1e2_2.bin.gz, mbr 1:1+64 5:66+35 6:102+1946",
        "dfir_ntfs/mbr-win-512.raw.tar,"
            + " mbr 1:128+16384 2:16512+16384 3:32896+16384 5:49408+16384 6:65920+16384 7:82432+16384 8:98944+417792",
        "dfir_ntfs/gpt-512-0p.raw.gz, gpt",
        "dfir_ntfs/gpt-512-3p.raw.gz, gpt 1:34+31 2:65+64 3:129+1886",
        "Quyzi-gpt/gpt-disk.img, gpt 1:34+1 2:35+4",
        "node-gpt/raspberry.bin, mbr 1:8192+114688! 2:122880+31152128!",
        "qemu-iotests/grub_mbr.raw.bz2, mbr 1:2048+1024000! 2:1026048+24139776!",
        "util-linux/images-pt/gpt.img.xz, gpt 1:34+2014 2:2048+2048 3:4096+2048 4:6144+2048 5:8192+2048",
        "util-linux/images-pt/dos+bsd.img.xz, mbr 1:32+7648 2:7680+8704",
        "node-gpt/bootcamp.bin, none 0:0+33",
        "node-gpt/bootcamp-backup.bin, none 0:0+33",
        "node-gpt/gpt-backup-exfat.bin, none 0:0+33"})
    void readsTable(String image, String expected) throws IOException {
        assertEquals(expected, summary(read(image), 512));
    }

    @ParameterizedTest
    @CsvSource({"dfir_ntfs/mbr-4096-p1e0.bin.gz, mbr 1:1+125", "dfir_ntfs/mbr-4096-p1e1.bin.gz, mbr 1:3+2 5:9+2"})
    void ebrOfALargeSectorDiskTellsItsSectorSize(String image, String expected) throws IOException {
        assertEquals(expected, summary(read(image), 4096));
    }

    @Test
    void gptCutOffBehindItsPrimaryCopyIsRefused() {
        // The file ends behind the array, so that the header's last usable sector is not on it.
        assertThrows(IOException.class, () -> read("node-gpt/gpt-primary-exfat.bin"));
    }

    @Test
    void bsdSliceIsNamedAndTheStaleExtOverTheWholeDiskIsNoVolume() throws IOException {
        Path image = Corpus.unpack("util-linux/images-pt/dos+bsd.img.xz", directory);
        try (FileSource source = new FileSource(image)) {
            Partition slice = PartitionTable.read(source).partitions().get(1);
            List<VolumeSignature> signatures = VolumeSignatures.scan(source.window(slice.offset(), slice.length()));
            assertEquals("bsd_disklabel", signatures.get(0).name());
        }
    }

    @ParameterizedTest
    @CsvSource({"atari-primary, Atari", "atari-xgm, Atari", "bsd, BSD", "dasd-cdl, DASD", "dasd-ldl, DASD", "sgi, SGI",
        "sun, Sun"})
    void namesForeignLabels(String image, String name) {
        UnsupportedException e = assertThrows(UnsupportedException.class,
                () -> read("util-linux/images-pt/" + image + ".img.xz"));
        assertTrue(e.reason().contains(name), e.reason());
    }
}
