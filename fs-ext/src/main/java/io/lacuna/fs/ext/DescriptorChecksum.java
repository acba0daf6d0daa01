package io.lacuna.fs.ext;

import io.lacuna.blockio.Crc32c;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The checksum of a group descriptor, 16 bits at 0x1E. METADATA_CSUM: low half of the CRC-32C over group number and
 * descriptor, the field itself as 0. GDT_CSUM: CRC-16 (reflected polynomial 0xA001, no final inversion) over UUID, group
 * number and descriptor without the field. If both are set, METADATA_CSUM holds.
 */
final class DescriptorChecksum {

    static final int AT = 0x1E;
    private static final int POLYNOMIAL = 0xA001;

    private final int size;
    /** Group number and descriptor, as they are checksummed. */
    private final byte[] text;
    private final ByteBuffer number;
    private final Crc32c.OfLength crc32c;
    private final int[] crc16Table = new int[256];
    private final int crc16OfUuid;

    DescriptorChecksum(Superblock superblock) {
        size = superblock.descriptorSize();
        text = new byte[4 + size];
        number = ByteBuffer.wrap(text).order(ByteOrder.LITTLE_ENDIAN);
        crc32c = superblock.features().has(Features.METADATA_CSUM)
                ? new Crc32c.OfLength(superblock.checksumSeed(), text.length) : null;
        for (int i = 0; i < 256; i++) {
            int register = i;
            for (int bit = 0; bit < 8; bit++) {
                register = (register >>> 1) ^ (POLYNOMIAL & -(register & 1));
            }
            crc16Table[i] = register;
        }
        ByteBuffer uuid = ByteBuffer.allocate(16).order(ByteOrder.LITTLE_ENDIAN);
        uuid.putLong(superblock.uuid().first()).putLong(superblock.uuid().second());
        crc16OfUuid = crc16(0xFFFF, uuid.array(), 0, 16);
    }

    /** @param at where the descriptor begins in the table */
    int of(int group, ByteBuffer table, int at) {
        number.putInt(0, group);
        table.get(at, text, 4, size);
        if (crc32c != null) {
            number.putShort(4 + AT, (short) 0);
            return crc32c.of(text) & 0xFFFF;
        }
        int register = crc16(crc16OfUuid, text, 0, 4 + AT);
        return crc16(register, text, 4 + AT + 2, size - AT - 2);
    }

    private int crc16(int seed, byte[] bytes, int offset, int length) {
        int register = seed;
        for (int i = offset; i < offset + length; i++) {
            register = (register >>> 8) ^ crc16Table[(register ^ bytes[i]) & 0xFF];
        }
        return register;
    }
}
