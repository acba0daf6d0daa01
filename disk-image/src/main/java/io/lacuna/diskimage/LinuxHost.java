package io.lacuna.diskimage;

import com.sun.jna.Function;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * The system calls of 64-bit Linux, and nothing else: the only class that knows JNA. Numbers are from the kernel's headers
 * ({@code asm-generic/fcntl.h}, {@code linux/falloc.h}, {@code linux/fs.h}, {@code linux/fiemap.h}); where an architecture
 * has its own, it says so.
 *
 * <p>C's {@code long}, {@code size_t} and {@code off_t} are Java's {@code long}. A call returns what C returns; after a
 * failure {@link Errno#last()} has the reason.
 */
final class LinuxHost {

    static final int AT_FDCWD = -100;
    static final int AT_EMPTY_PATH = 0x1000;

    static final int AT_STATX_DONT_SYNC = 0x4000;

    static final int O_RDONLY = 0;
    static final int O_RDWR = 2;
    static final int O_CREAT = 0x40;
    static final int O_EXCL = 0x80;
    static final int O_NOATIME = 0x4_0000;
    static final int O_CLOEXEC = 0x8_0000;
    static final int O_PATH = 0x20_0000;
    /** A file without a name in a directory. Holds O_DIRECTORY, which ARM and POWER number differently. */
    static final int O_TMPFILE = 0x40_0000 | (hasOwnDirectoryFlag() ? 0x4000 : 0x1_0000);

    static final int FALLOC_FL_KEEP_SIZE = 1;
    static final int FALLOC_FL_PUNCH_HOLE = 2;

    static final int F_SETSIG = 10;
    static final int F_OFD_GETLK = 36;
    static final int F_OFD_SETLK = 37;
    static final int F_SETLEASE = 1024;
    static final short F_RDLCK = 0;
    static final short F_WRLCK = 1;
    static final short F_UNLCK = 2;
    /** A signal that does nothing by default. */
    static final int SIGURG = 23;

    static final long BLKSSZGET = 0x1268;
    static final long BLKDISCARD = 0x1277;
    static final long BLKGETSIZE64 = 0x8008_1272L;
    static final long FS_IOC_FIEMAP = 0xC020_660BL;

    /** As nanoseconds: leave this time as it is. */
    static final long UTIME_OMIT = (1 << 30) - 2;

    static final int SEEK_DATA = 3;
    static final int SEEK_HOLE = 4;
    static final int POSIX_FADV_WILLNEED = 3;
    static final int SYNC_FILE_RANGE_WRITE = 2;
    static final int POSIX_FADV_DONTNEED = 4;

    private static final NativeLibrary C = NativeLibrary.getProcess();

    private static final Function OPEN = C.getFunction("open");
    private static final Function CLOSE = C.getFunction("close");
    private static final Function PREAD = C.getFunction("pread");
    private static final Function FTRUNCATE = C.getFunction("ftruncate");
    private static final Function FSYNC = C.getFunction("fsync");
    private static final Function FUTIMENS = C.getFunction("futimens");
    private static final Function SYNCFS = C.getFunction("syncfs");
    private static final Function POSIX_FADVISE = C.getFunction("posix_fadvise");
    private static final Function SYNC_FILE_RANGE = C.getFunction("sync_file_range");
    private static final Function FCNTL = C.getFunction("fcntl");
    private static final Function IOCTL = C.getFunction("ioctl");
    private static final Function STATX = C.getFunction("statx");
    private static final Function FSTATFS = C.getFunction("fstatfs");
    private static final Function READLINK = C.getFunction("readlink");
    private static final Function UNLINK = C.getFunction("unlink");

    private static volatile boolean frequentAreBound;

    private LinuxHost() {
    }

    /**
     * Calls that a run makes by the thousand. A call costs a quarter of one through {@link Function}, but JNA takes ten
     * milliseconds to bind the first, which the start of a run should not have to wait for.
     */
    private static final class Frequent {

        static {
            Native.register(Frequent.class, C);
            frequentAreBound = true;
        }

        private Frequent() {
        }

        static void bind() {
        }

        static native long pread(int descriptor, long address, long count, long offset);

        static native long pwrite(int descriptor, long address, long count, long offset);

        static native int fallocate(int descriptor, int mode, long offset, long length);

        static native long lseek(int descriptor, long offset, int whence);
    }

    /** Does nothing, but has the calls bound to the C library. */
    static void load() {
        Frequent.bind();
    }

    static int open(byte[] path, int flags, int mode) {
        return OPEN.invokeInt(new Object[] {path, flags, mode});
    }

    static int close(int descriptor) {
        return CLOSE.invokeInt(new Object[] {descriptor});
    }

    static long pread(int descriptor, long address, long count, long offset) {
        return frequentAreBound ? Frequent.pread(descriptor, address, count, offset)
                : asLong(PREAD, descriptor, address, count, offset);
    }

    static long pwrite(int descriptor, long address, long count, long offset) {
        return Frequent.pwrite(descriptor, address, count, offset);
    }

    static int fallocate(int descriptor, int mode, long offset, long length) {
        return Frequent.fallocate(descriptor, mode, offset, length);
    }

    static int ftruncate(int descriptor, long length) {
        return FTRUNCATE.invokeInt(new Object[] {descriptor, length});
    }

    static int fsync(int descriptor) {
        return FSYNC.invokeInt(new Object[] {descriptor});
    }

    /** @param times two of seconds and nanoseconds: last access, last modification */
    static int futimens(int descriptor, byte[] times) {
        return FUTIMENS.invokeInt(new Object[] {descriptor, times});
    }

    static int syncfs(int descriptor) {
        return SYNCFS.invokeInt(new Object[] {descriptor});
    }

    static int posix_fadvise(int descriptor, long offset, long length, int advice) {
        return POSIX_FADVISE.invokeInt(new Object[] {descriptor, offset, length, advice});
    }

    /** @param length bytes; 0 for all up to the end */
    static int sync_file_range(int descriptor, long offset, long length, int flags) {
        return SYNC_FILE_RANGE.invokeInt(new Object[] {descriptor, offset, length, flags});
    }

    static long lseek(int descriptor, long offset, int whence) {
        return Frequent.lseek(descriptor, offset, whence);
    }

    static int fcntl(int descriptor, int command, byte[] lock) {
        return FCNTL.invokeInt(new Object[] {descriptor, command, lock});
    }

    static int fcntl(int descriptor, int command, long argument) {
        return FCNTL.invokeInt(new Object[] {descriptor, command, argument});
    }

    static int ioctl(int descriptor, long request, byte[] argument) {
        return IOCTL.invokeInt(new Object[] {descriptor, request, argument});
    }

    static int ioctl(int descriptor, long request, long address) {
        return IOCTL.invokeInt(new Object[] {descriptor, request, address});
    }

    static int statx(int directory, byte[] path, int flags, int mask, byte[] status) {
        return STATX.invokeInt(new Object[] {directory, path, flags, mask, status});
    }

    static int fstatfs(int descriptor, byte[] status) {
        return FSTATFS.invokeInt(new Object[] {descriptor, status});
    }

    static long readlink(byte[] path, byte[] target, long capacity) {
        return asLong(READLINK, path, target, capacity);
    }

    static int unlink(byte[] path) {
        return UNLINK.invokeInt(new Object[] {path});
    }

    private static long asLong(Function function, Object... arguments) {
        return (Long) function.invoke(Long.class, arguments);
    }

    /** Loads the native library. @throws IOException if this system has none for us */
    static void require() throws IOException {
        if (!System.getProperty("os.name").equals("Linux")) {
            throw new UnsupportedException("Lacuna gives space back on Linux only; this is " + System.getProperty("os.name"));
        }
        try {
            Errno.last();
        } catch (LinkageError e) {
            throw new IOException("the native library for system calls could not be loaded (" + e.getMessage()
                    + "); it is unpacked into -Djna.tmpdir=DIR, which must be writable and not mounted noexec", e);
        }
    }

    static int lastErrno() {
        return Native.getLastError();
    }

    /** @return the address of the byte at a direct buffer's position */
    static long address(ByteBuffer direct) {
        return Pointer.nativeValue(Native.getDirectBufferPointer(direct)) + direct.position();
    }

    /** @return the path's own bytes, whatever the locale, and a 0 behind them */
    static byte[] bytes(Path path) {
        String text = path.toString();
        if (text.chars().allMatch(c -> c < 0x80)) {
            return bytes(text);
        }
        // The only way in the JDK to the bytes of a name that the locale cannot say. It ends a directory with a slash.
        String encoded = URI.create(path.toUri().toString()).getRawPath();
        byte[] decoded = new byte[encoded.length() + 1];
        int length = 0;
        for (int i = 0; i < encoded.length(); i++) {
            char c = encoded.charAt(i);
            if (c == '%') {
                decoded[length++] = (byte) Integer.parseInt(encoded.substring(i + 1, i + 3), 16);
                i += 2;
            } else {
                decoded[length++] = (byte) c;
            }
        }
        return Arrays.copyOf(decoded, length + 1);
    }

    /** @return the characters as UTF-8 and a 0 behind them */
    static byte[] bytes(String path) {
        byte[] text = path.getBytes(StandardCharsets.UTF_8);
        return Arrays.copyOf(text, text.length + 1);
    }

    /** @return the absolute path with these bytes, whatever the locale */
    static Path path(byte[] bytes, int length) {
        boolean plain = true;
        for (int i = 0; i < length; i++) {
            plain &= bytes[i] > 0;
        }
        if (plain) {
            return Path.of(new String(bytes, 0, length, StandardCharsets.US_ASCII));
        }
        StringBuilder encoded = new StringBuilder("file://");
        for (int i = 0; i < length; i++) {
            if (bytes[i] == '/') {
                encoded.append('/');
            } else {
                encoded.append('%').append(Character.forDigit(bytes[i] >> 4 & 0xF, 16))
                        .append(Character.forDigit(bytes[i] & 0xF, 16));
            }
        }
        return Path.of(URI.create(encoded.toString()));
    }

    /** @return what a symbolic link says, byte by byte; null if that cannot be told */
    static byte[] linkTarget(byte[] path) {
        byte[] target = new byte[4096];
        long length = readlink(path, target, target.length);
        return length < 0 || length == target.length ? null : Arrays.copyOf(target, (int) length);
    }

    private static boolean hasOwnDirectoryFlag() {
        String architecture = System.getProperty("os.arch");
        return architecture.equals("aarch64") || architecture.startsWith("arm") || architecture.startsWith("ppc");
    }
}
