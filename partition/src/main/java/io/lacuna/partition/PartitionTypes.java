package io.lacuna.partition;

import java.util.Map;
import java.util.Optional;

/**
 * Names of the common partition types, and the types that are left alone unseen. A name never decides what is read: content
 * is probed, for a type is whatever a tool once wrote there.
 */
final class PartitionTypes {

    static final int PROTECTIVE = 0xEE;
    private static final int MBR_LDM = 0x42;

    private static final String DYNAMIC_DISK = "part of a Windows dynamic disk (LDM): what looks like a file system there may"
            + " be one piece of a striped or spanned volume; trim it from inside Windows instead";

    private static final Map<Integer, String> MBR_NAMES = Map.ofEntries(
            Map.entry(0x00, "unused"), Map.entry(0x01, "FAT12"), Map.entry(0x04, "FAT16 below 32 MiB"),
            Map.entry(0x05, "extended"), Map.entry(0x06, "FAT16"), Map.entry(0x07, "NTFS, exFAT or HPFS"),
            Map.entry(0x0B, "FAT32"), Map.entry(0x0C, "FAT32 (LBA)"), Map.entry(0x0E, "FAT16 (LBA)"),
            Map.entry(0x0F, "extended (LBA)"), Map.entry(0x12, "OEM diagnostics"), Map.entry(0x27, "Windows recovery"),
            Map.entry(MBR_LDM, "Windows dynamic disk"), Map.entry(0x63, "GNU Hurd or System V"),
            Map.entry(0x81, "Minix"), Map.entry(0x82, "Linux swap or Solaris"), Map.entry(0x83, "Linux"),
            Map.entry(0x84, "hibernation"), Map.entry(0x85, "Linux extended"), Map.entry(0x88, "Linux plaintext"),
            Map.entry(0x8E, "Linux LVM"), Map.entry(0xA5, "FreeBSD"), Map.entry(0xA6, "OpenBSD"),
            Map.entry(0xA8, "Darwin UFS"), Map.entry(0xA9, "NetBSD"), Map.entry(0xAB, "Darwin boot"),
            Map.entry(0xAF, "HFS or HFS+"), Map.entry(0xBE, "Solaris boot"), Map.entry(0xBF, "Solaris"),
            Map.entry(0xDA, "non-file-system data"), Map.entry(PROTECTIVE, "GPT protective"),
            Map.entry(0xEF, "EFI system"), Map.entry(0xFB, "VMware VMFS"), Map.entry(0xFC, "VMware core dump"),
            Map.entry(0xFD, "Linux RAID autodetect"));

    private static final Map<String, String> GPT_NAMES = Map.ofEntries(
            Map.entry("c12a7328-f81f-11d2-ba4b-00a0c93ec93b", "EFI system"),
            Map.entry("21686148-6449-6e6f-744e-656564454649", "BIOS boot"),
            Map.entry("024dee41-33e7-11d3-9d69-0008c781f39f", "MBR partition scheme"),
            Map.entry("e3c9e316-0b5c-4db8-817d-f92df00215ae", "Microsoft reserved"),
            Map.entry("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "Microsoft basic data"),
            Map.entry("de94bba4-06d1-4d40-a16a-bfd50179d6ac", "Windows recovery"),
            Map.entry("5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", "Microsoft LDM metadata"),
            Map.entry("af9b60a0-1431-4f62-bc68-3311714a69ad", "Microsoft LDM data"),
            Map.entry("e75caf8f-f680-4cee-afa3-b001e56efc2d", "Microsoft Storage Spaces"),
            Map.entry("0fc63daf-8483-4772-8e79-3d69d8477de4", "Linux filesystem"),
            Map.entry("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f", "Linux swap"),
            Map.entry("e6d6d379-f507-44c2-a23c-238f2a3df928", "Linux LVM"),
            Map.entry("a19d880f-05fc-4d3b-a006-743f0f84911e", "Linux RAID"),
            Map.entry("933ac7e1-2eb4-4f13-b844-0e14e2aef915", "Linux /home"),
            Map.entry("4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "Linux root (x86-64)"),
            Map.entry("bc13c2ff-59e6-4262-a352-b275fd6f7172", "Linux extended boot"),
            Map.entry("ca7d7ccb-63ed-4c53-861c-1742536059cc", "Linux LUKS"),
            Map.entry("516e7cb4-6ecf-11d6-8ff8-00022d09712b", "FreeBSD disklabel"),
            Map.entry("516e7cb5-6ecf-11d6-8ff8-00022d09712b", "FreeBSD swap"),
            Map.entry("516e7cb6-6ecf-11d6-8ff8-00022d09712b", "FreeBSD UFS"),
            Map.entry("516e7cba-6ecf-11d6-8ff8-00022d09712b", "FreeBSD ZFS"),
            Map.entry("48465300-0000-11aa-aa11-00306543ecac", "Apple HFS or HFS+"),
            Map.entry("7c3457ef-0000-11aa-aa11-00306543ecac", "Apple APFS"),
            Map.entry("6a898cc3-1dd2-11b2-99a6-080020736631", "ZFS"),
            Map.entry("aa31e02a-400f-11db-9590-000c2911d1b8", "VMware VMFS"));

    private static final Map<String, String> GPT_REFUSALS = Map.of(
            "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3", DYNAMIC_DISK,
            "af9b60a0-1431-4f62-bc68-3311714a69ad", DYNAMIC_DISK,
            "e75caf8f-f680-4cee-afa3-b001e56efc2d", "part of a Microsoft Storage Spaces pool: what looks like a file system"
                    + " there may be one piece of a space that spans several disks");

    private PartitionTypes() {
    }

    static String mbrName(int type) {
        return MBR_NAMES.getOrDefault(type, mbrType(type));
    }

    static String mbrType(int type) {
        return String.format("0x%02x", type);
    }

    /** @return whether an entry of this type holds a chain of logical partitions */
    static boolean isExtended(int type) {
        return type == 0x05 || type == 0x0F || type == 0x85;
    }

    static Optional<String> mbrRefusal(int type) {
        return switch (type) {
            case MBR_LDM -> Optional.of(DYNAMIC_DISK);
            case 0 -> Optional.of("its entry is marked as unused and still has a length: the partition table contradicts"
                    + " itself; clean it up in the guest");
            default -> Optional.empty();
        };
    }

    static String gptName(String guid) {
        return GPT_NAMES.getOrDefault(guid, guid);
    }

    static Optional<String> gptRefusal(String guid) {
        return Optional.ofNullable(GPT_REFUSALS.get(guid));
    }
}
