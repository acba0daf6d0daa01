package io.lacuna.partition;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;

/**
 * Partition tables of other worlds, met and not read. Each is proved by its checksum or by more than one field, so that no disk
 * with an MBR or a GPT is taken for one of them. Field positions: util-linux's libblkid and the Linux kernel's block/partitions.
 */
final class ForeignLabel {

    /** Bytes from the start of the disk that hold all of them; Ultrix' label ends at 16 KiB, block 3 of DASD starts at 12 KiB. */
    static final int LOOK = 20 << 10;

    private static final int SECTOR = 512;

    private final Bytes little;
    private final Bytes big;
    private final long diskSize;

    private ForeignLabel(Bytes start, long diskSize) {
        this.little = start;
        this.big = Bytes.bigEndian(start.buffer(), 0);
        this.diskSize = diskSize;
    }

    /**
     * @param start the first {@link #LOOK} bytes of the disk, or all of it
     * @param mbr the table in its first sector, if that carries the mark of one
     * @throws UnsupportedException naming the label, if there is one
     */
    static void refuse(Bytes start, Optional<Mbr> mbr, long diskSize) throws UnsupportedException, CorruptException {
        Optional<String> name = new ForeignLabel(start, diskSize).name(mbr.isPresent() && mbr.get().hasSaneStatuses());
        if (name.isPresent()) {
            throw new UnsupportedException("the disk is divided by " + name.get()
                    + ", which Lacuna does not read; trim it from inside the guest");
        }
    }

    private Optional<String> name(boolean saneMbr) throws CorruptException {
        if (little.length() < SECTOR) {
            return Optional.empty();
        }
        if (big.u16(508) == 0xDABE && xorOfWords(0, SECTOR) == 0) {
            return Optional.of("a Sun label");
        }
        if (big.u32(0) == 0x0BE5A941L && sumOfLongs(0, SECTOR) == 0) {
            return Optional.of("an SGI label");
        }
        if (big.u32(0) == 0xC9C2D4C1L) {
            return Optional.of("an AIX boot record");
        }
        if (isBsd(SECTOR) || isBsd(64) || isBsd(128)) {
            return Optional.of("a BSD disklabel");
        }
        if (isApple()) {
            return Optional.of("an Apple partition map");
        }
        for (int block = 0; block < 16; block++) {
            if (isAmiga(block * SECTOR)) {
                return Optional.of("an Amiga rigid disk block");
            }
        }
        for (int blockSize = SECTOR; blockSize <= 4096; blockSize *= 2) {
            if (isDasd(2 * blockSize)) {
                return Optional.of("a volume label of an s390 DASD");
            }
        }
        if (isUltrix()) {
            return Optional.of("an Ultrix label");
        }
        return !saneMbr && isAtari() ? Optional.of("an Atari (AHDI) root sector") : Optional.empty();
    }

    /** Magic at both ends of the fixed part, and the 16-bit words up to the last partition cancel out. */
    private boolean isBsd(int at) throws CorruptException {
        int partitions = 148;
        if (little.length() < at + partitions || little.u32(at) != 0x82564557L || little.u32(at + 132) != 0x82564557L) {
            return false;
        }
        int length = partitions + little.u16(at + 138) * 16;
        return length <= little.length() - at && xorOfWords(at, length) == 0;
    }

    /** A driver descriptor in block 0 that names the size of the blocks, or none; the map's own entry in block 1. */
    private boolean isApple() throws CorruptException {
        int blockSize = big.u16(0) == 0x4552 ? big.u16(2) : SECTOR;
        int map = 48;
        return blockSize >= SECTOR && blockSize <= 4096 && big.length() >= blockSize + SECTOR
                && (big.u16(blockSize) == 0x504D || big.u16(blockSize) == 0x5453)
                && (big.u16(0) == 0x4552 || big.matches(blockSize + map, "Apple_"));
    }

    /** The sum of its big-endian words, as many as it says, is 0. */
    private boolean isAmiga(int at) throws CorruptException {
        if (big.length() < at + SECTOR || !big.matches(at, "RDSK")) {
            return false;
        }
        long words = big.u32(at + 4);
        return words > 1 && words <= SECTOR / 4 && sumOfLongs(at, (int) words * 4) == 0;
    }

    /** In EBCDIC: VOL1 twice (compatible layout), or LNX1 or CMS1 and a serial of printable characters. */
    private boolean isDasd(int at) throws CorruptException {
        if (big.length() < at + 16) {
            return false;
        }
        long key = big.u32(at);
        if (key == 0xE5D6D3F1L) {
            return big.u32(at + 4) == key;
        }
        boolean linux = key == 0xD3D5E7F1L || key == 0xC3D4E2F1L;
        for (int i = 4; linux && i < 10; i++) {
            linux = big.u8(at + i) >= 0x40;
        }
        return linux;
    }

    private boolean isUltrix() throws CorruptException {
        int at = (16 << 10) - 72;
        return little.length() >= 16 << 10 && little.u32(at) == 0x032957 && little.u32(at + 4) == 1;
    }

    /** No magic: the disk's size, and every active entry names a type in letters or digits and lies on the disk. */
    private boolean isAtari() throws CorruptException {
        long sectors = diskSize / SECTOR;
        long stated = big.u32(0x1C2);
        int active = 0;
        for (int at = 0x1C6; at < 0x1F6; at += 12) {
            if ((big.u8(at) & 1) != 0) {
                long start = big.u32(at + 4);
                long count = big.u32(at + 8);
                if (start == 0 || count == 0 || start + count > sectors || !isAtariType(at + 1)) {
                    return false;
                }
                active++;
            }
        }
        return active > 0 && stated > 0 && stated <= sectors;
    }

    private boolean isAtariType(int at) throws CorruptException {
        for (int i = 0; i < 3; i++) {
            int character = big.u8(at + i);
            boolean alphanumeric = character >= '0' && character <= '9' || character >= 'A' && character <= 'Z'
                    || character >= 'a' && character <= 'z';
            if (!alphanumeric) {
                return false;
            }
        }
        return true;
    }

    private int xorOfWords(int at, int length) {
        ByteBuffer bytes = big.buffer();
        int xor = 0;
        for (int i = at; i < at + length; i += 2) {
            xor ^= bytes.getShort(i);
        }
        return xor & 0xFFFF;
    }

    private int sumOfLongs(int at, int length) {
        ByteBuffer bytes = big.buffer().order(ByteOrder.BIG_ENDIAN);
        int sum = 0;
        for (int i = at; i < at + length; i += 4) {
            sum += bytes.getInt(i);
        }
        return sum;
    }
}
