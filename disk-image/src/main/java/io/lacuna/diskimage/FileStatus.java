package io.lacuna.diskimage;

import io.lacuna.blockio.FileIdentity;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * What statx(2) tells of a file: 256 bytes, host byte order, the same layout on every architecture
 * ({@code linux/stat.h}).
 *
 * @param mode type and permissions
 * @param device number of the device its file system is on, major in the upper, minor in the lower 32 bits
 * @param represents for a device node the device it stands for, in the same form
 * @param size bytes; 0 for a block device
 * @param storedBytes bytes of storage the file system spends on it
 * @param modifiedNanos mtime since 1970
 * @param changedNanos ctime since 1970
 * @param mount number of the mount it was found through, never given twice; 0 from kernels before 6.8
 */
record FileStatus(int mode, long device, long inode, long represents, long size, long storedBytes, long modifiedNanos,
        long changedNanos, long mount) {

    /** STATX_BASIC_STATS and STATX_MNT_ID_UNIQUE. */
    private static final int WANTED = 0x7FF | 0x4000;
    private static final int MOUNT_KNOWN = 0x4000;
    private static final byte[] NO_NAME = {0};

    /** @return the status of an open file; null on failure, with the reason in errno */
    static FileStatus of(int descriptor) {
        return call(descriptor, NO_NAME, LinuxHost.AT_EMPTY_PATH);
    }

    /**
     * @return the status of what a path leads to, through symbolic links, good for telling which file it is; null on failure,
     *     with the reason in errno
     */
    static FileStatus of(byte[] path) {
        // What is asked for never changes, so no server needs to be waited for.
        return call(LinuxHost.AT_FDCWD, path, LinuxHost.AT_STATX_DONT_SYNC);
    }

    private static FileStatus call(int directory, byte[] path, int flags) {
        byte[] raw = new byte[256];
        if (LinuxHost.statx(directory, path, flags, WANTED, raw) != 0) {
            return null;
        }
        ByteBuffer status = ByteBuffer.wrap(raw).order(ByteOrder.nativeOrder());
        return new FileStatus(status.getShort(28) & 0xFFFF, number(status, 136), status.getLong(32), number(status, 128),
                status.getLong(40), status.getLong(48) * 512, nanos(status, 112), nanos(status, 96),
                (status.getInt(0) & MOUNT_KNOWN) == 0 ? 0 : status.getLong(144));
    }

    private static long number(ByteBuffer status, int at) {
        return (long) status.getInt(at) << 32 | status.getInt(at + 4) & 0xFFFF_FFFFL;
    }

    private static long nanos(ByteBuffer status, int at) {
        return status.getLong(at) * 1_000_000_000L + status.getInt(at + 8);
    }

    boolean isRegularFile() {
        return type() == 0x8000;
    }

    boolean isBlockDevice() {
        return type() == 0x6000;
    }

    /** @return what kind of file this is, in words */
    String kind() {
        return switch (type()) {
            case 0x1000 -> "a FIFO (named pipe)";
            case 0x2000 -> "a character device";
            case 0x4000 -> "a directory";
            case 0x6000 -> "a block device";
            case 0x8000 -> "a regular file";
            case 0xC000 -> "a socket";
            default -> "a file of an unknown kind";
        };
    }

    private int type() {
        return mode & 0xF000;
    }

    boolean isSameFileAs(FileStatus other) {
        return isBlockDevice() && other.isBlockDevice() ? represents == other.represents
                : device == other.device && inode == other.inode;
    }

    /** @return "major:minor" of the device that this node stands for, as sysfs names it */
    String deviceNumber() {
        return (represents >>> 32) + ":" + (represents & 0xFFFF_FFFFL);
    }

    /** @param bytes size of the file or device */
    FileIdentity identity(long bytes) {
        return new FileIdentity(device, inode, bytes, modifiedNanos, changedNanos, isBlockDevice());
    }
}
