package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.fixtures.ByteArraySource;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;

/** Writes partition tables into memory, straight from the specifications and independent of the readers under test. */
final class TestDisk {

    static final String LINUX = "0fc63daf-8483-4772-8e79-3d69d8477de4";
    static final String BASIC_DATA = "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7";

    final ByteBuffer bytes;
    final int sectorSize;

    TestDisk(int size, int sectorSize) {
        this.bytes = ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
        this.sectorSize = sectorSize;
    }

    static TestDisk ofSize(int size) {
        return new TestDisk(size, 512);
    }

    BlockSource source() {
        return new ByteArraySource(bytes.array());
    }

    int sectors() {
        return bytes.capacity() / sectorSize;
    }

    TestDisk text(long at, String characters) {
        bytes.put((int) at, characters.getBytes(StandardCharsets.ISO_8859_1));
        return this;
    }

    TestDisk u8(int at, int value) {
        bytes.put(at, (byte) value);
        return this;
    }

    TestDisk u16(int at, int value) {
        bytes.putShort(at, (short) value);
        return this;
    }

    TestDisk u32(int at, long value) {
        bytes.putInt(at, (int) value);
        return this;
    }

    TestDisk u64(int at, long value) {
        bytes.putLong(at, value);
        return this;
    }

    /** An entry of the MBR, or of the EBR in this sector. */
    TestDisk mbrEntry(int sector, int slot, int status, int type, long start, long count) {
        int base = sector * sectorSize;
        int at = base + 446 + slot * 16;
        return u8(base + 510, 0x55).u8(base + 511, 0xAA).u8(at, status).u8(at + 4, type).u32(at + 8, start)
                .u32(at + 12, count);
    }

    TestDisk mbr(int slot, int type, long start, long count) {
        return mbrEntry(0, slot, 0, type, start, count);
    }

    /** An ext superblock, as far as a probe for the magic looks. */
    TestDisk ext(long volume) {
        return u16((int) volume + 1024 + 56, 0xEF53);
    }

    /** The boot sector of an NTFS. */
    TestDisk ntfs(long volume, int bytesPerSector) {
        return text(volume, "\u00ebR\u0090NTFS    ").u16((int) volume + 11, bytesPerSector).u8((int) volume + 510, 0x55)
                .u8((int) volume + 511, 0xAA);
    }

    /** An MBR with nothing but the protective entry. */
    TestDisk protectiveMbr() {
        return mbr(0, 0xEE, 1, Math.min(0xFFFF_FFFFL, sectors() - 1));
    }

    /** A GPT in both places with its protective MBR; the entries are added afterwards. */
    TestDisk gpt(int entryCount, int entrySize) {
        protectiveMbr();
        int arraySectors = (entryCount * entrySize + sectorSize - 1) / sectorSize;
        int last = sectors() - 1;
        header(1, last, 2, 2 + arraySectors, last - arraySectors - 1, entryCount, entrySize);
        header(last, 1, last - arraySectors, 2 + arraySectors, last - arraySectors - 1, entryCount, entrySize);
        return seal();
    }

    TestDisk gpt() {
        return gpt(128, 128);
    }

    private void header(int sector, int other, int array, int first, int last, int count, int size) {
        int at = sector * sectorSize;
        text(at, "EFI PART").u32(at + 8, 0x00010000).u32(at + 12, 92).u64(at + 24, sector).u64(at + 32, other)
                .u64(at + 40, first).u64(at + 48, last).u64(at + 56, 0x1122334455667788L).u64(at + 64, 0x99AABBCCDDEEFF00L)
                .u64(at + 72, array).u32(at + 80, count).u32(at + 84, size);
    }

    int backupSector() {
        return sectors() - 1;
    }

    /** Where entry {@code index} (1 and up) of the copy whose header is in this sector starts, in bytes. */
    int entryAt(int headerSector, int index) {
        int at = headerSector * sectorSize;
        return (int) bytes.getLong(at + 72) * sectorSize + (index - 1) * bytes.getInt(at + 84);
    }

    /** Writes an entry into both copies; {@link #seal()} makes them valid. */
    TestDisk gptEntry(int index, String type, long first, long last) {
        gptEntry(1, index, type, first, last);
        return gptEntry(backupSector(), index, type, first, last).seal();
    }

    /** Writes an entry into one copy and leaves its checksums wrong. */
    TestDisk gptEntry(int headerSector, int index, String type, long first, long last) {
        int at = entryAt(headerSector, index);
        String[] groups = type.split("-");
        u32(at, Long.parseLong(groups[0], 16)).u16(at + 4, Integer.parseInt(groups[1], 16))
                .u16(at + 6, Integer.parseInt(groups[2], 16));
        String tail = groups[3] + groups[4];
        for (int i = 0; i < 8; i++) {
            u8(at + 8 + i, Integer.parseInt(tail.substring(2 * i, 2 * i + 2), 16));
        }
        return u64(at + 16, index).u64(at + 32, first).u64(at + 40, last);
    }

    /** Sets the checksums of both copies right. */
    TestDisk seal() {
        return seal(1).seal(backupSector());
    }

    TestDisk seal(int headerSector) {
        int at = headerSector * sectorSize;
        int length = bytes.getInt(at + 80) * bytes.getInt(at + 84);
        u32(at + 88, crc((int) bytes.getLong(at + 72) * sectorSize, length));
        return sealHeader(headerSector);
    }

    /** Sets the checksum of one header right, whatever its entries' is. */
    TestDisk sealHeader(int headerSector) {
        int at = headerSector * sectorSize;
        u32(at + 16, 0);
        return u32(at + 16, crc(at, bytes.getInt(at + 12)));
    }

    private long crc(int at, int length) {
        CRC32 crc = new CRC32();
        crc.update(bytes.array(), at, length);
        return crc.getValue();
    }
}
