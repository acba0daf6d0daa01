package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * The header of a qcow2 image: 72 bytes (version 2) or at least 104 bytes (version 3) at byte 0, big-endian. Source: QEMU
 * {@code docs/interop/qcow2}, "Header".
 *
 * @param version 2 or 3
 * @param backingNameOffset byte of the backing file's name; 0 if there is none
 * @param backingNameLength bytes of that name
 * @param clusterBits a cluster has 2 to this power bytes, 9 to 21
 * @param virtualSize bytes of the guest's disk, whole sectors
 * @param l1Entries entries of the active L1 table
 * @param l1Offset byte of the active L1 table
 * @param refcountTableOffset byte of the refcount table
 * @param refcountTableClusters clusters of the refcount table
 * @param snapshotCount internal snapshots
 * @param snapshotsOffset byte of the snapshot table
 * @param incompatible the incompatible feature bits, all known
 * @param autoclear the auto-clear feature bits, known or not
 * @param refcountOrder a reference count has 2 to this power bits, 0 to 6
 * @param length bytes of the header, where the extensions start
 * @param zstd whether compressed clusters are zstd frames; deflate streams otherwise
 */
record Qcow2Header(int version, long backingNameOffset, int backingNameLength, int clusterBits, long virtualSize,
        int l1Entries, long l1Offset, long refcountTableOffset, int refcountTableClusters, int snapshotCount,
        long snapshotsOffset, long incompatible, long autoclear, int refcountOrder, int length, boolean zstd) {

    static final int MAGIC = 0x514649FB; // "QFI" 0xFB
    static final int AUTOCLEAR = 88; // u64: auto-clear feature bits
    static final long AUTOCLEAR_BITMAPS = 1;
    static final long AUTOCLEAR_RAW_DATA = 2;
    static final long AUTOCLEAR_KNOWN = AUTOCLEAR_BITMAPS | AUTOCLEAR_RAW_DATA;

    private static final int SIZE_V2 = 72;
    private static final int SIZE_V3 = 104;
    private static final int COMPRESSION_TYPE = 104; // u8, only if the header is longer than this

    private static final long DIRTY = 1;
    private static final long CORRUPT = 1 << 1;
    private static final long DATA_FILE = 1 << 2;
    private static final long COMPRESSION = 1 << 3;
    private static final long EXTENDED_L2 = 1 << 4;
    private static final long KNOWN = DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2;

    private static final int MIN_EXTENDED_L2_CLUSTER_BITS = 14;
    /** QEMU opens nothing larger. */
    private static final int MAX_CLUSTER_BITS = 21;
    /** QEMU's limit: an L1 table of 32 MiB. */
    static final int MAX_L1_ENTRIES = 32 << 20 >> 3;
    /** QEMU's limit: a refcount table of 8 MiB. */
    private static final int MAX_REFCOUNT_TABLE = 8 << 20;
    /** QEMU's limit. */
    private static final int MAX_SNAPSHOTS = 65536;
    private static final int MAX_BACKING_NAME = 1023;

    static Qcow2Header parse(BlockSource file) throws IOException {
        Bytes b = Bytes.read(file, "qcow2 header", 0, SIZE_V2, ByteOrder.BIG_ENDIAN);
        if (b.s32(0) != MAGIC) {
            throw b.corrupt("qcow2 header: magic", 0, "0x" + Integer.toHexString(MAGIC),
                    "0x" + Integer.toHexString(b.s32(0)));
        }
        long version = b.u32(4);
        if (version != 2 && version != 3) {
            throw b.unsupported("qcow2 header: version", 4, "2 or 3", version);
        }
        long incompatible = 0;
        long autoclear = 0;
        long refcountOrder = 4;
        long length = SIZE_V2;
        int compressionType = 0;
        if (version == 3) {
            b = Bytes.read(file, "qcow2 header", 0, SIZE_V3, ByteOrder.BIG_ENDIAN);
            incompatible = b.s64(72);
            autoclear = b.s64(AUTOCLEAR);
            refcountOrder = b.u32(96);
            length = b.u32(100);
            checkFeatures(b, incompatible);
        }
        int clusterBits = clusterBits(b, incompatible);
        if (b.u32(32) != 0) {
            throw new UnsupportedException("the image is encrypted (method " + b.u32(32) + "): its content cannot be read"
                    + " without the key, so nothing in it can be given back");
        }
        if (version == 3) {
            if (length < SIZE_V3 || length % 8 != 0 || length > 1L << clusterBits) {
                throw b.corrupt("qcow2 header: length", 100, "a multiple of 8 from 104 to one cluster", length);
            }
            if (refcountOrder > 6) {
                throw b.corrupt("qcow2 header: refcount order", 96, "0 to 6", refcountOrder);
            }
            compressionType = length > COMPRESSION_TYPE
                    ? Bytes.read(file, "qcow2 header", COMPRESSION_TYPE, 1, ByteOrder.BIG_ENDIAN).u8(0) : 0;
        }
        boolean zstd = zstd(compressionType, incompatible);
        Qcow2Header header = new Qcow2Header((int) version, b.u64(8), backingNameLength(b), clusterBits,
                b.u64(24) & -512, l1Entries(b), b.u64(40), b.u64(48), refcountTableClusters(b, clusterBits),
                snapshotCount(b), b.u64(64), incompatible, autoclear, (int) refcountOrder, (int) length, zstd);
        header.checkTables(b, file.size());
        return header;
    }

    private static void checkFeatures(Bytes b, long incompatible) throws IOException {
        if ((incompatible & ~KNOWN) != 0) {
            throw b.unsupported("qcow2 header: incompatible features", 72, "none but bits 0 to 4",
                    "0x" + Long.toHexString(incompatible & ~KNOWN));
        }
        if ((incompatible & CORRUPT) != 0) {
            throw new UnsafeException("the image is marked corrupt: repair it with 'qemu-img check -r all', and look at"
                    + " what it reports, before any space is given back");
        }
        if ((incompatible & DIRTY) != 0) {
            throw new UnsafeException("the image is marked dirty (lazy refcounts): its reference counts may be stale;"
                    + " repair it with 'qemu-img check -r all' first");
        }
    }

    private static int clusterBits(Bytes b, long incompatible) throws IOException {
        long bits = b.u32(20);
        if (bits > MAX_CLUSTER_BITS && bits < Long.SIZE) {
            throw b.unsupported("qcow2 header: cluster bits", 20, "9 to 21", bits);
        }
        int least = (incompatible & EXTENDED_L2) != 0 ? MIN_EXTENDED_L2_CLUSTER_BITS : 9;
        if (bits < least || bits > MAX_CLUSTER_BITS) {
            throw b.corrupt("qcow2 header: cluster bits", 20, least + " to 21", bits);
        }
        return (int) bits;
    }

    private static boolean zstd(int compressionType, long incompatible) throws IOException {
        if ((incompatible & COMPRESSION) != 0 != (compressionType != 0)) {
            throw new CorruptException("qcow2 header: compression type", COMPRESSION_TYPE,
                    "0 exactly if incompatible feature bit 3 is clear", compressionType);
        }
        if (compressionType > 1) {
            throw new UnsupportedException("qcow2 header: compression type", COMPRESSION_TYPE, "0 (zlib) or 1 (zstd)",
                    compressionType);
        }
        return compressionType == 1;
    }

    private static int backingNameLength(Bytes b) throws IOException {
        if (b.u64(8) == 0) {
            return 0; // The field has no meaning then.
        }
        long length = b.u32(16);
        if (length < 1 || length > MAX_BACKING_NAME) {
            throw b.corrupt("qcow2 header: length of the backing file's name", 16, "1 to 1023", length);
        }
        return (int) length;
    }

    private static int l1Entries(Bytes b) throws IOException {
        if (b.u32(36) > MAX_L1_ENTRIES) {
            throw b.unsupported("qcow2 header: L1 entries", 36, "at most " + MAX_L1_ENTRIES, b.u32(36));
        }
        return (int) b.u32(36);
    }

    private static int refcountTableClusters(Bytes b, int clusterBits) throws IOException {
        long clusters = b.u32(56);
        if (clusters < 1) {
            throw b.corrupt("qcow2 header: refcount table clusters", 56, "at least 1", clusters);
        }
        if (clusters > Math.max(1, MAX_REFCOUNT_TABLE >> clusterBits)) {
            throw b.unsupported("qcow2 header: refcount table clusters", 56,
                    "at most " + Math.max(1, MAX_REFCOUNT_TABLE >> clusterBits), clusters);
        }
        return (int) clusters;
    }

    private static int snapshotCount(Bytes b) throws IOException {
        if (b.u32(60) > MAX_SNAPSHOTS) {
            throw b.unsupported("qcow2 header: snapshots", 60, "at most " + MAX_SNAPSHOTS, b.u32(60));
        }
        return (int) b.u32(60);
    }

    /** Fields against each other and against the end of the file. */
    private void checkTables(Bytes b, long fileSize) throws IOException {
        long needed = (virtualSize + l2Span() - 1) >>> (clusterBits + l2EntryBits());
        if (virtualSize > Long.MAX_VALUE - l2Span() || l1Entries < needed) {
            throw b.corrupt("qcow2 header: L1 entries", 36, needed + " or more for " + virtualSize + " bytes", l1Entries);
        }
        if (backingNameOffset != 0 && backingNameOffset > clusterSize() - backingNameLength) {
            throw b.corrupt("qcow2 header: backing file's name", 8, "a place in the first cluster",
                    "0x" + Long.toHexString(backingNameOffset));
        }
        if (l1Entries > 0) {
            checkTable(b, "L1 table", 40, l1Offset, (long) l1Entries * Long.BYTES, fileSize);
        }
        checkTable(b, "refcount table", 48, refcountTableOffset, (long) refcountTableClusters << clusterBits, fileSize);
        if (snapshotCount > 0) {
            checkTable(b, "snapshot table", 64, snapshotsOffset, 40, fileSize);
            if (hasDataFile()) {
                throw b.corrupt("qcow2 header: snapshots", 60, "none beside an external data file", snapshotCount);
            }
        }
        if (rawDataFile() && !hasDataFile()) {
            throw b.corrupt("qcow2 header: auto-clear features", AUTOCLEAR, "bit 1 only with an external data file",
                    "0x" + Long.toHexString(autoclear));
        }
        if (rawDataFile() && backingNameOffset != 0) {
            throw b.corrupt("qcow2 header: backing file", 8, "none beside a raw data file", "a name");
        }
    }

    private void checkTable(Bytes b, String name, int at, long offset, long length, long fileSize) throws IOException {
        if (offset == 0 || (offset & clusterSize() - 1) != 0) {
            throw b.corrupt("qcow2 header: offset of the " + name, at, "a multiple of the cluster size, not 0",
                    "0x" + Long.toHexString(offset));
        }
        if (!insideFile(offset, length, fileSize)) {
            throw b.corrupt("qcow2 header: " + name, at, "an end within the file's 0x" + Long.toHexString(fileSize)
                    + " bytes", length + " bytes at 0x" + Long.toHexString(offset));
        }
    }

    /** @return whether a range lies in the file; its last cluster may be stored in part, as QEMU leaves it */
    boolean insideFile(long offset, long length, long fileSize) {
        return offset >= 0 && length >= 0 && offset < fileSize && length <= hostClusters(fileSize) * clusterSize() - offset;
    }

    /** @return clusters of a file of this size, a last one in part included */
    long hostClusters(long fileSize) {
        return (fileSize >>> clusterBits) + ((fileSize & clusterSize() - 1) != 0 ? 1 : 0);
    }

    long clusterSize() {
        return 1L << clusterBits;
    }

    boolean extendedL2() {
        return (incompatible & EXTENDED_L2) != 0;
    }

    boolean hasDataFile() {
        return (incompatible & DATA_FILE) != 0;
    }

    /** @return whether the data file is to make sense without this image, too */
    boolean rawDataFile() {
        return (autoclear & AUTOCLEAR_RAW_DATA) != 0;
    }

    /** @return longs of an L2 entry, 1 or 2 */
    int l2EntryLongs() {
        return extendedL2() ? 2 : 1;
    }

    /** @return an L2 table has 2 to this power entries */
    int l2EntryBits() {
        return clusterBits - (extendedL2() ? 4 : 3);
    }

    /** @return guest bytes that one L2 table maps */
    long l2Span() {
        return 1L << (clusterBits + l2EntryBits());
    }
}
