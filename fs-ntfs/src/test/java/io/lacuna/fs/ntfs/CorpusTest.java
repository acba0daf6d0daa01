package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Volumes that others made: Windows from XP on, mkntfs, ntfs3, and damaged ones. */
class CorpusTest {

    private static final int SECTOR = 512;

    @TempDir
    Path directory;

    /** Image, first sector of the volume, cluster size, free clusters, label. */
    @ParameterizedTest
    @CsvSource({
        "ColinFinck-ntfs/testfs1,                      0,     512,    1420,   mylabel",
        "go-ntfs/charlie.dd.bz2,                       0,     4096,   7983,   Charlie",
        "jnode/ntfs__test.ntfs.gz,                     0,     512,    199772, ''",
        "util-linux/images-fs/ntfs.img.xz,             0,     4096,   1934,   Новый том",
        "dfir_ntfs/ntfs3.raw.gz,                       0,     4096,   15407,  ''",
        "dfir_ntfs/ntfs3_attrlist.raw.gz,              0,     4096,   7279,   ''",
        "dfir_ntfs/ntfs_index.raw.gz,                  128,   2048,   11862,  Test index",
        "msuhanov-ntfs-samples/ntfs-2m.raw.gz,         128,   2097152, 490,   2M",
        "msuhanov-ntfs-samples/ntfs-ptrn.raw.gz,       128,   4096,   258073, Slack",
        "msuhanov-ntfs-samples/ntfs-si-vs-fn.raw.gz,   128,   4096,   258074, SI-vs-FN",
        "vmdk-rs/monolithicSparse.vmdk,                128,   4096,   1300,   test_disk",
        "vmdk-rs/streamOptimized.vmdk,                 128,   4096,   1300,   test_disk",
        // Damaged where no cluster is free for it: files' records, the list of records in use, files' attribute lists.
        "ntfs_corrupted_images/created_manually__mft_bitmap_unset_mft_in_use_2.img.tar.xz, 0, 4096, 1589, ''",
        "ntfs_corrupted_images/created_manually__mft_file_bad_link_count.img.tar.xz,       0, 4096, 1589, ''",
        "ntfs_corrupted_images/created_manually__mft_file_corrupt_attrlist.img.tar.xz,     0, 4096, 0,    ''",
        "ntfs_corrupted_images/created_manually__mft_file_missing_attrlist.img.tar.xz,     0, 4096, 0,    ''",
    })
    void readsSoundVolumes(String name, long firstSector, int clusterSize, long freeClusters, String label) throws IOException {
        Path image = volume(name, firstSector);
        try (FileSource source = new FileSource(image)) {
            FileSystem ntfs = new NtfsProbe().open(source);
            FreeSpace space = ntfs.freeSpace();
            assertEquals(label, ntfs.label());
            assertEquals(clusterSize, ntfs.clusterSize());
            assertEquals(freeClusters, space.free().totalBytes() / clusterSize);
            assertEquals(NtfsVolumes.freeByNtfscat(image, clusterSize, ntfs.length() / clusterSize), space.free());
        }
    }

    private static final String NO_JOURNAL = "no readable restart page";

    /** Image, first sector of the volume, words of the refusal. */
    @ParameterizedTest
    @CsvSource({
        "dfir_ntfs/vss_1_vol.tar.gz,     67584, Volume Shadow Copies that are stored on another volume",
        "syzkaller/ntfs_0.img.gz,        0,     bytes per sector",
        "syzkaller/ntfs_1.img.gz,        0,     bytes per sector",
    })
    void refusesVolumesInDoubt(String name, long firstSector, String words) throws IOException {
        assertRefused(name, firstSector, words);
    }

