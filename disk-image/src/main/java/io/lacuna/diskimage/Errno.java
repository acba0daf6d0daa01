package io.lacuna.diskimage;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Why a system call failed ({@code asm-generic/errno.h}, the same on every architecture that runs Java but MIPS). */
enum Errno {
    EPERM(1, "the system does not permit it"),
    ENOENT(2, "there is no such file"),
    EINTR(4, "interrupted"),
    EIO(5, "the storage reported an error"),
    ENXIO(6, "there is no such device or address"),
    EBADF(9, "bad descriptor"),
    EAGAIN(11, "in use at the moment"),
    ENOMEM(12, "out of memory"),
    EACCES(13, "permission denied"),
    EBUSY(16, "in use"),
    EEXIST(17, "exists already"),
    ENODEV(19, "there is no such device"),
    ENOTDIR(20, "a part of the path is no directory"),
    EISDIR(21, "it is a directory"),
    EINVAL(22, "the system does not take these arguments here"),
    EMFILE(24, "this process has too many files open"),
    ENFILE(23, "the system has too many files open"),
    ENOTTY(25, "the call does not apply to this kind of file"),
    ETXTBSY(26, "it is being executed or used for swap"),
    EFBIG(27, "too large a file"),
    ENOSPC(28, "no space left on the file system"),
    EROFS(30, "the file system is mounted read-only"),
    ENAMETOOLONG(36, "the name is too long"),
    ENOLCK(37, "no locks to be had"),
    ENOSYS(38, "the kernel lacks the call"),
    ELOOP(40, "too many symbolic links"),
    EOPNOTSUPP(95, "the file system or device does not support it"),
    ESTALE(116, "the file vanished on the server"),
    EDQUOT(122, "the disk quota is used up"),
    ENOMEDIUM(123, "there is no medium in the drive"),
    OTHER(-1, "unknown error");

    private final int number;
    private final String text;

    Errno(int number, String text) {
        this.number = number;
        this.text = text;
    }

    /** @return why this thread's last call failed */
    static Errno last() {
        int number = LinuxHost.lastErrno();
        for (Errno errno : values()) {
            if (errno.number == number) {
                return errno;
            }
        }
        return OTHER;
    }

    String text() {
        return text;
    }

    /** @return the exception for this thread's last call, to be thrown */
    static IOException failure(Path path, String call) {
        Errno errno = last();
        return errno == OTHER
                ? new FileSystemException(path.toString(), null, call + ": error number " + LinuxHost.lastErrno())
                : errno.in(path, call);
    }

    /** @return whether this error is the reason of an exception that {@link #in} made */
    boolean isReasonOf(FileSystemException failure) {
        return failure.getReason() != null && failure.getReason().contains(": " + name() + ", ");
    }

    /** @return the exception for this error, to be thrown */
    IOException in(Path path, String call) {
        String reason = call + ": " + name() + ", " + text;
        return switch (this) {
            case ENOENT -> new NoSuchFileException(path.toString(), null, reason);
            case EACCES -> new AccessDeniedException(path.toString(), null, reason);
            default -> new FileSystemException(path.toString(), null, reason);
        };
    }
}
