package io.lacuna.diskimage;

import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.file.Path;

/**
 * The one descriptor through which an image is read and written, found in two steps: first the place only (O_PATH), which
 * touches neither a device nor a FIFO behind it; then, once it is known to be something that can hold an image, the bytes
 * of that very file. A name that is bent to another file in between changes nothing.
 *
 * @param number the descriptor
 * @param status of the open file
 * @param realPath where it is, all symbolic links followed
 * @param size bytes of the file or device
 * @param writers whether somebody else had it open for writing just before we had; asked only where we do
 */
record Descriptor(int number, FileStatus status, Path realPath, long size, Lease writers) {

    /** What an opened file is for. */
    enum Purpose {
        /** Look at it, beside anybody. */
        READ,
        /** Read it while nothing else may change it: a block device must not be mounted or held. */
        READ_STABLE,
        /** Read and write, alone. */
        WRITE
    }

    /** Says whether a file may be opened at all. */
    interface Gate {
        Gate OPEN = (realPath, status) -> { };

        /** @throws IOException if not */
        void pass(Path realPath, FileStatus status) throws IOException;
    }

    static Descriptor open(Path path, Purpose purpose, Gate gate) throws IOException {
        LinuxHost.require();
        int place = retrying(() -> LinuxHost.open(LinuxHost.bytes(path), LinuxHost.O_PATH | LinuxHost.O_CLOEXEC, 0));
        if (place < 0) {
            throw Errno.failure(path, "open");
        }
        try {
            FileStatus status = status(path, place);
            if (!status.isRegularFile() && !status.isBlockDevice()) {
                throw new UnsupportedException("this is " + status.kind()
                        + "; a disk image is a regular file or a block device").in(path);
            }
            Path realPath = realPath(path, place);
            gate.pass(realPath, status);
            return reopen(path, realPath, place, status, purpose);
        } finally {
            LinuxHost.close(place);
        }
    }

    private static Descriptor reopen(Path path, Path realPath, int place, FileStatus expected, Purpose purpose)
            throws IOException {
        boolean exclusive = purpose != Purpose.READ && expected.isBlockDevice();
        int flags = LinuxHost.O_CLOEXEC | (exclusive ? LinuxHost.O_EXCL : 0)
                | (purpose == Purpose.WRITE ? LinuxHost.O_RDWR : LinuxHost.O_RDONLY);
        Lease writers = purpose == Purpose.WRITE && expected.isRegularFile() ? askForWriters(path, place) : Lease.UNKNOWN;
        int number = openAgain(place, flags);
        if (number < 0) {
            if (Errno.last() == Errno.EBUSY && exclusive) {
                throw new UnsafeException("the device is mounted or held: " + BlockDevice.usersOf(expected)
                        + "; unmount or detach it first").in(path);
            }
            if (Errno.last() == Errno.ETXTBSY) {
                throw new UnsafeException("the host uses this file for swap or runs it; it cannot be changed now").in(path);
            }
            throw Errno.failure(path, "open");
        }
        boolean usable = false;
        try {
            FileStatus status = status(path, number);
            if (!status.isSameFileAs(expected) || status.isBlockDevice() != expected.isBlockDevice()) {
                throw new IOException(path + ": another file took its place while it was opened; run again");
            }
            long size = status.isBlockDevice() ? BlockDevice.size(path, number) : status.size();
            usable = true;
            return new Descriptor(number, status, realPath, size, writers);
        } finally {
            if (!usable) {
                LinuxHost.close(number);
            }
        }
    }

    /** @return a descriptor of the file at this place; below 0 on failure, with the reason in errno */
    private static int openAgain(int place, int flags) {
        byte[] sameFile = LinuxHost.bytes("/proc/self/fd/" + place);
        int number = retrying(() -> LinuxHost.open(sameFile, flags | LinuxHost.O_NOATIME, 0));
        // Only the owner may leave the access time alone.
        return number < 0 && Errno.last() == Errno.EPERM ? retrying(() -> LinuxHost.open(sameFile, flags, 0)) : number;
    }

    /** Through a descriptor of its own that only reads: beside one that writes the kernel cannot tell writers from readers. */
    private static Lease askForWriters(Path path, int place) throws IOException {
        int reader = openAgain(place, LinuxHost.O_CLOEXEC | LinuxHost.O_RDONLY);
        if (reader < 0) {
            return Lease.UNKNOWN;
        }
        try {
            return Lease.ask(path, reader, false);
        } finally {
            LinuxHost.close(reader);
        }
    }

    static FileStatus status(Path path, int descriptor) throws IOException {
        FileStatus status = FileStatus.of(descriptor);
        if (status == null) {
            throw Errno.failure(path, "statx");
        }
        return status;
    }

    private static Path realPath(Path path, int descriptor) throws IOException {
        byte[] target = LinuxHost.linkTarget(LinuxHost.bytes("/proc/self/fd/" + descriptor));
        if (target == null) {
            throw new IOException(path + ": /proc is needed to see which file this is, and is not mounted here");
        }
        return LinuxHost.path(target, target.length);
    }

    /** A system call that a signal may interrupt. */
    interface Call {
        int run();
    }

    static int retrying(Call call) {
        int result;
        do {
            result = call.run();
        } while (result < 0 && Errno.last() == Errno.EINTR);
        return result;
    }
}
