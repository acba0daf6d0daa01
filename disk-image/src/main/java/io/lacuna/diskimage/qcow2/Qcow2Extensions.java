package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What follows the header in the first cluster: typed fields of 8 bytes and more, big-endian, padded to 8, up to one of
 * type 0. Source: QEMU {@code docs/interop/qcow2}, "Header extensions".
 *
 * @param backingFormat format of the backing file; null if not recorded
 * @param dataFileName name of the external data file; null if not recorded
 * @param bitmapCount persistent bitmaps; 0 without the extension
 * @param bitmapDirectoryOffset byte of the bitmap directory
 * @param bitmapDirectorySize bytes of the bitmap directory
 * @param staleBitmaps whether there are bitmaps that a program without support for them has made worthless
 * @param unknown types that Lacuna does not know; their owner may own clusters
 */
record Qcow2Extensions(String backingFormat, String dataFileName, int bitmapCount, long bitmapDirectoryOffset,
        long bitmapDirectorySize, boolean staleBitmaps, List<String> unknown) {

    private static final int BACKING_FORMAT = 0xE2792ACA;
    private static final int FEATURE_NAMES = 0x6803F857;
    private static final int BITMAPS = 0x23852875;
    private static final int DATA_FILE_NAME = 0x44415441;
    private static final int BITMAPS_SIZE = 24;
    /** QEMU's limit. */
    private static final int MAX_BITMAPS = 65535;
    /** QEMU's limit: as many of the largest entries as there may be bitmaps. */
    private static final long MAX_BITMAP_DIRECTORY = 1L * MAX_BITMAPS * (24 + 1023 + 1);
    private static final int MAX_NAME = 1023;
    /** Ours: more than that is remembered of no image. */
    private static final int MAX_UNKNOWN = 16;

    static Qcow2Extensions parse(BlockSource file, Qcow2Header header) throws IOException {
        long end = Math.min(file.size(), header.backingNameOffset() != 0 ? header.backingNameOffset()
                : header.clusterSize());
        String backingFormat = null;
        String dataFileName = null;
        Bytes bitmaps = null;
        List<String> unknown = new ArrayList<>();
        long position = header.length();
        while (position <= end - 8) { // Ends: every extension moves on by 8 or more.
            Bytes head = Bytes.read(file, "header extension", position, 8, ByteOrder.BIG_ENDIAN);
            int type = head.s32(0);
            long length = head.u32(4);
            if (type == 0) {
                break;
            }
            position += 8;
            if (length > end - position) {
                throw head.corrupt("header extension 0x" + Integer.toHexString(type) + ": length", 4,
                        "at most " + (end - position), length);
            }
            switch (type) {
                case BACKING_FORMAT -> backingFormat = text(file, "backing file format", position, length, backingFormat);
                case DATA_FILE_NAME -> dataFileName = text(file, "data file name", position, length, dataFileName);
                case BITMAPS -> {
                    if (bitmaps != null || length != BITMAPS_SIZE) {
                        throw head.corrupt("bitmaps extension: length", 4, BITMAPS_SIZE + ", and one of them", length);
                    }
                    bitmaps = Bytes.read(file, "bitmaps extension", position, BITMAPS_SIZE, ByteOrder.BIG_ENDIAN);
                }
                case FEATURE_NAMES -> { }
                default -> {
                    if (unknown.size() < MAX_UNKNOWN) {
                        unknown.add("0x" + Integer.toHexString(type));
                    }
                }
            }
            position += (length + 7) & -8;
        }
        boolean consistent = (header.autoclear() & Qcow2Header.AUTOCLEAR_BITMAPS) != 0;
        if (bitmaps == null && consistent) {
            throw new CorruptException("qcow2 header: auto-clear features", Qcow2Header.AUTOCLEAR,
                    "bit 0 only with a bitmaps extension", "0x" + Long.toHexString(header.autoclear()));
        }
        if (!consistent) { // The format calls the bitmaps inconsistent then; nobody follows them.
            return new Qcow2Extensions(backingFormat, dataFileName, 0, 0, 0, bitmaps != null, List.copyOf(unknown));
        }
        checkBitmaps(bitmaps, header, file.size());
        return new Qcow2Extensions(backingFormat, dataFileName, (int) bitmaps.u32(0), bitmaps.u64(16), bitmaps.u64(8),
                false, List.copyOf(unknown));
    }

    private static String text(BlockSource file, String what, long position, long length, String before)
            throws IOException {
        if (before != null || length < 1 || length > MAX_NAME) {
            throw new CorruptException("header extension: " + what, position - 8, "one of 1 to " + MAX_NAME + " bytes",
                    before != null ? "a second one" : length + " bytes");
        }
        Bytes bytes = Bytes.read(file, what, position, (int) length, ByteOrder.BIG_ENDIAN);
        return new String(bytes.copy(0, (int) length), StandardCharsets.UTF_8);
    }

    private static void checkBitmaps(Bytes b, Qcow2Header header, long fileSize) throws IOException {
        if (b.u32(0) < 1 || b.u32(0) > MAX_BITMAPS) {
            throw b.corrupt("bitmaps extension: count", 0, "1 to " + MAX_BITMAPS, b.u32(0));
        }
        long offset = b.u64(16);
        long size = b.u64(8);
        if (size > MAX_BITMAP_DIRECTORY || offset == 0 || (offset & header.clusterSize() - 1) != 0
                || !header.insideFile(offset, size, fileSize)) {
            throw b.corrupt("bitmaps extension: directory", 8, "whole clusters inside the file",
                    size + " bytes at 0x" + Long.toHexString(offset));
        }
    }

    boolean hasBitmaps() {
        return bitmapCount > 0;
    }
}
