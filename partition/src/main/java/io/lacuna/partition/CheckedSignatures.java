package io.lacuna.partition;

import io.lacuna.blockio.Bytes;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Signatures that are too short, or stand in too many places, to be believed without a look at more fields. Sources:
 * libblkid, the kernel's headers, and the specifications named at each.
 */
final class CheckedSignatures {

    private static final ByteOrder LITTLE = ByteOrder.LITTLE_ENDIAN;
    private static final ByteOrder BIG = ByteOrder.BIG_ENDIAN;
    private static final int SUPERBLOCK = 1024;

    private final Signatures signatures;
    private final VolumeBytes bytes;

    private CheckedSignatures(Signatures signatures) {
        this.signatures = signatures;
        this.bytes = signatures.bytes();
    }

    static void find(Signatures signatures) throws IOException {
        CheckedSignatures checked = new CheckedSignatures(signatures);
        checked.findBootSector();
        checked.findZfs();
        checked.findBcache();
        checked.findXfsLog();
        checked.findUdf();
        checked.findHfs();
        checked.findUfs();
        checked.findNilfs();
        checked.findMinix();
        checked.findGfs();
        checked.findBefs();
        checked.findCoreStorage();
        checked.findBsdLabel();
    }

    private void findBootSector() throws IOException {
        if (!bytes.has(0, Mbr.SIZE)) {
            return;
        }
        ByteBuffer sector = ByteBuffer.allocate(Mbr.SIZE);
        for (int i = 0; i < Mbr.SIZE; i++) {
            sector.put((byte) bytes.u8(i));
        }
        String type = BootSector.parse(Bytes.littleEndian(sector.flip(), 0)).map(BootSector::type).orElse("");
        switch (type) {
            case "vfat" -> signatures.add("vfat", "a FAT file system", 0, Mbr.SIZE);
            case "exfat" -> signatures.add("exfat", "an exFAT file system", 3, 8);
            case "BitLocker" -> signatures.add("BitLocker", "a BitLocker encrypted volume", 3, 8);
            case "ReFS" -> signatures.add("ReFS", "a ReFS file system", 0, 8);
            default -> { } // NTFS has its own reader, HPFS and JFS their own superblocks.
        }
    }

    /**
     * Four labels of 256 KiB, two at each end; each holds a packed list of names and values from byte 16384 on, in XDR form,
     * that starts with "version".
     */
    private void findZfs() throws IOException {
        int label = 256 << 10;
        long end = bytes.size() - bytes.size() % label;
        long[] labels = {0, label, end - 2L * label, end - label};
        for (long start : labels) {
            long at = start + (16 << 10);
            if (bytes.matches(at + 24, "version") && bytes.u8(at) == 1 && bytes.u8(at + 1) <= 1
                    && bytes.u32(at + 4, BIG) == 0 && bytes.u32(at + 8, BIG) == 1) {
                signatures.add("zfs_member", "a member of a ZFS pool", at, 31);
            }
        }
    }

    /** bcachefs took over bcache's magic at first, but has a checksum where bcache says in which sector the superblock is. */
    private void findBcache() throws IOException {
        int at = 4096;
        String common = "\u00c6\u0085\u0073\u00f6";
        boolean old = bytes.matches(at + 24, common + "\u004e\u001a\u0045\u00ca\u0082\u0065\u00f5\u007f\u0048\u00ba\u006d\u0081");
        boolean current = bytes.matches(at + 24, common
                + "\u0066\u00ce\u0090\u00a9\u00d9\u006a\u0060\u00cf\u0080\u003d\u00f7\u00ef");
        if (old && bytes.s64(at + 8, LITTLE) == at / 512) {
            signatures.add("bcache", "a bcache device", at + 24, 16);
        } else if (old || current) {
            signatures.add("bcachefs", "a bcachefs file system", at + 24, 16);
        }
    }

