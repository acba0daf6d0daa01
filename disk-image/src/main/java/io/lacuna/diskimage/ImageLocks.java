package io.lacuna.diskimage;

import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import java.util.Optional;

/**
 * QEMU's image locks (its {@code block/file-posix.c}): for each permission n that a program uses it read-locks byte 100 + n of
 * the file, for each that it denies to others byte 200 + n. Two programs collide when one holds 100 + n and the other
 * 200 + n. Nobody ever takes a write lock, it is only tested for.
 *
 * <p>The locks are open-file-description locks: they conflict with those of other programs whether these are old-style or
 * not, they need no write permission, and they go when the descriptor does.
 */
final class ImageLocks {

    private static final int USED = 100;
    private static final int DENIED = 200;

    /** Permissions of QEMU's block layer, by their bit. */
    private enum Permission {
        READ(0, "reading"),
        WRITE(1, "writing"),
        WRITE_UNCHANGED(2, "rewriting"),
        RESIZE(3, "resizing");

        private final int bit;
        private final String action;

        Permission(int bit, String action) {
            this.bit = bit;
            this.action = action;
        }
    }

    /** What somebody who opens an image does with it, and what nobody else may do meanwhile. */
    enum Role {
        /** Changes the image: nobody else may so much as read it, for it would see blocks go. */
        WRITER(List.of(Permission.READ, Permission.WRITE, Permission.RESIZE),
                List.of(Permission.WRITE, Permission.RESIZE, Permission.WRITE_UNCHANGED, Permission.READ)),
        /** Reads an image that must not change, as QEMU does with a backing file: other readers are welcome. */
        READER(List.of(Permission.READ), List.of(Permission.WRITE, Permission.RESIZE)),
        /**
         * Punches holes in a parent whose children run. They hold it as readers, which forbids every writer; so this one is a
         * reader, too: children may start, and nobody may commit or stream into it or resize it. What it does is rewriting
         * in QEMU's sense, for no byte changes that counts, and only one may do that at a time.
         */
        BENEATH(List.of(Permission.READ, Permission.WRITE_UNCHANGED),
                List.of(Permission.WRITE, Permission.RESIZE, Permission.WRITE_UNCHANGED));

        private final List<Permission> used;
        private final List<Permission> denied;

        Role(List<Permission> used, List<Permission> denied) {
            this.used = used;
            this.denied = denied;
        }
    }

    private ImageLocks() {
    }

    /**
     * Takes the locks of a role, until the file is closed.
     *
     * @return a remark, if the file system has no locks and the role can do without
     * @throws UnsafeException if somebody holds a lock against it
     * @throws UnsupportedException if the file system has no locks, and the role is the writer's
     */
    static Optional<String> take(NativeFile file, Role role) throws IOException {
        // All first, then look: of two that come at once at least one sees the other.
        for (Permission permission : role.used) {
            if (!readLock(file, USED + permission.bit)) {
                return without(file, role);
            }
        }
        for (Permission permission : role.denied) {
            if (!readLock(file, DENIED + permission.bit)) {
                return without(file, role);
            }
        }
        Optional<String> conflict = conflict(file, role);
        if (conflict.isPresent()) {
            throw new UnsafeException(conflict.get());
        }
        return Optional.empty();
    }

    /** @return who keeps this role from the image now; takes no lock */
    static Optional<String> conflict(NativeFile file, Role role) throws IOException {
        return find(file, role).map(Conflict::sentence);
    }

    /** @return who keeps this role from the image now, in a phrase; takes no lock */
    static Optional<String> holder(NativeFile file, Role role) throws IOException {
        return find(file, role).map(Conflict::phrase);
    }

    private static Optional<Conflict> find(NativeFile file, Role role) throws IOException {
        // What somebody does says more than what somebody forbids.
        for (Permission permission : role.denied) {
            int owner = otherHolder(file, USED + permission.bit);
            if (owner != NOBODY) {
                return Optional.of(held(file, USED + permission.bit, owner, "has it open for " + permission.action));
            }
        }
        for (Permission permission : role.used) {
            int owner = otherHolder(file, DENIED + permission.bit);
            if (owner != NOBODY) {
                return Optional.of(held(file, DENIED + permission.bit, owner, "forbids " + permission.action));
            }
        }
        return Optional.empty();
    }

    /** A lock that stands against a role. */
    private record Conflict(String phrase, int at) {
        String sentence() {
            return "the image is in use: " + phrase + " (QEMU image lock on byte " + at
                    + "); shut the machine down or close the program first";
        }
    }

    private static Conflict held(NativeFile file, int at, int owner, String does) {
        String who = owner > 0 ? Processes.describe(owner)
                : Processes.otherHolderOfLock(file, at).orElse("another program");
        return new Conflict(who + " " + does, at);
    }

    private static Optional<String> without(NativeFile file, Role role) throws IOException {
        String sentence = "the file system of the image has no file locks (fcntl F_OFD_SETLK: " + Errno.last()
                + "), so that nothing would keep a virtual machine from starting meanwhile";
        if (role == Role.WRITER) {
            throw new UnsupportedException(sentence + "; mount it with locks, or move the image");
        }
        return Optional.of(Character.toUpperCase(sentence.charAt(0)) + sentence.substring(1) + ".");
    }

    /** @return false if the file system knows no such locks */
    private static boolean readLock(NativeFile file, int at) throws IOException {
        if (Descriptor.retrying(() -> LinuxHost.fcntl(file.number(), LinuxHost.F_OFD_SETLK,
                lock(LinuxHost.F_RDLCK, at))) == 0) {
            return true;
        }
        return switch (Errno.last()) {
            case EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP -> false;
            // A write lock of somebody else, which QEMU never takes.
            case EAGAIN, EACCES -> throw new UnsafeException(held(file, at, otherHolder(file, at), "has locked it").sentence());
            default -> throw Errno.failure(file.path(), "fcntl F_OFD_SETLK of byte " + at);
        };
    }

    private static final int NOBODY = 0;

    /** @return a process that has this byte locked otherwise than by this file: -1 if the kernel does not say which */
    private static int otherHolder(NativeFile file, int at) throws IOException {
        byte[] lock = lock(LinuxHost.F_WRLCK, at);
        if (Descriptor.retrying(() -> LinuxHost.fcntl(file.number(), LinuxHost.F_OFD_GETLK, lock)) != 0) {
            return switch (Errno.last()) {
                case EINVAL, ENOLCK, ENOSYS, EOPNOTSUPP -> NOBODY;
                default -> throw Errno.failure(file.path(), "fcntl F_OFD_GETLK of byte " + at);
            };
        }
        ByteBuffer answer = ByteBuffer.wrap(lock).order(ByteOrder.nativeOrder());
        return answer.getShort(0) == LinuxHost.F_UNLCK ? NOBODY : answer.getInt(24) > 0 ? answer.getInt(24) : -1;
    }

    /** @return a struct flock for one byte: type 16 bits, whence 16, padding 32, start 64, length 64, process 32, padding 32 */
    private static byte[] lock(short type, int at) {
        return ByteBuffer.allocate(32).order(ByteOrder.nativeOrder()).putShort(0, type).putLong(8, at).putLong(16, 1).array();
    }
}
