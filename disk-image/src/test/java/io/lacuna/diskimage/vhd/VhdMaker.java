package io.lacuna.diskimage.vhd;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;

/**
 * Writes dynamic and differencing VHDs from the specification, small enough to damage every byte. Shares nothing with the reader.
 */
final class VhdMaker {

    static final int TABLE = 1536;

    int kind = 3;
    String creator = "win ";
    byte[] id = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    int blockSize = 16 << 10;
    long size;
    int spareEntries;
    /** Sectors between the table (or the locator) and the first block. */
    int firstGap;
    /** Sectors behind each block. */
    int gapSectors;
    /** The numbers of the blocks in the order they lie in the file. */
    int[] order;
    String parentName;
    byte[] parentId;
    int parentStamp;
    /** For a differencing disk: the sectors that it has. */
    BitSet own = new BitSet();
    byte[] content;

    /** Bytes none of which is 0, the same ones each time. */
    static byte[] pattern(int size, int seed) {
        byte[] bytes = new byte[size];
        new Random(seed).nextBytes(bytes);
        for (int i = 0; i < size; i++) {
            bytes[i] |= 1;
        }
        return bytes;
    }

    static VhdMaker dynamic(byte[] content, int... order) {
        VhdMaker maker = new VhdMaker();
        maker.content = content;
        maker.size = content.length;
        maker.order = order;
        return maker;
    }

    static VhdMaker differencing(String parentName, byte[] content, BitSet own, int... order) {
        VhdMaker maker = dynamic(content, order);
        maker.kind = 4;
        maker.id = new byte[] {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 1};
        maker.parentId = new byte[] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
        maker.parentName = parentName;
        maker.own = own;
        return maker;
    }

    static ByteBuffer footer(int kind, String creator, long size, byte[] id) {
        ByteBuffer footer = ByteBuffer.allocate(512);
        footer.put(0, "conectix".getBytes(StandardCharsets.ISO_8859_1)).putInt(8, 2).putInt(12, 0x10000)
                .putLong(16, kind == 2 ? -1 : 512).putInt(24, 0x2C27B9F2)
                .put(28, creator.getBytes(StandardCharsets.ISO_8859_1)).putInt(32, 0xA0000)
                .put(36, "Wi2k".getBytes(StandardCharsets.ISO_8859_1)).putLong(40, size).putLong(48, size)
                .putShort(56, (short) 3).put(58, (byte) 4).put(59, (byte) 17).putInt(60, kind).put(68, id)
                // What no specification knows has to stay.
                .put(400, "keep me".getBytes(StandardCharsets.ISO_8859_1));
        return seal(footer, 64);
    }

    /** Sets the checksum at this place right. */
    static ByteBuffer seal(ByteBuffer bytes, int at) {
        bytes.putInt(at, 0);
        int sum = 0;
        for (byte one : bytes.array()) {
            sum += one & 0xFF;
        }
        return bytes.putInt(at, ~sum);
    }

    int bitmapSize() {
        return Math.max(512, blockSize / 4096);
    }

    /** Where the first block would begin without a gap. */
    int firstBlock() {
        int entries = entries();
        return TABLE + (entries * 4 + 511) / 512 * 512 + (parentName == null ? 0 : 512);
    }

    int entries() {
        return (int) ((size + blockSize - 1) / blockSize) + spareEntries;
    }

    byte[] bytes() {
        int entries = entries();
        int slot = bitmapSize() + blockSize + gapSectors * 512;
        int first = firstBlock() + firstGap * 512;
        ByteBuffer file = ByteBuffer.allocate(first + order.length * slot + 512);
        ByteBuffer footer = footer(kind, creator, size, id);
        file.put(0, footer.array());
        file.put(512, header(entries).array());
        if (parentName != null) {
            file.put(firstBlock() - 512, parentName.getBytes(StandardCharsets.UTF_16LE));
        }
        byte[] none = new byte[(entries * 4 + 511) / 512 * 512];
        Arrays.fill(none, (byte) 0xFF);
        file.put(TABLE, none);
        for (int i = 0; i < order.length; i++) {
            int at = first + i * slot;
            file.putInt(TABLE + order[i] * 4, at / 512);
            putBlock(file, at, order[i]);
        }
        return file.put(file.capacity() - 512, footer.array()).array();
    }

    private void putBlock(ByteBuffer file, int at, int block) {
        for (int sector = 0; sector < blockSize / 512; sector++) {
            int start = block * blockSize + sector * 512;
            if (kind == 3 || own.get(start / 512)) {
                file.put(at + sector / 8, (byte) (file.get(at + sector / 8) | 0x80 >> sector % 8));
                if (start < content.length) {
                    file.put(at + bitmapSize() + sector * 512, content, start, Math.min(512, content.length - start));
                }
            }
        }
    }

    private ByteBuffer header(int entries) {
        ByteBuffer header = ByteBuffer.allocate(1024);
        header.put(0, "cxsparse".getBytes(StandardCharsets.ISO_8859_1)).putLong(8, -1).putLong(16, TABLE).putInt(24, 0x10000)
                .putInt(28, entries).putInt(32, blockSize);
        if (parentName != null) {
            byte[] name = parentName.getBytes(StandardCharsets.UTF_16LE);
            header.put(40, parentId).putInt(56, parentStamp).put(64, parentName.getBytes(StandardCharsets.UTF_16BE))
                    .put(576, "W2ru".getBytes(StandardCharsets.ISO_8859_1)).putInt(580, 1).putInt(584, name.length)
                    .putLong(592, firstBlock() - 512);
        }
        return seal(header, 36);
    }

    Path write(Path file) throws IOException {
        return Files.write(file, bytes());
    }
}
