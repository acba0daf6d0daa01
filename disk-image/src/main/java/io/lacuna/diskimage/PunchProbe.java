package io.lacuna.diskimage;

import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/**
 * Finds out whether a file system can punch holes, and how small: with a nameless file of its own in the image's directory,
 * in whose blocks holes of falling size are punched until one frees nothing any more. Once per file system. Blocks that are
 * allocated will do nearly everywhere, and spare the host a write and a wait; where they do not, data is written.
 *
 * <p>Where no such file can be had (no permission, no space left, a lone file mounted in place), the file system's type and
 * block size are believed instead, for a dry run and for a real one alike, and a remark says so.
 */
final class PunchProbe {

    /** A file to try on: its size in bytes, and whether to write it or only to allocate its blocks. */
    private record Trial(int size, boolean written) {
    }

    /** Nearly every host settles with the first; the last is for large allocation units. */
    private static final List<Trial> TRIALS = List.of(new Trial(128 << 10, false), new Trial(128 << 10, true),
            new Trial(8 << 20, true));
    private static final int SMALLEST = 512;

    /** File systems that punch by their block (linux/magic.h): ext2-4, XFS, btrfs, tmpfs, F2FS, OCFS2, GFS2. */
    private static final Map<Long, String> KNOWN = Map.of(0xEF53L, "ext4", 0x58465342L, "XFS", 0x9123683EL, "btrfs",
            0x01021994L, "tmpfs", 0xF2F52010L, "F2FS", 0x7461636FL, "OCFS2", 0x01161970L, "GFS2");

    private static final Map<List<Long>, PunchSupport> KNOWN_HOSTS = new HashMap<>();

    /**
     * A mounted file system. The device number alone would not do: the next file system on the same device has it too.
     *
     * @param type as in linux/magic.h
     * @param blockSize bytes
     * @param blocks how many it has
     * @param id the file system's own, where it has one
     */
    private record Host(long device, long mount, long type, long blockSize, long blocks, long id) {

        static Host of(NativeFile file) throws IOException {
            byte[] raw = new byte[256];
            if (LinuxHost.fstatfs(file.number(), raw) != 0) {
                throw Errno.failure(file.path(), "fstatfs");
            }
            // struct statfs of 64-bit systems: type, block size, blocks, free, available, files, free ones, id; 8 bytes each.
            ByteBuffer status = ByteBuffer.wrap(raw).order(ByteOrder.nativeOrder());
            return new Host(file.status().device(), file.status().mount(), status.getLong(0) & 0xFFFF_FFFFL, status.getLong(8),
                    status.getLong(16), status.getLong(56));
        }

        /** A record's own hash code is put together at run time, which costs a start ten milliseconds. */
        List<Long> key() {
            return List.of(device, mount, type, blockSize, blocks, id);
        }
    }

    private PunchProbe() {
    }

    /** @throws UnsupportedException if the file system cannot punch */
    static PunchSupport support(NativeFile file, Consumer<String> remarks) throws IOException {
        Host host = Host.of(file);
        synchronized (KNOWN_HOSTS) {
            PunchSupport known = KNOWN_HOSTS.get(host.key());
            if (known != null) {
                return known;
            }
            PunchSupport found = probe(file);
            if (found == null) {
                return assumed(file, host, remarks);
            }
            KNOWN_HOSTS.put(host.key(), found);
            return found;
        }
    }

    /** @return null if there is no place to try it */
    private static PunchSupport probe(NativeFile image) throws IOException {
        Path directory = image.realPath().getParent();
        int file = temporaryFile(directory);
        if (file < 0) {
            return switch (Errno.last()) {
                case EACCES, EPERM, EROFS, ENOSPC, EDQUOT, ENOENT -> null;
                default -> throw Errno.failure(directory, "open of a temporary file");
            };
        }
        try {
            if (Descriptor.status(directory, file).device() != image.status().device()) {
                return null;
            }
            for (Trial trial : TRIALS) {
                Filled filled = trial.written() ? write(directory, file, trial.size()) : allocate(file, trial.size());
                if (filled == Filled.NO_SPACE) {
                    return null;
                }
                long granularity = filled == Filled.YES ? smallestHole(directory, file, trial) : 0;
                if (granularity > 0) {
                    return new PunchSupport(granularity, 0, true, "PUNCH_HOLE");
                }
            }
        } finally {
            LinuxHost.close(file);
        }
        throw new UnsupportedException("the host's file system frees nothing when a hole is punched into a file");
    }