    /** A log record's header may start in any of the first sectors. */
    private void findXfsLog() throws IOException {
        if (bytes.matches(0, "XFSB")) {
            return;
        }
        for (int at = 0; at < VolumeBytes.START; at += 512) {
            long version = bytes.u32(at + 8, BIG);
            long format = bytes.has(at, 512) ? bytes.u32(at + 300, BIG) : 0;
            if (bytes.u32(at, BIG) == 0xFEEDBABEL && version >= 1 && version <= 3 && bytes.u32(at + 12, BIG) != 0
                    && format >= 1 && format <= 3) {
                signatures.add("xfs_external_log", "the external log of an XFS file system", at, 4);
                return;
            }
        }
    }

    /**
     * ECMA-167: a sequence of descriptors from byte 32768 on, each in 2048 bytes or one block of 4096. NSR02 or NSR03 among
     * them is UDF. Ends at the first that is none of them, or with the bytes at hand.
     */
    private void findUdf() throws IOException {
        for (int step = 2048; step <= 4096; step *= 2) {
            for (int at = 32 << 10; at + 6 <= VolumeBytes.START; at += step) {
                if (bytes.matches(at + 1, "NSR02") || bytes.matches(at + 1, "NSR03")) {
                    signatures.add("udf", "a UDF file system", at + 1, 5);
                    return;
                }
                boolean other = bytes.matches(at + 1, "BEA01") || bytes.matches(at + 1, "BOOT2")
                        || bytes.matches(at + 1, "CD001") || bytes.matches(at + 1, "CDW02") || bytes.matches(at + 1, "TEA01");
                if (!other) {
                    break;
                }
            }
        }
    }

    /** Two letters where ext keeps the number of its inodes, so that the size of the allocation blocks must make sense, too. */
    private void findHfs() throws IOException {
        int at = SUPERBLOCK;
        if (bytes.matches(at, "BD") && bytes.u32(at + 20, BIG) != 0 && bytes.u32(at + 20, BIG) % 512 == 0
                && bytes.u16(at + 18, BIG) != 0) {
            boolean wrapper = bytes.matches(at + 124, "H+") || bytes.matches(at + 124, "HX");
            signatures.add(wrapper ? "hfsplus" : "hfs", wrapper ? "an HFS+ file system" : "an HFS file system", at, 2);
        }
        int version = bytes.u16(at + 2, BIG);
        long blockSize = bytes.u32(at + 40, BIG);
        if ((bytes.matches(at, "H+") && version == 4 || bytes.matches(at, "HX") && version == 5)
                && blockSize >= 512 && Long.bitCount(blockSize) == 1) {
            signatures.add("hfsplus", "an HFS+ file system", at, 4);
        }
    }

    private void findUfs() throws IOException {
        long[] magics = {0x00011954L, 0x19540119L, 0x00195612L, 0x00095014L, 0x00612195L, 0x05231994L};
        int[] superblocks = {0, 8 << 10, 64 << 10, 256 << 10};
        for (int superblock : superblocks) {
            int at = superblock + 1372;
            for (long magic : magics) {
                for (ByteOrder order : new ByteOrder[] {LITTLE, BIG}) {
                    long blockSize = bytes.u32(superblock + 48, order);
                    if (bytes.u32(at, order) == magic && blockSize >= 512 && Long.bitCount(blockSize) == 1) {
                        signatures.add("ufs", "a UFS file system", at, 4);
                    }
                }
            }
        }
    }

    /** Two copies, the second in the last 4 KiB: magic u16 at 6, revision 2 at 0, log2 of the block size less 10 at 20. */
    private void findNilfs() throws IOException {
        long[] copies = {SUPERBLOCK, (bytes.size() / 512 - 8) * 512, (bytes.size() / 4096 - 1) * 4096};
        for (long at : copies) {
            if (bytes.u16(at + 6, LITTLE) == 0x3434 && bytes.u32(at, LITTLE) == 2 && bytes.u32(at + 20, LITTLE) <= 6
                    && bytes.u16(at + 8, LITTLE) >= 32 && bytes.u16(at + 8, LITTLE) <= 1024 && bytes.s64(at + 32, LITTLE) > 0) {
                signatures.add("nilfs2", "a NILFS2 file system", at + 6, 2);
            }
        }
    }

