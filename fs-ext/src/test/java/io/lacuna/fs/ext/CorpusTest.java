package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileSystem;
import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Other people's images, most of e2fsprogs' damaged on purpose. What is expected of each, checked
 * against what e2fsck says about it: {@code type free-bytes}, as dumpe2fs has them, or a part of the reason of the refusal.
 * An image whose files are damaged but whose bitmaps, counts and own blocks agree is read: no bitmap tells about a bad
 * directory. (f_ind_inode_collision is the one among them where a damaged inode points at free blocks.)
 */
class CorpusTest {

    private static final String E2FSPROGS = """
            d_corrupt_journal_nr_users.gz | ext4 4022272
            f_bad_bmap_csum.gz | descriptor checksum
            f_bad_disconnected_inode.gz | ext2 81920
            f_bad_encryption.gz | ext4 307200
            f_bad_gdt_csum.gz | descriptor checksum
            f_bad_ibitmap.gz | descriptor checksum
            f_baddotdir.gz | free count
            f_badinode.gz | ext2 77824
            f_badjour_indblks.gz | inode 8: block
            f_badprimary.gz | not cleanly unmounted
            f_badroot.gz | ext2 78848
            f_badtable.gz | ext2 79872
            f_bb_in_bb.gz | free count
            f_bbinode.gz | not cleanly unmounted
            f_big_sparse.gz | not cleanly unmounted
            f_bigalloc_symlink_with_xattr.gz | ext4 16384
            f_bitmaps.gz | not cleanly unmounted
            f_boundscheck.image.bz2 | inode table
            f_convert_bmap_sparse.gz | ext2 2029568
            f_corrupt_dirent_tail.gz | ext4 980992
            f_deleted_inode_bad_csum.gz | ext4 2023424
            f_desc_size_128.gz | ext4 8235008
            f_dir_bad_mode.gz | ext2 76800
            f_dirlink.gz | ext2 77824
            f_dup.gz | free count
            f_dup2.gz | free count
            f_dup3.gz | ext2 20480
            f_dup_de.gz | ext2 5120
            f_dup_de2.gz | ext3 984064
            f_dupfsblks.gz | ext2 78848
            f_dupsuper.gz | ext2 62464
            f_ea_inode.gz | ext4 188416
            f_ea_inode_dir_ref.gz | ext4 984064
            f_ea_inode_fast_symlink.gz | ext4 7214080
            f_ea_inode_no_feature.gz | ext4 984064
            f_ea_inode_spurious_flag_dir.gz | ext4 989184
            f_ea_zero_size.gz | ext4 188416
            f_emptydir.gz | ext4 979968
            f_eofblocks.gz | ext4 322560
            f_expand.gz | ext2 88064
            f_expandroot_create_lnf.gz | ext4 1005568
            f_ext_journal.gz | journal with changes
            f_extent_int_bad_csum.gz | ext4 616448
            f_extent_int_bad_magic.gz | ext4 616448
            f_extent_leaf_bad_csum.gz | ext4 971776
            f_extent_leaf_bad_extent.gz | ext4 971776
            f_extent_leaf_bad_magic.gz | ext4 971776
            f_extents.gz | free count
            f_extents2.gz | ext4 0
            f_extra_journal.gz | ext2 991232
            f_fast_symlink_extents.gz | ext4 80896
            f_file_acl_high.gz | ext2 79872
            f_h_badnode.gz | ext2 18489344
            f_h_normal.gz | ext2 18807808
            f_holedir4.gz | free count
            f_htree_leaf_csum.gz | ext4 1912832
            f_illibitmap.gz | inode bitmap
            f_imagic.gz | ext2 77824
            f_ind_inode_collision.gz | ext4 2023424
            f_inlinedata_dirblocks.gz | ext4 2027520
            f_inlinedata_flags.gz | ext3 7218176
            f_inlinedata_repair.gz | ext4 2023424
            f_inlinedir_bad_symlink.gz | ext4 749568
            f_inlinedir_detector.gz | ext4 2027520
            f_inode_ea_collision.gz | ext4 2023424
            f_invalid_extent_symlink.gz | ext4 78848
            f_itable_collision.gz | marked as having errors
            f_jnl_64bit.gz | journal with changes
            f_jnl_errno.gz | marked as having errors
            f_lotsbad.gz | ext2 9216
            f_lpf.gz | not cleanly unmounted
            f_lpf2.gz | ext2 79872
            f_many_subdirs.gz | not cleanly unmounted
            f_messy_inode.gz | ext2 69632
            f_miss_blk_bmap.gz | free count
            f_miss_journal.gz | a regular file
            f_misstable.gz | inode table
            f_no_cache_corrupt_inode.gz | ext4 2019328
            f_noroot.gz | not cleanly unmounted
            f_nospc_create_lnf.gz | free count
            f_okgroup.gz | ext2 8109056
            f_orphan_dotdot_ft.gz | ext2 74752
            f_orphan_indirect_inode.gz | ext2 47104
            f_orphquot.image.bz2 | ext4 860160
            f_overfsblks.gz | no block in two
            f_preen.gz | block bitmap
            f_quota.gz | ext4 65536
            f_quota_invalid_inum.gz | ext4 80896
            f_rebuild_csum_rootdir.gz | ext4 3764224
            f_rehash_dir.gz | ext4 182272
            f_sb_extra_isize.gz | ext4 176128
            f_selinux.gz | ext2 76800
            f_uninit_cat.gz | ext4 1002496
            f_uninit_dir.gz | ext4 2015232
            f_unused_itable.gz | ext4 855040
            f_valid_ea_in_inode.gz | ext4 158720
            f_write_ea_no_extra_isize.gz | ext4 2027520
            f_write_ea_toobig_extra_isize.gz | ext4 2027520
            f_write_ea_toosmall_extra_isize.gz | ext4 2027520
            f_yesall.gz | free count
            f_zero_inode_size.gz | inode size
            f_zero_xattr.gz | ext4 179200
            f_zeroed_ext_header.gz | ext4 987136
            i_bad_csum.gz | ext4 2019328
            i_bitmaps.image.bz2 | ext4 4341760
            i_qcow.image2048.orig.bz2 | ext4 46680064
            j_corrupt_commit_tid.gz | journal with changes
            j_corrupt_descr_tid.gz | journal with changes
            j_corrupt_sb_csum.gz | journal with changes
            j_recover_csum2_32bit.image.bz2 | journal with changes
            r_min_itable.gz | ext2 130048
            """;

