package io.lacuna.diskimage.vdi;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.UUID;

/**
 * Makes VDI images as VirtualBox lays them out (map and data at whole MiB) or as QEMU does (at sectors), with any map: written
 * from the structures' description, not by the reader's code.
 */
final class VdiBuilder {

    static final long FREE = 0xFFFF_FFFFL;
    static final long ZERO = 0xFFFF_FFFEL;

    int type = 1;
    long diskSize;
    int blockSize = 4096;
    int mapOffset = 512;
    int dataOffset = 1024;
    long[] map = {};
    /** -1 for the number of stored blocks. */
    long allocated = -1;
    int slots = -1;
    int headerSize = 0x190;
    UUID id = new UUID(0x1111222233334444L, 0x8555666677778888L);
    UUID modification = new UUID(0x2111222233334444L, 0x8555666677778888L);
    UUID parent = new UUID(0, 0);
    UUID parentModification = new UUID(0, 0);
    int seed = 1;

    static VdiBuilder of(int blockSize, long diskSize, long... map) {
        VdiBuilder builder = new VdiBuilder();
        builder.blockSize = blockSize;
        builder.diskSize = diskSize;
        builder.map = map;
        return builder;
    }

    VdiBuilder likeVirtualBox() {
        mapOffset = 1 << 20;
        dataOffset = 2 << 20;
        return this;
    }

    VdiBuilder childOf(VdiBuilder parentImage) {
        type = 4;
        parent = parentImage.id;
        parentModification = parentImage.modification;
        id = new UUID(parentImage.id.getMostSignificantBits() + (1L << 32), parentImage.id.getLeastSignificantBits());
        seed = parentImage.seed + 1;
        return this;
    }

    private int slots() {
        if (slots >= 0) {
            return slots;
        }
        return (int) Arrays.stream(map).filter(entry -> entry < ZERO).max().orElse(-1) + 1;
    }

    byte[] bytes() {
        byte[] bytes = new byte[dataOffset + slots() * blockSize];
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        buffer.put("<<< Oracle VM VirtualBox Disk Image >>>\n".getBytes(StandardCharsets.US_ASCII));
        buffer.putInt(64, 0xBEDA107F).putInt(68, 0x10001).putInt(72, headerSize).putInt(76, type);
        buffer.position(84).put("a comment".getBytes(StandardCharsets.US_ASCII));
        buffer.putInt(340, mapOffset).putInt(344, dataOffset).putInt(360, 512).putLong(368, diskSize).putInt(376, blockSize)
                .putInt(384, map.length).putInt(388, (int) (allocated >= 0 ? allocated
                        : Arrays.stream(map).filter(entry -> entry < ZERO).count()));
        uuid(buffer, 392, id);
        uuid(buffer, 408, modification);
        uuid(buffer, 424, parent);
        uuid(buffer, 440, parentModification);
        for (int i = 0; i < map.length; i++) {
            buffer.putInt(mapOffset + 4 * i, (int) map[i]);
        }
        byte[] data = new byte[slots() * blockSize];
        new Random(seed).nextBytes(data);
        for (int i = 0; i < data.length; i++) {
            bytes[dataOffset + i] = (byte) (data[i] | 1);
        }
        return bytes;
    }

    /** Little-endian in its first three fields, as the format stores it. */
    private static void uuid(ByteBuffer buffer, int at, UUID uuid) {
        long high = uuid.getMostSignificantBits();
        buffer.putInt(at, (int) (high >>> 32)).putShort(at + 4, (short) (high >>> 16)).putShort(at + 6, (short) high);
        buffer.order(ByteOrder.BIG_ENDIAN).putLong(at + 8, uuid.getLeastSignificantBits()).order(ByteOrder.LITTLE_ENDIAN);
    }

    Path write(Path file) throws IOException {
        return Files.write(file, bytes());
    }

    /** The disk as its guest must see it. */
    byte[] content(byte[] parentContent) {
        byte[] image = bytes();
        byte[] disk = new byte[(int) diskSize / 512 * 512];
        for (int i = 0; i < map.length && (long) i * blockSize < disk.length; i++) {
            int length = Math.min(blockSize, disk.length - i * blockSize);
            if (map[i] < ZERO) {
                System.arraycopy(image, dataOffset + (int) map[i] * blockSize, disk, i * blockSize, length);
            } else if (map[i] == FREE && parentContent != null && i * blockSize < parentContent.length) {
                System.arraycopy(parentContent, i * blockSize, disk, i * blockSize,
                        Math.min(length, parentContent.length - i * blockSize));
            }
        }
        return disk;
    }
}
