package io.lacuna.partition;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.List;

/**
 * Signatures that are told by bytes in one fixed place and long enough, or standing where nothing else does, to need no second
 * look. Positions and values: util-linux's libblkid, the Linux kernel's headers, FreeBSD's and OpenBSD's for theirs.
 */
final class FixedMagics {

    private static final int KIB = 1 << 10;
    private static final int MIB = 1 << 20;

    private static final String LVM = "an LVM physical volume";
    private static final String LUKS = "a LUKS encrypted volume";
    private static final String BITLOCKER = "a BitLocker encrypted volume";
    private static final String REISERFS = "a ReiserFS file system";
    private static final String SQUASHFS = "a squashfs file system";
    private static final String OCFS2 = "an OCFS2 cluster file system";
    private static final String STRATIS = "a member of a Stratis pool";
    private static final String HIGHPOINT = "a member of a HighPoint RAID";
    private static final String SYSTEM_V = "a System V file system";

    private record Magic(String name, String description, long offset, String bytes) {
    }

    private static final List<Magic> MAGICS = List.of(
            text("LVM2_member", LVM, 24, "LVM2 001"), text("LVM2_member", LVM, 512 + 24, "LVM2 001"),
            text("LVM2_member", LVM, 1024 + 24, "LVM2 001"), text("LVM2_member", LVM, 1536 + 24, "LVM2 001"),
            hex("LVM1_member", LVM, 0, "484d0100"), hex("LVM1_member", LVM, 0, "484d0200"),
            text("DM_snapshot_cow", "the copy-on-write store of an LVM snapshot", 0, "SnAp"),
            text("DM_verity_hash", "a dm-verity hash tree", 0, "verity\0\0"),
            text("DM_integrity", "a dm-integrity volume", 0, "integrt\0"),
            text("vdo", "a VDO volume", 0, "dmvdo001"),
            hex("stratis", STRATIS, 512 + 4, "215374726130746973" + "86ff025e417268"),
            hex("stratis", STRATIS, 512 * 9 + 4, "215374726130746973" + "86ff025e417268"),
            hex("crypto_LUKS", LUKS, 0, "4c554b53babe"),
            luks2(16 * KIB), luks2(32 * KIB), luks2(64 * KIB), luks2(128 * KIB), luks2(256 * KIB), luks2(512 * KIB),
            luks2(MIB), luks2(2 * MIB), luks2(4 * MIB),
            hex("BitLocker", BITLOCKER, 160, "3bd66749292ed84a8399f6a339e3d001"),
            hex("BitLocker", BITLOCKER, 424, "3bd66749292ed84a8399f6a339e3d001"),
            text("ceph_bluestore", "a Ceph BlueStore device", 0, "bluestore block device\n"),
            text("drbdmanage_control_volume", "a DRBD Manage control volume", 0, "$DRBDmgr=q"),
            text("drbdproxy_datalog", "a DRBD proxy log", 0, "DRBDdlh*"),
            text("oracleasm", "a member of an Oracle ASM disk group", 32, "ORCLDISK"),
            text("storage_spaces", "a member of a Microsoft Storage Spaces pool", 4096, "SPACEDB "),
            text("ldm", "a Windows dynamic disk (LDM)", 6 * 512, "PRIVHEAD"),
            text("softraid", "a member of an OpenBSD softraid volume", 8 * KIB, "marcCRAM"),
            hex("hpt37x_raid_member", HIGHPOINT, 4640, "f016785a"), hex("hpt37x_raid_member", HIGHPOINT, 4640, "fd16785a"),
            hex("opensvc_hb", "an OpenSVC heartbeat disk", 4, "3dc13c87c05be3b6"),
            hex("VMFS_volume_member", "a member of a VMware VMFS volume", MIB, "0dd001c0"),
            hex("VMFS", "a VMware VMFS file system", 2 * MIB, "5ef1ab2f"),
            hex("solaris_x86", "a Solaris partition table", 512 + 12, "eede0d60"),
            text("xfs", "an XFS file system", 0, "XFSB"), text("exfs", "an EXFS file system", 0, "EXFS"),
            text("btrfs", "a btrfs file system", 64 * KIB + 64, "_BHRfS_M"),
            text("apfs", "an Apple APFS container", 32, "NXSB"),
            hex("f2fs", "an F2FS file system", 1024, "1020f5f2"), hex("f2fs", "an F2FS file system", 4096 + 1024, "1020f5f2"),
            hex("erofs", "an EROFS file system", 1024, "e2e1f5e0"),
            text("squashfs", SQUASHFS, 0, "hsqs"), text("squashfs", SQUASHFS, 0, "sqsh"),
            text("squashfs", SQUASHFS, 0, "shsq"), text("squashfs", SQUASHFS, 0, "qshs"),
            text("cramfs", "a cramfs file system", 16, "Compressed ROMFS"),
            text("romfs", "a romfs file system", 0, "-rom1fs-"),
            text("jfs", "a JFS file system", 32 * KIB, "JFS1"),
            text("reiserfs", REISERFS, 8 * KIB + 52, "ReIsErFs"), text("reiserfs", REISERFS, 8 * KIB + 20, "ReIsErFs"),
            text("reiserfs", REISERFS, 64 * KIB + 52, "ReIsErFs"), text("reiserfs", REISERFS, 64 * KIB + 52, "ReIsEr2Fs"),
            text("reiserfs", REISERFS, 64 * KIB + 52, "ReIsEr3Fs"),
            text("reiser4", "a Reiser4 file system", 64 * KIB, "ReIsEr4"),
            text("ocfs", "an OCFS cluster file system", 8 * KIB, "OracleCFS"),
            text("ocfs2", OCFS2, KIB, "OCFSV2"), text("ocfs2", OCFS2, 2 * KIB, "OCFSV2"),
            text("ocfs2", OCFS2, 4 * KIB, "OCFSV2"), text("ocfs2", OCFS2, 8 * KIB, "OCFSV2"),
            hex("vxfs", "a Veritas VxFS file system", 1024, "f5fc01a5"),
            hex("vxfs", "a Veritas VxFS file system", 8 * KIB, "a501fcf5"),
            hex("hpfs", "an OS/2 HPFS file system", 8 * KIB, "49e895f9"),
            text("nss", "a NetWare NSS volume", 4096, "SPB5"),
            hex("bfs", "an SCO BFS file system", 0, "cefaad1b"),
            hex("qnx6", "a QNX6 file system", 8 * KIB, "22111968"),
            hex("ubi", "a UBI flash volume", 0, "55424923"), hex("ubifs", "a UBIFS file system", 0, "31181006"),
            text("mpool", "an mpool device", 0, "mpoolDev"), text("zonefs", "a zonefs file system", 0, "SFOZ"),
            hex("scoutfs", "a ScoutFS device", 64 * KIB + 4, "8b423c10"),
            text("iso9660", "an ISO 9660 file system", 32 * KIB + 1, "CD001"),
            text("iso9660", "a High Sierra file system", 32 * KIB + 9, "CDROM"),
            systemV(0), systemV(9), systemV(15), systemV(18),
            hex("sysv", SYSTEM_V, 512 + 504, "fd187e20"));

    private FixedMagics() {
    }

    static void find(Signatures signatures) throws IOException {
        for (Magic magic : MAGICS) {
            if (signatures.bytes().matches(magic.offset, magic.bytes)) {
                signatures.add(magic.name, magic.description, magic.offset, magic.bytes.length());
            }
        }
    }

    private static Magic text(String name, String description, long offset, String characters) {
        return new Magic(name, description, offset, characters);
    }

    private static Magic hex(String name, String description, long offset, String digits) {
        return new Magic(name, description, offset,
                new String(HexFormat.of().parseHex(digits), StandardCharsets.ISO_8859_1));
    }

    /** The second header of LUKS 2 stays where the first one was overwritten; its place depends on its size. */
    private static Magic luks2(long offset) {
        return hex("crypto_LUKS", LUKS, offset, "534b554cbabe");
    }

    private static Magic systemV(int block) {
        return hex("sysv", SYSTEM_V, block * 1024L + 512 + 504, "207e18fd");
    }
}