    private static final String SYZKALLER = """
            ext4_1.img.gz | ext2 224256
            ext4_15.img.gz | ext4 1441792
            ext4_16.img.gz | ext4 393216
            ext4_20.img.gz | ext4 176128
            ext4_23.img.gz | ext4 344064
            ext4_24.img.gz | ext4 376832
            ext4_25.img.gz | ext4 360448
            ext4_27.img.gz | ext4 217088
            ext4_29.img.gz | ext4 425984
            ext4_31.img.gz | ext4 409600
            ext4_33.img.gz | ext4 589824
            ext4_34.img.gz | ext4 688128
            ext4_36.img.gz | ext4 196608
            ext4_40.img.gz | ext4 188416
            ext4_42.img.gz | ext4 1310720
            ext4_45.img.gz | ext4 209920
            ext4_46.img.gz | ext4 207872
            ext4_47.img.gz | ext4 221184
            ext4_49.img.gz | ext4 344064
            ext4_5.img.gz | ext4 360448
            ext4_50.img.gz | ext4 327680
            ext4_51.img.gz | ext4 425984
            ext4_53.img.gz | ext4 206848
            ext4_54.img.gz | ext4 206848
            ext4_56.img.gz | ext4 884736
            ext4_57.img.gz | ext4 196608
            ext4_58.img.gz | ext4 196608
            ext4_61.img.gz | ext4 1703936
            ext4_62.img.gz | ext4 176128
            ext4_7.img.gz | ext4 183296
            """;

    private static final String OTHERS = """
            LTRData-DiscUtils/data.ext4.dat.gz | ext4 45056
            btrfs-progs/convert-tests__004-ext2-backup-superblock-ranges__hrhdhdrd.e2image.raw.xz | ext2 460857344
            btrfs-progs/convert-tests__004-ext2-backup-superblock-ranges__hrhdhrh.e2image.raw.xz | ext2 460857344
            dfvfs/ext2.splitraw.000 | larger than its volume
            ext4-view-rs/test_disk1.bin.zst | ext4 45869056
            ext4-view-rs/test_disk_ext2.bin.zst | ext2 20881408
            ext4-view-rs/test_disk_ext3.bin.zst | ext3 92208128
            jnode/ext4__ext4-flex-bg.img.gz | ext4 123949056
            jnode/ext4__ext4-meta-bg.dd.gz | ext4 3680256
            jnode/ext4__test-special-files.ext4.gz | ext4 13918208
            blsforme/ext4.img.zst | ext4 3774464
            lde-testdata/test.ext2 | ext2 35840
            lde-testdata/test.ext3 | ext2 136192
            lde-testdata/test.ext4 | ext4 137216
            util-linux/images-fs/ext2.img.xz | ext2 81920
            util-linux/images-fs/ext3.img.xz | ext3 991232
            util-linux/images-fs/ext4.img.xz | larger than its volume
            util-linux/images-fs/jbd.img.xz | is the journal of
            """;

    @TempDir
    Path directory;

    @Test
    void e2fsprogs() throws IOException {
        compare("e2fsprogs", E2FSPROGS);
        assertEquals(Corpus.files("e2fsprogs").size(), table(E2FSPROGS).size(), "images without an expectation");
    }

    @Test
    void syzkaller() throws IOException {
        compare("syzkaller", SYZKALLER);
    }

    @Test
    void others() throws IOException {
        compare(".", OTHERS);
    }

    private void compare(String folder, String expectations) throws IOException {
        List<String> wrong = new ArrayList<>();
        for (Map.Entry<String, String> line : table(expectations).entrySet()) {
            Path image = Corpus.unpack(folder + "/" + line.getKey(), directory);
            String outcome = outcome(image);
            boolean reads = line.getValue().matches("ext[234] \\d+");
            if (reads ? !outcome.equals(line.getValue()) : !outcome.contains(line.getValue())) {
                wrong.add(line.getKey() + ": expected " + line.getValue() + ", got " + outcome);
            }
            Files.delete(image);
        }
        assertTrue(wrong.isEmpty(), String.join("\n", wrong));
    }

    private static String outcome(Path image) throws IOException {
        try (FileSource source = new FileSource(image)) {
            FileSystem fileSystem = new ExtProbe().open(source);
            ExtentSet free = fileSystem.freeSpace().free();
            return DumpE2fs.free(image).equals(free) ? fileSystem.type() + " " + free.totalBytes() : "not what dumpe2fs reads";
        } catch (DiskFormatException e) {
            return e.reason();
        }
    }

    private static Map<String, String> table(String lines) {
        return Arrays.stream(lines.split("\n")).map(line -> line.split(" \\| "))
                .collect(Collectors.toMap(line -> line[0].trim(), line -> line[1].trim(), (a, b) -> a, LinkedHashMap::new));
    }
}
