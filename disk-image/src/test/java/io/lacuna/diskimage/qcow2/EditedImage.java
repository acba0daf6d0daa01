package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.DiskImage;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.NearbyLinks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;

/** A real image in memory, to change its fields in; all of them are big-endian. */
final class EditedImage {

    // The header. Source: QEMU docs/interop/qcow2, "Header".
    static final int MAGIC = 0;
    static final int VERSION = 4;
    static final int BACKING_NAME_OFFSET = 8; // u64
    static final int BACKING_NAME_LENGTH = 16;
    static final int CLUSTER_BITS = 20;
    static final int DISK_SIZE = 24; // u64
    static final int CRYPT_METHOD = 32;
    static final int L1_ENTRIES = 36;
    static final int L1_OFFSET = 40; // u64
    static final int REFCOUNT_TABLE_OFFSET = 48; // u64
    static final int REFCOUNT_TABLE_CLUSTERS = 56;
    static final int SNAPSHOT_COUNT = 60;
    static final int SNAPSHOTS_OFFSET = 64; // u64
    static final int INCOMPATIBLE = 72; // u64
    static final int AUTOCLEAR = 88; // u64
    static final int REFCOUNT_ORDER = 96;
    static final int HEADER_LENGTH = 100;
    static final int COMPRESSION_TYPE = 104; // u8

    // Types of header extensions, each followed by a u32 length.
    static final int BACKING_FORMAT = 0xE2792ACA;
    static final int FEATURE_NAMES = 0x6803F857;
    static final int BITMAPS = 0x23852875;
    static final int DATA_FILE_NAME = 0x44415441;
    static final int UNKNOWN_EXTENSION = 0x12345678;

    static final int CLUSTER = 65536;
    static final long COPIED = 1L << 63;
    static final long COMPRESSED = 1L << 62;

    private final Path path;
    private ByteBuffer bytes;

    EditedImage(Path path) throws IOException {
        this.path = path;
        this.bytes = ByteBuffer.wrap(Files.readAllBytes(path));
    }

    /** Opens what is there now. */
    DiskImage open() throws IOException {
        return Images.FORMAT.open(new MemoryHostFile(path, bytes.array().clone()),
                new NearbyLinks(path.getParent(), Images.FORMAT, false));
    }

    byte[] bytes() {
        return bytes.array().clone();
    }

    Path path() {
        return path;
    }

    int size() {
        return bytes.capacity();
    }

    EditedImage resize(int size) {
        bytes = ByteBuffer.wrap(Arrays.copyOf(bytes.array(), size));
        return this;
    }

    /** Adds clusters of zeros. @return where the first of them starts */
    int grow(int clusters) {
        int start = (size() + CLUSTER - 1) / CLUSTER * CLUSTER;
        resize(start + clusters * CLUSTER);
        return start;
    }

    long get64(long at) {
        return bytes.getLong((int) at);
    }

    int get32(long at) {
        return bytes.getInt((int) at);
    }

    EditedImage put64(long at, long value) {
        bytes.putLong((int) at, value);
        return this;
    }

    EditedImage put32(long at, int value) {
        bytes.putInt((int) at, value);
        return this;
    }

    EditedImage put16(long at, int value) {
        bytes.putShort((int) at, (short) value);
        return this;
    }

    EditedImage put(long at, byte... value) {
        bytes.put((int) at, value);
        return this;
    }

    /** Sets bits and leaves the others. */
    EditedImage set64(long at, long bits) {
        return put64(at, get64(at) | bits);
    }

    EditedImage clear64(long at, long bits) {
        return put64(at, get64(at) & ~bits);
    }

    /** @return where the active L1 table starts; its first entry is the only one in use */
    long l1() {
        return get64(L1_OFFSET);
    }

    /** @return where the first L2 table starts */
    long l2() {
        return get64(l1()) & L2Entry.OFFSET;
    }

    EditedImage putL1(long entry) {
        return put64(l1(), entry);
    }

    /** @param index in longs, of which an extended entry has two */
    EditedImage putL2(int index, long entry) {
        return put64(l2() + index * 8L, entry);
    }

    long refcountTable() {
        return get64(REFCOUNT_TABLE_OFFSET);
    }

    /** @return where the first entry of the snapshot table starts */
    long snapshot() {
        return get64(SNAPSHOTS_OFFSET);
    }

    /** @return where the extension of this type starts, type and length first */
    int extension(int type) {
        int at = get32(VERSION) == 2 ? 72 : get32(HEADER_LENGTH);
        while (get32(at) != type) { // Ends: past the last cluster no field can be read.
            at += 8 + (get32(at + 4) + 7 & -8);
        }
        return at;
    }

    /** @return where the bitmaps extension's own fields start */
    int bitmaps() {
        return extension(BITMAPS) + 8;
    }

    /** @return where the first entry of the bitmap directory starts */
    long bitmap() {
        return get64(bitmaps() + 16);
    }
}
