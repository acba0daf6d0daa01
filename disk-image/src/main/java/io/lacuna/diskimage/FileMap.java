package io.lacuna.diskimage;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostMap;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * What the host stores of a file: by FIEMAP, else by SEEK_DATA and SEEK_HOLE, else everything. Data that the host has yet to
 * place (delayed allocation) counts as stored, which it is about to be, as far as the file system tells of it.
 */
final class FileMap {

    /** struct fiemap (linux/fiemap.h): start, length, flags, mapped, capacity, reserved; then the extents. Host byte order. */
    private static final int HEADER = 32;
    private static final int EXTENT = 56;
    private static final int CAPACITY = (CopyBuffers.SIZE - HEADER) / EXTENT;
    private static final int FIEMAP_EXTENT_LAST = 1;
    private static final int FIEMAP_EXTENT_SHARED = 0x2000;

    private FileMap() {
    }

    static HostMap read(NativeFile file) throws IOException {
        if (file.isBlockDevice()) {
            return everything(file);
        }
        ByteBuffer buffer = CopyBuffers.take();
        try {
            HostMap map = fiemap(file, buffer.order(ByteOrder.nativeOrder()));
            return map != null ? map : seek(file);
        } finally {
            CopyBuffers.giveBack(buffer);
        }
    }

    private static HostMap everything(NativeFile file) {
        return new HostMap(ExtentSet.ofRange(0, file.size()), ExtentSet.EMPTY, false);
    }

    /** @return null if the file system does not know the call */
    private static HostMap fiemap(NativeFile file, ByteBuffer buffer) throws IOException {
        ExtentSet.Builder allocated = ExtentSet.builder();
        ExtentSet.Builder shared = ExtentSet.builder();
        long start = 0;
        while (true) {
            buffer.clear();
            buffer.putLong(0, start).putLong(8, Long.MAX_VALUE - start).putInt(16, 0).putInt(20, 0).putInt(24, CAPACITY)
                    .putInt(28, 0);
            if (LinuxHost.ioctl(file.number(), LinuxHost.FS_IOC_FIEMAP, LinuxHost.address(buffer)) != 0) {
                switch (Errno.last()) {
                    case EINTR -> {
                        continue;
                    }
                    case EOPNOTSUPP, ENOTTY, ENOSYS, EINVAL -> {
                        return null;
                    }
                    default -> throw Errno.failure(file.path(), "ioctl FS_IOC_FIEMAP");
                }
            }
            int count = Math.min(buffer.getInt(20), CAPACITY);
            for (int i = 0; i < count; i++) {
                int at = HEADER + i * EXTENT;
                long logical = buffer.getLong(at);
                long length = buffer.getLong(at + 16);
                int flags = buffer.getInt(at + 40);
                if (logical < 0 || length <= 0 || logical > Long.MAX_VALUE - length || logical + length <= start) {
                    throw new IOException(file.path() + ": the file system's map makes no sense: " + length + " bytes at "
                            + logical);
                }
                allocated.add(logical, length);
                if ((flags & FIEMAP_EXTENT_SHARED) != 0) {
                    shared.add(logical, length);
                }
                start = logical + length;
                if ((flags & FIEMAP_EXTENT_LAST) != 0) {
                    return new HostMap(allocated.build(), shared.build(), true);
                }
            }
            if (count == 0) {
                return new HostMap(allocated.build(), shared.build(), true);
            }
        }
    }

    private static HostMap seek(NativeFile file) throws IOException {
        long size = file.size();
        ExtentSet.Builder allocated = ExtentSet.builder();
        long position = 0;
        while (position < size) {
            long data = LinuxHost.lseek(file.number(), position, LinuxHost.SEEK_DATA);
            if (data < 0 && Errno.last() == Errno.ENXIO) {
                break;
            }
            long hole = data < 0 ? -1 : LinuxHost.lseek(file.number(), data, LinuxHost.SEEK_HOLE);
            if (data < position || hole <= data) {
                return everything(file);
            }
            allocated.add(data, hole - data);
            position = hole;
        }
        ExtentSet found = allocated.build();
        // A file system without a notion of holes calls all of it data, sparse or not.
        boolean exact = !found.equals(ExtentSet.ofRange(0, size)) || file.hostBytes() >= size;
        return new HostMap(found, ExtentSet.EMPTY, exact);
    }
}