    /**
     * Damaged volumes of the NTFS checker's own tests. Where the journal is named, ntfsclone copied only a few of its pages:
     * what it left is neither a journal nor an erased one.
     */
    @ParameterizedTest
    @CsvSource({
        "check_only__1k_cluster_fsck_error.img.tar.xz,                       " + NO_JOURNAL,
        "check_only__block_overflow_hole_file.img.tar.gz,                    " + NO_JOURNAL,
        "check_only__block_overflow_hole_file.img.tar.xz,                    " + NO_JOURNAL,
        "check_only__orphaned_inode_cant_repair.img.tar.xz,                  " + NO_JOURNAL,
        "created_manually__bs_bytes_per_sector.img.tar.xz,                   NTFS boot sector: bytes per sector",
        "created_manually__bs_filesystem_siganture.img.tar.xz,               NTFS boot sector: signature",
        "created_manually__bs_index_record_size.img.tar.xz,                  NTFS boot sector: size of index blocks",
        "created_manually__bs_mft_cluster_number.img.tar.xz,                 NTFS boot sector: first cluster of the MFT",
        "created_manually__bs_sector_per_cluster.img.tar.xz,                 NTFS boot sector: sectors per cluster",
        "created_manually__bs_sector_signature.img.tar.xz,                   NTFS boot sector: end mark",
        "created_manually__bs_total_sectors.img.tar.xz,                      NTFS boot sector: first cluster of the MFT",
        "created_manually__mft_attr_bad_fields.img.tar.xz,                   marked dirty",
        "created_manually__mft_file_bad_base_mft_record.img.tar.xz,          $MFTMirr: copy of MFT record 0",
        "created_manually__mft_file_missing_filename_attr.img.tar.xz,        marked dirty",
        "created_manually__mft_non_attr_bad_fields.img.tar.xz,               marked dirty",
        "generated_during_use__attr_find_corrupt_inode.img.tar.xz,           marked dirty",
        "generated_during_use__attr_value_offset_corrupted.img.tar.xz,       " + NO_JOURNAL,
        "generated_during_use__attrlist_length_corrupted2.img.tar.xz,        marked dirty",
        "generated_during_use__data_size_init_size_bigger_than_alloc_size_DATA_attr.img.tar.xz,  " + NO_JOURNAL,
        "generated_during_use__data_size_init_size_smaller_than_alloc_size_DATA_attr.img.tar.xz, " + NO_JOURNAL,
        "generated_during_use__entry_length_corrupted.img.tar.xz,            NTFS index: length of an entry",
        "generated_during_use__idx_fn_mft_data_allocated_size_mismatch.img.tar.xz, " + NO_JOURNAL,
        "generated_during_use__incompleted_multi_sector_transfer_after.img.tar.xz, " + NO_JOURNAL,
        "generated_during_use__incompleted_multi_sector_transfer_before.img.tar.xz, marked dirty",
        "generated_during_use__index_block_valid_but_index_bitmap_cleared.img.tar.xz, " + NO_JOURNAL,
        "generated_during_use__index_block_valid_but_index_bitmap_cleared2.img.tar.xz, marked dirty",
        "generated_during_use__lcn_bitmap_clear_remain.img.tar.xz,           marked dirty",
        "generated_during_use__mft_bitmap_corrupted.img.tar.xz,              " + NO_JOURNAL,
        "generated_during_use__mft_table_entry_corruption.img.tar.xz,        MFT record 0: used size",
        "generated_during_use__mismatch_index_filename.img.tar.xz,           " + NO_JOURNAL,
        "generated_during_use__mismatch_seqno_illegal_seek.img.tar.xz,       marked dirty",
        "generated_during_use__mismatch_seqno_illegal_seek2.img.tar.xz,      marked dirty",
        "generated_during_use__mismatch_seqno_illegal_seek3.img.tar.xz,      " + NO_JOURNAL,
        "generated_during_use__missing_mft_filename_attr.img.tar.xz,         " + NO_JOURNAL,
        "generated_during_use__missing_mft_filename_attr_a_lot.img.tar.xz,   marked dirty",
        "generated_during_use__paragon_ntfs_test2.img.tar.xz,                " + NO_JOURNAL,
        "generated_during_use__revive_orphan_mft_entry.img.tar.xz,           marked dirty",
    })
    void refusesDamagedVolumes(String name, String words) throws IOException {
        assertRefused("ntfs_corrupted_images/" + name, 0, words);
    }

    /** Small volumes of mkntfs with sectors of 512 to 4096 bytes. */
    static Stream<String> syzkaller() throws IOException {
        return Corpus.files("syzkaller").stream().map(file -> file.getFileName().toString())
                .filter(name -> name.startsWith("ntfs") && !List.of("ntfs_0.img.gz", "ntfs_1.img.gz").contains(name));
    }

    @ParameterizedTest
    @MethodSource("syzkaller")
    void readsSmallVolumes(String name) throws IOException {
        Path image = Corpus.unpack("syzkaller/" + name, directory);
        try (FileSource source = new FileSource(image)) {
            FileSystem ntfs = new NtfsProbe().open(source);
            assertEquals("syzkaller", ntfs.label());
            assertEquals(NtfsVolumes.freeByNtfscat(image, (int) ntfs.clusterSize(), ntfs.length() / ntfs.clusterSize()),
                    ntfs.freeSpace().free());
        }
    }

    @Test
    void everyDamagedVolumeIsInTheTables() throws IOException {
        long judged = 37 + 4;
        assertEquals(Corpus.files("ntfs_corrupted_images").size(), judged);
    }

    private void assertRefused(String name, long firstSector, String words) throws IOException {
        Path image = Corpus.unpack(name, directory);
        try (FileSource source = new FileSource(image)) {
            BlockSource volume = source.window(firstSector * SECTOR, source.size() - firstSector * SECTOR);
            DiskFormatException e = assertThrows(DiskFormatException.class, () -> NtfsVolumes.freeSpace(volume));
            assertTrue(e.getMessage().contains(words), e.getMessage());
        } finally {
            Files.delete(image);
        }
    }

    /** Unpacks an image and cuts out the volume, as a file that ntfscat can read. */
    private Path volume(String name, long firstSector) throws IOException {
        if (firstSector == 0) {
            return Corpus.unpack(name, directory);
        }
        Path volume = directory.resolve("volume");
        String cut = "dd of=\"$2\" bs=64K skip=" + firstSector * SECTOR + " iflag=fullblock,skip_bytes conv=sparse status=none";
        Path packed = Corpus.root().resolve(name);
        if (name.endsWith(".vmdk")) {
            Tools.require("qemu-img");
            Path raw = directory.resolve("raw");
            Tools.ok("qemu-img", "convert", "-O", "raw", packed.toString(), raw.toString());
            Tools.shell(cut + " if=\"$1\"", raw, volume);
        } else if (name.contains("ptrn")) {
            // Free space full of a pattern: holes instead, or the test would fill a gigabyte.
            Tools.require("perl");
            String holes = "perl -e '$p = \"PTRN\" x 16384; while (read(STDIN, $b, 65536)) "
                    + "{ print $b eq $p ? \"\\0\" x 65536 : $b }'";
            Tools.shell("gzip -dc \"$1\" | " + holes + " | " + cut, packed, volume);
        } else {
            Tools.shell("gzip -dc \"$1\" | " + cut, packed, volume);
        }
        return volume;
    }
}
