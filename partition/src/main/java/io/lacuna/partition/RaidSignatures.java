package io.lacuna.partition;

import java.io.IOException;
import java.nio.ByteOrder;

/**
 * Members of RAID sets and the like. Most keep their data at the end, behind what looks like an ordinary file system at the
 * start. Sources: the Linux kernel's md_p.h, SNIA's DDF, mdadm, dmraid and libblkid for the BIOS RAIDs, FreeBSD's GEOM.
 */
final class RaidSignatures {

    private static final int SECTOR = 512;
    private static final int LARGE_SECTOR = 4096;
    private static final String MD_LITTLE = "\u00fc\u004e\u002b\u00a9";
    private static final String MD_BIG = "\u00a9\u002b\u004e\u00fc";
    private static final String MD = "a member of a Linux RAID (MD)";
    /** Sectors from the end where Promise controllers were seen to put their data. */
    private static final int[] PROMISE = {63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087};

    private final Signatures signatures;
    private final VolumeBytes bytes;

    private RaidSignatures(Signatures signatures) {
        this.signatures = signatures;
        this.bytes = signatures.bytes();
    }

    static void find(Signatures signatures) throws IOException {
        RaidSignatures raid = new RaidSignatures(signatures);
        raid.findMd();
        raid.findDdf();
        raid.findAtLastSectors();
        raid.findBiosRaid();
        raid.findDrbd();
    }

    /** @return the byte where the n-th sector from the end starts; negative if the volume is too short */
    private long fromEnd(int sectors, int sectorSize) {
        return (bytes.size() / sectorSize - sectors) * sectorSize;
    }

    private void findMd() throws IOException {
        long[] version1 = {0, 4096, (bytes.size() & -4096L) - 8192};
        for (long at : version1) {
            if (bytes.matches(at, MD_LITTLE) && bytes.u32(at + 4, ByteOrder.LITTLE_ENDIAN) == 1) {
                signatures.add("linux_raid_member", MD, at, MD_LITTLE.length());
            }
        }
        long version0 = (bytes.size() & -65536L) - 65536;
        if ((bytes.matches(version0, MD_LITTLE) || bytes.matches(version0, MD_BIG)) && bytes.u32(version0 + 4,
                ByteOrder.LITTLE_ENDIAN) == 0) {
            signatures.add("linux_raid_member", MD, version0, MD_LITTLE.length());
        }
    }

    private void findDdf() throws IOException {
        long[] anchors = {fromEnd(1, SECTOR), fromEnd(257, SECTOR), fromEnd(1, LARGE_SECTOR)};
        for (long at : anchors) {
            if (bytes.matches(at, "\u00de\u0011\u00de\u0011") || bytes.matches(at, "\u0011\u00de\u0011\u00de")) {
                signatures.add("ddf_raid_member", "a member of a DDF RAID", at, 4);
            }
        }
    }

    private void findAtLastSectors() throws IOException {
        for (int sectorSize = SECTOR; sectorSize <= LARGE_SECTOR; sectorSize *= 8) {
            add("isw_raid_member", "a member of an Intel Matrix RAID", fromEnd(2, sectorSize), "Intel Raid ISM Cfg Sig. ");
            add("geom", "a FreeBSD GEOM provider (mirror, stripe, encryption …)", fromEnd(1, sectorSize), "GEOM::");
        }
        add("ldm", "a Windows dynamic disk (LDM)", fromEnd(1, SECTOR), "PRIVHEAD");
        add("ldm", "a Windows dynamic disk (LDM)", fromEnd(192, SECTOR), "PRIVHEAD");
    }

    private void findBiosRaid() throws IOException {
        long last = fromEnd(1, SECTOR);
        add("lsi_mega_raid_member", "a member of an LSI MegaRAID", last, "$XIDE$");
        add("nvidia_raid_member", "a member of an NVIDIA RAID", fromEnd(2, SECTOR), "NVIDIA");
        add("hpt45x_raid_member", "a member of a HighPoint RAID", fromEnd(11, SECTOR), "\u00f3\u0016\u0078\u005a");
        add("hpt45x_raid_member", "a member of a HighPoint RAID", fromEnd(11, SECTOR), "\u00fd\u0016\u0078\u005a");
        for (int sectors : PROMISE) {
            add("promise_fasttrack_raid_member", "a member of a Promise RAID", fromEnd(sectors, SECTOR),
                    "Promise Technology, Inc.");
        }
        if (bytes.matches(last + 256, "DPTM") && bytes.matches(last, "\u0037\u00fc\u004d\u001e")) {
            signatures.add("adaptec_raid_member", "a member of an Adaptec HostRAID", last, 4);
        }
        if (isVia(last)) {
            signatures.add("via_raid_member", "a member of a VIA RAID", last, 2);
        }
        if (isSilicon(last)) {
            signatures.add("silicon_medley_raid_member", "a member of a Silicon Image RAID", last + 0x60, 4);
        }
        if (isJmicron(last)) {
            signatures.add("jmicron_raid_member", "a member of a JMicron RAID", last, 2);
        }
    }

    /** Two bytes are little to go by: a version up to 2 and a checksum over 50 bytes must fit as well. */
    private boolean isVia(long at) throws IOException {
        if (!bytes.matches(at, "\u0055\u00aa") || bytes.u8(at + 2) > 2) {
            return false;
        }
        int sum = 0;
        for (int i = 0; i < 50; i++) {
            sum += bytes.u8(at + i);
        }
        return (sum & 0xFF) == bytes.u8(at + 50);
    }

    /** Magic, a disk number below 8, and the 16-bit words before the checksum cancel it out. */
    private boolean isSilicon(long at) throws IOException {
        return bytes.matches(at + 0x60, "\0\0\0\u002f") && bytes.u8(at + 0x116) < 8
                && (sumOfWords(at, 0x13E) + bytes.u16(at + 0x13E, ByteOrder.LITTLE_ENDIAN) & 0xFFFF) == 0;
    }

    /** Two letters, a RAID level up to 5, and 64 words whose sum is 0 or 1. */
    private boolean isJmicron(long at) throws IOException {
        return bytes.matches(at, "JM") && bytes.u8(at + 0x30) <= 5 && (sumOfWords(at, 128) & 0xFFFF) <= 1;
    }

    private int sumOfWords(long at, int length) throws IOException {
        int sum = 0;
        for (int i = 0; i < length; i += 2) {
            sum += bytes.u16(at + i, ByteOrder.LITTLE_ENDIAN);
        }
        return sum;
    }

    /**
     * The last whole block of 4 KiB, as the kernel has it, or the last 4096 bytes, where libblkid looks; the magic's last byte
     * tells version and state.
     */
    private void findDrbd() throws IOException {
        for (long block : new long[] {(bytes.size() & -4096L) - 4096, bytes.size() - 4096}) {
            for (String magic : new String[] {"\u0083\u0074\u0002\u006b", "\u0083\u0074\u0002\u006c",
                "\u0083\u0074\u0002\u006d"}) {
                add("drbd", "a DRBD replicated device", block + 60, magic);
            }
        }
    }

    private void add(String name, String description, long at, String magic) throws IOException {
        if (bytes.matches(at, magic)) {
            signatures.add(name, description, at, magic.length());
        }
    }
}
