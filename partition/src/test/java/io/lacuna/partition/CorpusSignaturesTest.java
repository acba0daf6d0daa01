package io.lacuna.partition;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.fixtures.Corpus;
import io.lacuna.fixtures.FileSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The images of util-linux' own tests: each must be named, and sound ext and NTFS volumes must not be. */
class CorpusSignaturesTest {

    private static final String FOLDER = "util-linux/images-fs";
    private static final String REMAINDER = ".img.xz";

    /** What util-linux' file names say, where it is not the name of the signature itself. */
    private static final Map<String, Set<String>> EXPECTED = Map.ofEntries(
            Map.entry("adaptec-raid", Set.of("adaptec_raid_member")), Map.entry("bcache-B", Set.of("bcache")),
            Map.entry("bcache-C", Set.of("bcache")), Map.entry("bcache-journal", Set.of("bcache")),
            Map.entry("bcachefs-2", Set.of("bcachefs")), Map.entry("bcachefs-3", Set.of("bcachefs")),
            Map.entry("bitlocker-win7", Set.of("BitLocker")), Map.entry("bluestore", Set.of("ceph_bluestore")),
            Map.entry("cramfs-big", Set.of("cramfs")), Map.entry("ddf-raid", Set.of("ddf_raid_member")),
            Map.entry("drbd-v08", Set.of("drbd")), Map.entry("drbd-v09", Set.of("drbd")),
            Map.entry("drbdmanage-control-volume", Set.of("drbdmanage_control_volume")),
            // An EROFS whose checksum looks like a Minix superblock: two names for it do no harm.
            Map.entry("erofs-minix-magic", Set.of("erofs", "minix")), Map.entry("ext2", Set.of()), Map.entry("ext3", Set.of()),
            Map.entry("ext4", Set.of()), Map.entry("hpt37x-raid", Set.of("hpt37x_raid_member")),
            Map.entry("hpt45x-raid", Set.of("hpt45x_raid_member")), Map.entry("isw-raid", Set.of("isw_raid_member")),
            Map.entry("jbd", Set.of()), Map.entry("jmicron-raid", Set.of("jmicron_raid_member")),
            Map.entry("lsi-raid", Set.of("lsi_mega_raid_member")), Map.entry("luks1", Set.of("crypto_LUKS")),
            Map.entry("luks2", Set.of("crypto_LUKS")), Map.entry("lvm2", Set.of("LVM2_member")),
            Map.entry("mdraid", Set.of("linux_raid_member")), Map.entry("mdraid-1", Set.of("linux_raid_member")),
            Map.entry("minix-BE", Set.of("minix")), Map.entry("minix-LE", Set.of("minix")),
            Map.entry("netware", Set.of("nss")), Map.entry("ntfs", Set.of()),
            Map.entry("nvidia-raid", Set.of("nvidia_raid_member")),
            Map.entry("promise-raid", Set.of("promise_fasttrack_raid_member")), Map.entry("reiser3", Set.of("reiserfs")),
            Map.entry("scoutfs_data", Set.of("scoutfs")), Map.entry("scoutfs_meta", Set.of("scoutfs")),
            Map.entry("silicon-raid", Set.of("silicon_medley_raid_member")), Map.entry("squashfs3", Set.of("squashfs")),
            Map.entry("squashfs4", Set.of("squashfs")), Map.entry("swap-luks", Set.of("swap", "crypto_LUKS")),
            Map.entry("swap0", Set.of("swap")), Map.entry("swap1", Set.of("swap")), Map.entry("swap1-big", Set.of("swap")),
            Map.entry("tuxonice", Set.of("swsuspend", "swap")), Map.entry("via-raid", Set.of("via_raid_member")),
            Map.entry("vmfs", Set.of("VMFS")), Map.entry("vmfs_volume", Set.of("VMFS_volume_member")),
            Map.entry("vxfs-be", Set.of("vxfs")), Map.entry("vxfs-le", Set.of("vxfs")),
            Map.entry("xfs-log", Set.of("xfs_external_log")), Map.entry("xfs-v5", Set.of("xfs")),
            Map.entry("zfs", Set.of("zfs_member")), Map.entry("udf", Set.of("udf", "iso9660")),
            Map.entry("udf-cd-nero-6", Set.of("udf", "iso9660")),
            Map.entry("udf-multi-0-417-834-genisoimage", Set.of("udf", "iso9660")));

    @TempDir
    private Path directory;

    @Test
    void namesEveryImage() throws IOException {
        Map<String, String> wrong = new TreeMap<>();
        for (Path packed : Corpus.files(FOLDER)) {
            String file = packed.getFileName().toString();
            if (!file.endsWith(REMAINDER)) {
                continue;
            }
            String name = file.substring(0, file.length() - REMAINDER.length());
            Set<String> found = new TreeSet<>();
            for (VolumeSignature signature : scan(FOLDER + "/" + file)) {
                found.add(signature.name());
            }
            if (!found.equals(expected(name))) {
                wrong.put(name, found + " instead of " + expected(name));
            }
        }
        assertEquals(Map.of(), wrong);
    }

    private static Set<String> expected(String name) {
        if (EXPECTED.containsKey(name)) {
            return new TreeSet<>(EXPECTED.get(name));
        }
        String simple = name.startsWith("fat") || name.equals("small-fat32") ? "vfat"
                : name.startsWith("iso") ? "iso9660" : name.startsWith("udf-") ? "udf" : name;
        return Set.of(simple);
    }

    private List<VolumeSignature> scan(String image) throws IOException {
        Path file = Corpus.unpack(image, directory);
        try (FileSource source = new FileSource(file)) {
            List<VolumeSignature> signatures = VolumeSignatures.scan(source);
            assertTrue(source.reads() <= 30, image + ": " + source.reads() + " reads");
            assertTrue(source.bytesRead() <= 400 << 10, image + ": " + source.bytesRead() + " bytes");
            return signatures;
        } finally {
            Files.delete(file);
        }
    }

    @Test
    void namesRealBtrfsF2fsAndXfs() throws IOException {
        List<String> names = new ArrayList<>();
        for (String image : List.of("btrfs", "f2fs", "xfs", "ext4")) {
            scan("blsforme/" + image + ".img.zst").forEach(signature -> names.add(signature.name()));
        }
        assertEquals(List.of("btrfs", "f2fs", "xfs"), names);
    }
}
