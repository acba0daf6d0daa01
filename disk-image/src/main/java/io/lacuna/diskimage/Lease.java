package io.lacuna.diskimage;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Set;

/**
 * Asks the kernel whether anybody else has a file open: it grants a lease only while nobody has, be that a process of
 * another container or an export by the kernel itself (iSCSI, NFS), which /proc does not show. The lease is given back at
 * once.
 */
enum Lease {
    /** Nobody else has it: for a descriptor that only reads nobody that writes, for one that writes nobody at all. */
    GRANTED,
    /** Somebody has. */
    REFUSED,
    /** It cannot be told: not our file, a device, a file system whose server decides. */
    UNKNOWN;

    /** linux/magic.h: NFS, SMB (three), FUSE, 9P, Ceph, GFS2, OCFS2. Other hosts may have the file, whatever this kernel says. */
    private static final Set<Long> REMOTE = Set.of(0x6969L, 0xFF534D42L, 0xFE534D42L, 0x517BL, 0x65735546L, 0x01021997L,
            0x00C36400L, 0x01161970L, 0x7461636FL);

    static Lease ask(Path path, int descriptor, boolean writes) throws IOException {
        if (isDecidedElsewhere(path, descriptor)) {
            return UNKNOWN;
        }
        // Whoever opens the file in this moment waits for us, and a signal tells us so; this one does nothing by default.
        if (LinuxHost.fcntl(descriptor, LinuxHost.F_SETSIG, LinuxHost.SIGURG) != 0) {
            return UNKNOWN;
        }
        long type = writes ? LinuxHost.F_WRLCK : LinuxHost.F_RDLCK;
        if (LinuxHost.fcntl(descriptor, LinuxHost.F_SETLEASE, type) != 0) {
            return Errno.last() == Errno.EAGAIN ? REFUSED : UNKNOWN;
        }
        if (LinuxHost.fcntl(descriptor, LinuxHost.F_SETLEASE, LinuxHost.F_UNLCK) != 0) {
            throw Errno.failure(path, "fcntl F_SETLEASE F_UNLCK");
        }
        return GRANTED;
    }

    /** @return whether other hosts may have the file open, or a server speaks for it */
    static boolean isDecidedElsewhere(Path path, int descriptor) throws IOException {
        byte[] status = new byte[256];
        if (LinuxHost.fstatfs(descriptor, status) != 0) {
            throw Errno.failure(path, "fstatfs");
        }
        return REMOTE.contains(ByteBuffer.wrap(status).order(ByteOrder.nativeOrder()).getLong() & 0xFFFF_FFFFL);
    }
}
