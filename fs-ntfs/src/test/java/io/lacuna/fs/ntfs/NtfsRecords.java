package io.lacuna.fs.ntfs;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** Encodes file records of 1024 bytes, attributes and data runs, from the format papers. */
final class NtfsRecords {

    static final int SIZE = 1024;

    private NtfsRecords() {
    }

    /** One run; an lcn below 0 is a sparse one. */
    record Run(long lcn, long length) {
    }

    /** A record: header, attributes, end mark, fix-ups. */
    static byte[] record(int number, int sequence, long baseReference, List<byte[]> attributes) {
        ByteBuffer record = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN);
        record.putInt(0, 0x454C4946).putShort(4, (short) 0x30).putShort(6, (short) 3);
        record.putShort(0x10, (short) sequence).putShort(0x12, (short) 1).putShort(0x14, (short) 0x38);
        record.putShort(0x16, (short) 1).putInt(0x1C, SIZE).putLong(0x20, baseReference).putInt(0x2C, number);
        record.putShort(0x30, (short) 3);
        record.position(0x38);
        attributes.forEach(record::put);
        record.putInt(-1).putInt(0);
        record.putInt(0x18, record.position());
        NtfsEditor.seal(record);
        return record.array();
    }

    static byte[] resident(int type, byte[] value) {
        int length = (0x18 + value.length + 7) / 8 * 8;
        return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN).putInt(0, type).putInt(4, length)
                .putShort(0x0A, (short) 0x18).putInt(0x10, value.length).putShort(0x14, (short) 0x18).put(0x18, value).array();
    }

    static byte[] nonResident(int type, long firstVcn, long allocated, long data, long valid, List<Run> runs) {
        byte[] pairs = pairs(runs);
        int length = (0x40 + pairs.length + 7) / 8 * 8;
        long clusters = runs.stream().mapToLong(Run::length).sum();
        return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN).putInt(0, type).putInt(4, length)
                .put(8, (byte) 1).putShort(0x0A, (short) 0x40).putLong(0x10, firstVcn).putLong(0x18, firstVcn + clusters - 1)
                .putShort(0x20, (short) 0x40).putLong(0x28, allocated).putLong(0x30, data).putLong(0x38, valid)
                .put(0x40, pairs).array();
    }

    /** Mapping pairs in the shortest form, as Windows writes them. */
    static byte[] pairs(List<Run> runs) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        long lcn = 0;
        for (Run run : runs) {
            byte[] length = number(run.length());
            byte[] distance = run.lcn() < 0 ? new byte[0] : number(run.lcn() - lcn);
            out.write(distance.length << 4 | length.length);
            out.writeBytes(length);
            out.writeBytes(distance);
            lcn = run.lcn() < 0 ? lcn : run.lcn();
        }
        out.write(0);
        return out.toByteArray();
    }

    private static byte[] number(long value) {
        int size = 1;
        while (size < 8 && value != value << 64 - 8 * size >> 64 - 8 * size) {
            size++;
        }
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) {
            bytes[i] = (byte) (value >> 8 * i);
        }
        return bytes;
    }

    /** An entry of an $ATTRIBUTE_LIST, for an attribute without a name. */
    static byte[] listEntry(int type, long firstVcn, long reference) {
        return ByteBuffer.allocate(0x20).order(ByteOrder.LITTLE_ENDIAN).putInt(0, type).putShort(4, (short) 0x20)
                .put(7, (byte) 0x1A).putLong(8, firstVcn).putLong(0x10, reference).array();
    }

    static byte[] concat(List<byte[]> parts) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        parts.forEach(out::writeBytes);
        return out.toByteArray();
    }
}
