package io.lacuna.diskimage;

import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/**
 * Finds out whether a file system can punch holes, and how small: with a nameless file of its own in the image's directory,
 * filled with real data, in which holes of falling size are punched until one frees nothing any more. Once per file system.
 *
 * <p>Where no such file can be had (no permission, no space left, a lone file mounted in place), the file system's type and
 * block size are believed instead, for a dry run and for a real one alike, and a remark says so.
 */
final class PunchProbe {

    /** Sizes of the trial: nearly every host settles with the first; the second is for large allocation units. */
    private static final int[] TRIAL_SIZES = {128 << 10, 8 << 20};
    private static final int SMALLEST = 512;

    /** File systems that punch by their block (linux/magic.h): ext2-4, XFS, btrfs, tmpfs, F2FS, OCFS2, GFS2. */
    private static final Map<Long, String> KNOWN = Map.of(0xEF53L, "ext4", 0x58465342L, "XFS", 0x9123683EL, "btrfs",
            0x01021994L, "tmpfs", 0xF2F52010L, "F2FS", 0x7461636FL, "OCFS2", 0x01161970L, "GFS2");

    private static final Map<Host, PunchSupport> KNOWN_HOSTS = new HashMap<>();

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
    }

    private PunchProbe() {
    }

    /** @throws UnsupportedException if the file system cannot punch */
    static PunchSupport support(NativeFile file, Consumer<String> remarks) throws IOException {
        Host host = Host.of(file);
        synchronized (KNOWN_HOSTS) {
            PunchSupport known = KNOWN_HOSTS.get(host);
            if (known != null) {
                return known;
            }
            PunchSupport found = probe(file);
            if (found == null) {
                return assumed(file, host, remarks);
            }
            KNOWN_HOSTS.put(host, found);
            return found;
        }
    }

    /** @return null if there is no place to try it */
    private static PunchSupport probe(NativeFile file) throws IOException {
        Path directory = file.realPath().getParent();
        int trial = temporaryFile(directory);
        if (trial < 0) {
            return switch (Errno.last()) {
                case EACCES, EPERM, EROFS, ENOSPC, EDQUOT, ENOENT -> null;
                default -> throw Errno.failure(directory, "open of a temporary file");
            };
        }
        try {
            if (Descriptor.status(directory, trial).device() != file.status().device()) {
                return null;
            }
            for (int size : TRIAL_SIZES) {
                if (!fill(directory, trial, size)) {
                    return null;
                }
                long granularity = smallestHole(directory, trial, size);
                if (granularity > 0) {
                    return new PunchSupport(granularity, 0, true, "PUNCH_HOLE");
                }
            }
        } finally {
            LinuxHost.close(trial);
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

    /** @return whether there was room for it */
    private static boolean fill(Path directory, int trial, int size) throws IOException {
        ByteBuffer data = ByteBuffer.allocateDirect(size);
        // Random, or a file system that compresses or drops zeros would store less than that.
        SplittableRandom random = new SplittableRandom(size);
        while (data.hasRemaining()) {
            data.putLong(random.nextLong());
        }
        data.flip();
        long written = LinuxHost.pwrite(trial, LinuxHost.address(data), size, 0);
        Reference.reachabilityFence(data);
        if (written == size && Descriptor.retrying(() -> LinuxHost.fsync(trial)) == 0) {
            return true;
        }
        if (written >= 0 && written < size || Errno.last() == Errno.ENOSPC || Errno.last() == Errno.EDQUOT) {
            return false;
        }
        throw Errno.failure(directory, "write to a temporary file");
    }

    /**
     * Punches the last half, then the last quarter before it, and so on: each hole lies at a multiple of its size.
     *
     * @return bytes of the smallest hole that freed all of its length; 0 if none did
     */
    private static long smallestHole(Path directory, int trial, int size) throws IOException {
        long smallest = 0;
        long stored = Descriptor.status(directory, trial).storedBytes();
        for (int hole = size / 2; hole >= SMALLEST; hole /= 2) {
            int length = hole;
            if (Descriptor.retrying(() -> LinuxHost.fallocate(trial,
                    LinuxHost.FALLOC_FL_PUNCH_HOLE | LinuxHost.FALLOC_FL_KEEP_SIZE, length, length)) != 0) {
                switch (Errno.last()) {
                    case EOPNOTSUPP, ENOSYS, EPERM, ENODEV, EINVAL -> throw new UnsupportedException(
                            "the host's file system cannot punch holes into files (fallocate PUNCH_HOLE: " + Errno.last()
                                    + "); move the image to ext4, XFS, btrfs, tmpfs or NFS 4.2");
                    default -> throw Errno.failure(directory, "fallocate PUNCH_HOLE in a temporary file");
                }
            }
            long left = Descriptor.status(directory, trial).storedBytes();
            if (stored - left < length && smallest == 0) {
                // Some file systems count only when they write out what they collected.
                LinuxHost.syncfs(trial);
                left = Descriptor.status(directory, trial).storedBytes();
            }
            if (stored - left < length) {
                break;
            }
            smallest = length;
            stored = left;
        }
        return smallest;
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
