package io.lacuna.fs.ext;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/**
 * A small file system made by mke2fs, in memory, to be damaged field by field. Checksums are made right again by code of its
 * own, a bit at a time as the specification has it, so that a mistake in the reader cannot cancel out.
 */
final class ExtImage {

    static final int SUPERBLOCK = 1024;

    final byte[] bytes;
    private final ByteBuffer buffer;

    ExtImage(byte[] bytes) {
        this.bytes = bytes;
        buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Makes a file system and writes some files of 1 byte to 300 KiB into it; every third one is deleted again. */
    static ExtImage make(Path directory, String size, String... mke2fsOptions) throws IOException {
        return new ExtImage(Files.readAllBytes(makeFile(directory, size, mke2fsOptions)));
    }

    static Path makeFile(Path directory, String size, String... mke2fsOptions) throws IOException {
        Tools.require("mke2fs", "debugfs");
        Path image = Files.createTempFile(directory, "ext", ".img");
        List<String> command = new ArrayList<>(List.of("mke2fs", "-q", "-F"));
        command.addAll(List.of(mke2fsOptions));
        command.addAll(List.of(image.toString(), size));
        Tools.shell("rm -f \"$1\"", image);
        Tools.ok(command.toArray(String[]::new));
        StringBuilder script = new StringBuilder();
        Path data = Files.createTempFile(directory, "data", ".bin");
        for (int i = 0; i < 9; i++) {
            Path file = directory.resolve("file" + i);
            // Not zeros: debugfs makes holes of them.
            byte[] content = new byte[1 + i * i * i * 600];
            new Random(i).nextBytes(content);
            Files.write(file, content);
            script.append("write ").append(file).append(" file").append(i).append('\n');
        }
        for (int i = 0; i < 9; i += 3) {
            script.append("rm file").append(i).append('\n');
        }
        Files.writeString(data, script);
        Tools.ok("debugfs", "-w", "-f", data.toString(), image.toString());
        Tools.require("e2fsck");
        // Status 1: debugfs keeps no quotas; e2fsck counts them anew.
        Tools.shell("e2fsck -fy \"$1\" || [ $? = 1 ]", image);
        return image;
    }

    /** Adds multiple mount protection. Last, for a program that writes under it waits for half a minute. */
    static Path protect(Path image) {
        Tools.require("tune2fs");
        Tools.ok("tune2fs", "-O", "mmp", image.toString());
        return image;
    }

    ExtImage copy() {
        return new ExtImage(bytes.clone());
    }

    FreeSpace freeSpace() throws IOException {
        return new ExtProbe().open(new ByteArraySource(bytes)).freeSpace();
    }

    /** @return the reason of the refusal, lower case; fails if the image is read */
    String refusal() throws IOException {
        try {
            FreeSpace space = freeSpace();
            throw new AssertionError("read, with " + space.free().totalBytes() + " bytes free");
        } catch (DiskFormatException e) {
            return e.reason();
        }
    }

    int u16(int at) {
        return buffer.getShort(at) & 0xFFFF;
    }

    int s32(int at) {
        return buffer.getInt(at);
    }

    ExtImage put16(int at, int value) {
        buffer.putShort(at, (short) value);
        return this;
    }

    ExtImage put32(int at, int value) {
        buffer.putInt(at, value);
        return this;
    }

    /** Changes a field of the superblock and makes its checksum right. */
    ExtImage superblock16(int field, int value) {
        return put16(SUPERBLOCK + field, value).fixSuperblock();
    }

    ExtImage superblock32(int field, int value) {
        return put32(SUPERBLOCK + field, value).fixSuperblock();
    }

    ExtImage fixSuperblock() {
        if (hasMetadataChecksums()) {
            put32(SUPERBLOCK + 0x3FC, crc32c(~0, bytes, SUPERBLOCK, 0x3FC));
        }
        return this;
    }

    boolean hasMetadataChecksums() {
        return (s32(SUPERBLOCK + 0x64) & 0x400) != 0;
    }

    int blockSize() {
        return 1024 << s32(SUPERBLOCK + 0x18);
    }

    int blocksPerGroup() {
        return s32(SUPERBLOCK + 0x20);
    }

    int clusterRatio() {
        return 1 << (s32(SUPERBLOCK + 0x1C) - s32(SUPERBLOCK + 0x18));
    }

    int firstDataBlock() {
        return s32(SUPERBLOCK + 0x14);
    }

    int groups() {
        return (s32(SUPERBLOCK + 0x04) - firstDataBlock() + blocksPerGroup() - 1) / blocksPerGroup();
    }

    int descriptorSize() {
        return (s32(SUPERBLOCK + 0x60) & 0x80) != 0 ? u16(SUPERBLOCK + 0xFE) : 32;
    }

    /** @return byte of a group's descriptor; the image has no META_BG */
    int descriptor(int group) {
        return (blockSize() == 1024 ? 2048 : blockSize()) + group * descriptorSize();
    }

    int blockBitmap(int group) {
        return s32(descriptor(group)) * blockSize();
    }

    int group(long block) {
        return (int) ((block - firstDataBlock()) / blocksPerGroup());
    }

    boolean isUninitialised(int group) {
        return (u16(descriptor(group) + 0x12) & 2) != 0;
    }

    boolean isUsed(long block) {
        int group = group(block);
        int bit = (int) ((block - firstDataBlock()) % blocksPerGroup()) / clusterRatio();
        return (bytes[blockBitmap(group) + bit / 8] >> bit % 8 & 1) != 0;
    }

    /** Clears a block's bit; counts and checksums agree with that afterwards. */
    ExtImage markFree(long block) {
        return mark(block, false);
    }

    /** Sets a block's bit; counts and checksums agree with that afterwards. */
    ExtImage markUsed(long block) {
        return mark(block, true);
    }

    private ExtImage mark(long block, boolean used) {
        int group = group(block);
        int bit = (int) ((block - firstDataBlock()) % blocksPerGroup()) / clusterRatio();
        if (isUninitialised(group) || isUsed(block) == used) {
            throw new AssertionError("block " + block + " has no bitmap, or is marked so already");
        }
        bytes[blockBitmap(group) + bit / 8] ^= (byte) (1 << bit % 8);
        int count = descriptor(group) + 0x0C;
        put16(count, u16(count) + (used ? -1 : 1));
        return fixGroup(group);
    }

    /** Makes the checksums of a group's bitmap and descriptor right. */
    ExtImage fixGroup(int group) {
        int at = descriptor(group);
        if (hasMetadataChecksums() && !isUninitialised(group)) {
            int bitmap = crc32c(seed(), bytes, blockBitmap(group), blocksPerGroup() / clusterRatio() / 8);
            put16(at + 0x18, bitmap);
            if (descriptorSize() >= 64) {
                put16(at + 0x38, bitmap >>> 16);
            }
        }
        return fixGroupUnread(group);
    }

    /** Makes the checksum of a group's descriptor right and leaves its bitmap alone. */
    ExtImage fixGroupUnread(int group) {
        int at = descriptor(group);
        int roCompat = s32(SUPERBLOCK + 0x64);
        byte[] number = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(group).array();
        if (hasMetadataChecksums()) {
            put16(at + 0x1E, 0);
            put16(at + 0x1E, crc32c(crc32c(seed(), number, 0, 4), bytes, at, descriptorSize()));
        } else if ((roCompat & 0x10) != 0) {
            int crc = crc16(crc16(0xFFFF, bytes, SUPERBLOCK + 0x68, 16), number, 0, 4);
            crc = crc16(crc, bytes, at, 0x1E);
            put16(at + 0x1E, crc16(crc, bytes, at + 0x20, descriptorSize() - 0x20));
        }
        return this;
    }

    int seed() {
        return (s32(SUPERBLOCK + 0x60) & 0x2000) != 0 ? s32(SUPERBLOCK + 0x270) : crc32c(~0, bytes, SUPERBLOCK + 0x68, 16);
    }

    /** @return byte of the journal's inode */
    int journalInode() {
        return inode(s32(SUPERBLOCK + 0xE0));
    }

    /** @return byte of an inode of group 0 */
    int inode(int number) {
        return s32(descriptor(0) + 8) * blockSize() + (number - 1) * u16(SUPERBLOCK + 0x58);
    }

    /** Makes the checksum of the journal's inode right. */
    ExtImage fixJournalInode() {
        return fixInode(s32(SUPERBLOCK + 0xE0));
    }

    /** Makes the checksum of an inode of group 0 right. */
    ExtImage fixInode(int number) {
        if (!hasMetadataChecksums()) {
            return this;
        }
        int at = inode(number);
        byte[] head = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putInt(number).putInt(s32(at + 0x64)).array();
        boolean wide = u16(at + 0x80) >= 4;
        put16(at + 0x7C, 0);
        if (wide) {
            put16(at + 0x82, 0);
        }
        int crc = crc32c(crc32c(seed(), head, 0, 8), bytes, at, u16(SUPERBLOCK + 0x58));
        put16(at + 0x7C, crc);
        return wide ? put16(at + 0x82, crc >>> 16) : this;
    }

    /** @return byte of the journal's superblock; the journal's inode has its extents in the inode, or block numbers */
    int journalSuperblock() {
        int at = journalInode() + 0x28;
        return s32(u16(at) == 0xF30A ? at + 12 + 8 : at) * blockSize();
    }

    /** @return byte of a block of the journal, whose inode has its extents in the inode */
    int journalBlock(int logical) {
        int root = journalInode() + 0x28;
        for (int at = root + 12; at < root + 12 + 12 * u16(root + 2); at += 12) {
            if (u16(root) == 0xF30A && logical >= s32(at) && logical < s32(at) + u16(at + 4)) {
                return (s32(at + 8) + logical - s32(at)) * blockSize();
            }
        }
        throw new AssertionError("no extent with block " + logical + " of the journal");
    }

    ExtImage journal32(int field, int value) {
        return put32(journalSuperblock() + field, Integer.reverseBytes(value));
    }

    /** Makes the checksum of a journal superblock with CSUM_V3 right. */
    ExtImage fixJournal() {
        journal32(0xFC, 0);
        return journal32(0xFC, crc32c(~0, bytes, journalSuperblock(), 1024));
    }

    static int crc32c(int seed, byte[] bytes, int offset, int length) {
        return crc(seed, 0x82F6_3B78, bytes, offset, length);
    }

    static int crc16(int seed, byte[] bytes, int offset, int length) {
        return crc(seed, 0xA001, bytes, offset, length);
    }

    private static int crc(int seed, int polynomial, byte[] bytes, int offset, int length) {
        int register = seed;
        for (int i = offset; i < offset + length; i++) {
            register ^= bytes[i] & 0xFF;
            for (int bit = 0; bit < 8; bit++) {
                register = (register >>> 1) ^ (polynomial & -(register & 1));
            }
        }
        return register;
    }
}
