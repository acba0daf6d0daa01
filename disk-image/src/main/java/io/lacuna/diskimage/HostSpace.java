package io.lacuna.diskimage;

import java.io.IOException;
import java.nio.file.Path;

/** Space of the host's file systems, for files of our own. */
public final class HostSpace {

    private HostSpace() {
    }

    /**
     * Gives a regular file storage up to a length, so that writing there cannot fail for a lack of room; it becomes that long, and
     * what is new of it reads as zeros. Does nothing where the file system cannot.
     *
     * @throws IOException if there is no room
     */
    public static void reserve(Path file, long length) throws IOException {
        LinuxHost.require();
        int number = Descriptor.retrying(() -> LinuxHost.open(LinuxHost.bytes(file), LinuxHost.O_RDWR | LinuxHost.O_CLOEXEC, 0));
        if (number < 0) {
            throw Errno.failure(file, "open");
        }
        try {
            if (Descriptor.retrying(() -> LinuxHost.fallocate(number, 0, 0, length)) != 0
                    && Errno.last() != Errno.EOPNOTSUPP && Errno.last() != Errno.ENOSYS) {
                throw Errno.failure(file, "fallocate");
            }
        } finally {
            LinuxHost.close(number);
        }
    }
}