    private static int temporaryFile(Path directory) {
        int nameless = LinuxHost.open(LinuxHost.bytes(directory),
                LinuxHost.O_TMPFILE | LinuxHost.O_RDWR | LinuxHost.O_CLOEXEC, 0600);
        if (nameless >= 0) {
            return nameless;
        }
        switch (Errno.last()) {
            case EOPNOTSUPP, EISDIR, EINVAL, ENOSYS -> {
                byte[] name = LinuxHost.bytes(directory.resolve(".lacuna-trial-" + ProcessHandle.current().pid() + "-"
                        + Long.toHexString(System.nanoTime())));
                int named = LinuxHost.open(name,
                        LinuxHost.O_CREAT | LinuxHost.O_EXCL | LinuxHost.O_RDWR | LinuxHost.O_CLOEXEC, 0600);
                if (named >= 0) {
                    LinuxHost.unlink(name);
                }
                return named;
            }
            default -> {
                return nameless;
            }
        }
    }

    private enum Filled { YES, NO, NO_SPACE }

    private static Filled allocate(int file, int size) {
        if (Descriptor.retrying(() -> LinuxHost.fallocate(file, 0, 0, size)) == 0) {
            return Filled.YES;
        }
        return outOfSpace() ? Filled.NO_SPACE : Filled.NO;
    }

    private static Filled write(Path directory, int file, int size) throws IOException {
        ByteBuffer data = ByteBuffer.allocateDirect(size);
        // Random, or a file system that compresses or drops zeros would store less than that.
        SplittableRandom random = new SplittableRandom(size);
        while (data.hasRemaining()) {
            data.putLong(random.nextLong());
        }
        data.flip();
        long written = LinuxHost.pwrite(file, LinuxHost.address(data), size, 0);
        Reference.reachabilityFence(data);
        if (written == size && Descriptor.retrying(() -> LinuxHost.fsync(file)) == 0) {
            return Filled.YES;
        }
        if (written >= 0 && written < size || outOfSpace()) {
            return Filled.NO_SPACE;
        }
        throw Errno.failure(directory, "write to a temporary file");
    }

    private static boolean outOfSpace() {
        return Errno.last() == Errno.ENOSPC || Errno.last() == Errno.EDQUOT;
    }

    /**
     * Punches the last half, then the quarter before it, and so on: each hole lies at a multiple of its size.
     *
     * @return bytes of the smallest hole that freed all of its length; 0 if none did
     */
    private static long smallestHole(Path directory, int file, Trial trial) throws IOException {
        long smallest = 0;
        long stored = Descriptor.status(directory, file).storedBytes();
        for (int length = trial.size() / 2; length >= SMALLEST; length /= 2) {
            punch(directory, file, length);
            long left = Descriptor.status(directory, file).storedBytes();
            if (stored - left < length && smallest == 0 && trial.written()) {
                // Some file systems count only when they write out what they collected.
                LinuxHost.syncfs(file);
                left = Descriptor.status(directory, file).storedBytes();
            }
            if (stored - left < length) {
                break;
            }
            smallest = length;
            stored = left;
        }
        return smallest;
    }

    private static void punch(Path directory, int file, int length) throws IOException {
        if (Descriptor.retrying(() -> LinuxHost.fallocate(file,
                LinuxHost.FALLOC_FL_PUNCH_HOLE | LinuxHost.FALLOC_FL_KEEP_SIZE, length, length)) != 0) {
            switch (Errno.last()) {
                case EOPNOTSUPP, ENOSYS, EPERM, ENODEV, EINVAL -> throw new UnsupportedException(
                        "the host's file system cannot punch holes into files (fallocate PUNCH_HOLE: " + Errno.last()
                                + "); move the image to ext4, XFS, btrfs, tmpfs or NFS 4.2");
                default -> throw Errno.failure(directory, "fallocate PUNCH_HOLE in a temporary file");
            }
        }
    }

    private static PunchSupport assumed(NativeFile file, Host host, Consumer<String> remarks) throws IOException {
        String type = KNOWN.get(host.type());
        if (type == null || host.blockSize() < SMALLEST || Long.bitCount(host.blockSize()) != 1) {
            throw new UnsupportedException("whether the host's file system can punch holes could not be tried out, and its "
                    + "type is not one that is known to; make " + file.realPath().getParent() + " writable");
        }
        remarks.accept("Whether the host can punch holes could not be tried out beside the image; " + type + " with blocks of "
                + host.blockSize() + " bytes is taken to do it by the block.");
        return new PunchSupport(host.blockSize(), 0, true, "PUNCH_HOLE");
    }
}
