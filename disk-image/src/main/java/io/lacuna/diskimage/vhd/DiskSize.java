package io.lacuna.diskimage.vhd;

import java.util.Optional;
import java.util.Set;

/**
 * How large the disk is: its footer tells in two ways, by bytes and by geometry, and programs differ in which one they believe.
 * QEMU takes the geometry unless it is the largest there is, or the disk is from one of a few makers; Virtual PC does, too. All
 * others go by the bytes.
 *
 * @param bytes of the disk, whole sectors
 * @param largest bytes that any program would give it: what lies between may be live for another one
 * @param isComplete false if the file has fewer bytes than the disk, which are {@link #bytes} then
 * @param remark what to say of it, a sentence; null if nothing
 */
record DiskSize(long bytes, long largest, boolean isComplete, String remark) {

    private static final int SECTOR = 512;
    /** These makers' geometries are never believed. */
    private static final Set<String> BY_BYTES = Set.of("win ", "qem2", "d2v ", "tap\0", "CTXS", "wa\0\0");
    /** These go by the geometry themselves. */
    private static final Set<String> BY_GEOMETRY = Set.of("vpc ", "qemu");
    /** The largest geometry: the disk is that large, or larger. */
    private static final long MAX_GEOMETRY = 65535L * 16 * 255 * SECTOR;

    /** @param capacity bytes that the file could hold at most */
    static DiskSize of(VhdFooter footer, long capacity) {
        long room = capacity - capacity % SECTOR;
        long bytes = footer.currentSize() - footer.currentSize() % SECTOR;
        long geometry = footer.geometrySize();
        if (BY_BYTES.contains(footer.creator()) || geometry >= MAX_GEOMETRY || geometry == 0 || geometry == bytes) {
            return within(room, bytes, bytes, null);
        }
        long size = BY_GEOMETRY.contains(footer.creator()) ? geometry : Math.max(geometry, bytes);
        if (size > room) {
            size = Math.min(geometry, bytes);
        }
        String remark = "The VHD's footer gives two sizes: " + bytes + " bytes, and " + geometry + " by its geometry, which QEMU "
                + "goes by. It is read as " + Math.min(size, room) + " bytes.";
        return within(room, size, Math.max(geometry, bytes), remark);
    }

    private static DiskSize within(long room, long size, long largest, String remark) {
        return new DiskSize(Math.min(size, room), Math.max(largest, Math.min(size, room)), size <= room, remark);
    }

    Optional<String> remarks() {
        return Optional.ofNullable(remark);
    }
}