    /** A magic of 16 bits: the bitmaps must be large enough for inodes and zones, and no ext superblock may stand there. */
    private void findMinix() throws IOException {
        if (bytes.u16(SUPERBLOCK + 56, LITTLE) == 0xEF53) {
            return;
        }
        for (ByteOrder order : new ByteOrder[] {LITTLE, BIG}) {
            int magic = bytes.u16(SUPERBLOCK + 16, order);
            boolean first = magic == 0x137F || magic == 0x138F;
            boolean second = magic == 0x2468 || magic == 0x2478;
            boolean third = bytes.u16(SUPERBLOCK + 24, order) == 0x4D5A;
            if (third && isMinix3(order) || (first || second) && isMinix(order, second)) {
                signatures.add("minix", "a Minix file system", SUPERBLOCK + (third ? 24 : 16), 2);
            }
        }
    }

    private boolean isMinix(ByteOrder order, boolean second) throws IOException {
        long inodes = bytes.u16(SUPERBLOCK, order);
        long zones = second ? bytes.u32(SUPERBLOCK + 20, order) : bytes.u16(SUPERBLOCK + 2, order);
        long inodeMap = bytes.u16(SUPERBLOCK + 4, order) * 8192L;
        long zoneMap = bytes.u16(SUPERBLOCK + 6, order) * 8192L;
        long firstZone = bytes.u16(SUPERBLOCK + 8, order);
        return inodes > 0 && zones > firstZone && inodeMap >= inodes + 1 && zoneMap >= zones - firstZone + 1;
    }

    private boolean isMinix3(ByteOrder order) throws IOException {
        int blockSize = bytes.u16(SUPERBLOCK + 28, order);
        return bytes.u16(SUPERBLOCK + 6, order) != 0 && bytes.u16(SUPERBLOCK + 8, order) != 0
                && blockSize >= 1024 && Integer.bitCount(blockSize) == 1;
    }

    private void findGfs() throws IOException {
        int at = 64 << 10;
        if (bytes.u32(at, BIG) != 0x01161970L) {
            return;
        }
        long format = bytes.u32(at + 24, BIG);
        if (format == 1309) {
            signatures.add("gfs", "a GFS cluster file system", at, 4);
        } else if (format >= 1801 && format < 1900) {
            signatures.add("gfs2", "a GFS2 cluster file system", at, 4);
        }
    }

    private void findBefs() throws IOException {
        for (int superblock = 0; superblock <= 512; superblock += 512) {
            for (ByteOrder order : new ByteOrder[] {LITTLE, BIG}) {
                if (bytes.u32(superblock + 32, order) == 0x42465331L && bytes.u32(superblock + 68, order) == 0xDD121031L) {
                    signatures.add("befs", "a BeFS file system", superblock + 32, 4);
                }
            }
        }
    }

    /** Apple Core Storage, on which FileVault 2 stands. Source: libfvde's paper. */
    private void findCoreStorage() throws IOException {
        if (bytes.matches(88, "CS") && bytes.u16(8, LITTLE) == 1 && bytes.u16(10, LITTLE) == 0x10
                && bytes.u32(90, LITTLE) == 1) {
            signatures.add("cs_fvault2", "an Apple Core Storage (FileVault) volume", 88, 2);
        }
    }

    /** A slice of a disk with an MBR is divided once more; only the parts are file systems. */
    private void findBsdLabel() throws IOException {
        if (bytes.u32(512, LITTLE) == 0x82564557L && bytes.u32(512 + 132, LITTLE) == 0x82564557L) {
            signatures.add("bsd_disklabel", "a BSD disklabel with partitions of its own", 512, 4);
        }
    }
}
