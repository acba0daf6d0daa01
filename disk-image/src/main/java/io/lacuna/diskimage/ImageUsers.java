package io.lacuna.diskimage;

import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;

/**
 * Looks for a running user of an image that takes no QEMU locks: an open descriptor, a mapping, a loop device, VMware's lock
 * folder. One that may write stops the run, one that only reads is remarked.
 *
 * <p>The kernel itself is asked first ({@link Lease}); only where it knows of somebody, or cannot tell, are the processes
 * searched.
 */
final class ImageUsers {

    /** A program that ends lets go of its files a little later than it is seen to be gone. */
    private static final int TRIES = 6;
    private static final int PAUSE_MILLIS = 20;

    private ImageUsers() {
    }

    /**
     * @return remarks about users that only read
     * @throws UnsafeException if something may write to the image
     */
    static List<String> check(NativeFile file) throws IOException {
        refuseVmwareLocks(file);
        refuseEsxLocks(file);
        Lease others = othersThan(file);
        if (others == Lease.GRANTED) {
            return List.of();
        }
        Predicate<FileStatus> related = file.isBlockDevice() ? BlockDevice.sharingStorageWith(file.status())
                : file.status()::isSameFileAs;
        List<String> remarks = refuseLoopDevices(related);
        if (file.isBlockDevice()) {
            refuseNvmeTargets(Path.of("/sys/kernel/config/nvmet/subsystems"), related);
            refuseXenGuests(Path.of("/sys/bus/xen-backend/devices"), BlockDevice.numbersSharingStorageWith(file.status()));
        }
        List<Processes.User> users = Processes.having(related);
        for (Processes.User user : users) {
            if (user.process() != Processes.self()) {
                remarks.add(refuseWriter(user));
            }
        }
        if (others == Lease.UNKNOWN) {
            tellWhoCannotBeSeen(file, remarks);
        }
        Lease writers = file.isWritable() ? file.writersBefore() : others;
        if (writers != Lease.GRANTED && !file.isBlockDevice()) {
            explain(file, writers, users, remarks);
        }
        return remarks;
    }

    /** Programs that take no locks of QEMU's, such as VirtualBox. Whoever writes must know that there are none. */
    private static void tellWhoCannotBeSeen(NativeFile file, List<String> remarks) throws IOException {
        boolean elsewhere = !file.isBlockDevice() && Lease.isDecidedElsewhere(file.path(), file.number());
        if (elsewhere) {
            remarks.add("Whether a program of another host has " + file.path() + " open cannot be seen from here.");
        }
        // Where the kernel decides itself, it would have told the owner.
        if (!Processes.seesThoseOfOthers() && !(elsewhere && isOurs(file))) {
            String owner = file.isBlockDevice() ? "" : ", or as the image's owner";
            if (file.isWritable()) {
                throw new UnsafeException("whether a program of another user has the image open cannot be told: run as root"
                        + owner);
            }
            remarks.add("Whether a program of another user has " + file.path() + " open could not be told: run as root" + owner
                    + ", to know.");
        }
    }

    private static boolean isOurs(NativeFile file) throws IOException {
        return Files.getAttribute(file.realPath(), "unix:uid").equals(Files.getAttribute(Path.of("/proc/self"), "unix:uid"));
    }

    /** For a look only: every user is a remark. */
    static List<String> remarks(NativeFile file) throws IOException {
        try {
            return check(file);
        } catch (UnsafeException e) {
            return List.of(Character.toUpperCase(e.what().charAt(0)) + e.what().substring(1) + ".");
        }
    }

    /** @return the remark about one that does not write */
    private static String refuseWriter(Processes.User user) throws UnsafeException {
        if (user.writes()) {
            throw new UnsafeException("the image is in use: " + user.describe()
                    + " for writing; shut the machine down or close the program first");
        }
        return Character.toUpperCase(user.describe().charAt(0)) + user.describe().substring(1) + " for reading.";
    }

    /**
     * Looks for mappings, which outlive their descriptors; and if the kernel knows of a writer, insists on finding it.
     *
     * @param users those found by descriptor; only this very process' own can write
     */
    private static void explain(NativeFile file, Lease writers, List<Processes.User> users, List<String> remarks)
            throws IOException {
        boolean explained = false;
        for (Processes.User user : Processes.mapping(file.status())) {
            explained |= user.process() == Processes.self() || !user.writes();
            if (user.process() != Processes.self()) {
                remarks.add(refuseWriter(user));
            }
        }
        long own = users.stream().filter(user -> user.process() == Processes.self() && user.writes()).count();
        if (writers != Lease.REFUSED || explained || own > (file.isWritable() ? 1 : 0)) {
            return;
        }
        for (int i = 0; i < TRIES; i++) {
            if (othersThan(file) == Lease.GRANTED) {
                return;
            }
            pause();
        }
        throw new UnsafeException("the kernel says that something else has the image open for writing, and no process that "
                + "Lacuna can see does: a program of another user or container, or an export by the kernel (iSCSI, NVMe, NFS); "
                + "stop it first");
    }

    private static Lease othersThan(NativeFile file) throws IOException {
        return file.isBlockDevice() ? Lease.UNKNOWN : Lease.ask(file.path(), file.number(), file.isWritable());
    }

    private static void pause() {
        try {
            Thread.sleep(PAUSE_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** A loop device holds its file or device inside the kernel, where no process shows it, and not even exclusively. */
    private static List<String> refuseLoopDevices(Predicate<FileStatus> related) throws IOException {
        List<String> remarks = new ArrayList<>();
        Path devices = Path.of("/sys/block");
        if (!Files.isDirectory(devices)) {
            return remarks;
        }
        try (DirectoryStream<Path> loops = Files.newDirectoryStream(devices, "loop*")) {
            for (Path loop : loops) {
                FileStatus status = backingFile(loop);
                if (status == null || !related.test(status)) {
                    continue;
                }
                if (!Files.readString(loop.resolve("ro")).strip().equals("1")) {
                    throw new UnsafeException("the image is in use: the loop device /dev/" + loop.getFileName()
                            + " writes to it; unmount it and run losetup -d /dev/" + loop.getFileName());
                }
                remarks.add("The read-only loop device /dev/" + loop.getFileName() + " shows the image.");
            }
        }
        return remarks;
    }

    /** The kernel exports a device by NVMe over fabrics without holding it for itself, and no process shows it. */
    static void refuseNvmeTargets(Path subsystems, Predicate<FileStatus> related) throws IOException {
        if (!Files.isDirectory(subsystems)) {
            return;
        }
        try (DirectoryStream<Path> all = Files.newDirectoryStream(subsystems)) {
            for (Path subsystem : all) {
                try (DirectoryStream<Path> namespaces = Files.newDirectoryStream(subsystem.resolve("namespaces"))) {
                    for (Path namespace : namespaces) {
                        refuseNvmeTarget(subsystem, namespace, related);
                    }
                } catch (NoSuchFileException | DirectoryIteratorException goneMeanwhile) {
                    continue;
                }
            }
        }
    }

    private static void refuseNvmeTarget(Path subsystem, Path namespace, Predicate<FileStatus> related) throws IOException {
        try {
            String device = Files.readString(namespace.resolve("device_path")).strip();
            FileStatus status = device.startsWith("/") ? FileStatus.of(LinuxHost.bytes(Path.of(device))) : null;
            if (status != null && related.test(status) && !Files.readString(namespace.resolve("enable")).strip().equals("0")) {
                throw new UnsafeException("the device is in use: the kernel exports it as namespace " + namespace.getFileName()
                        + " of the NVMe subsystem " + subsystem.getFileName() + "; switch that off first");
            }
        } catch (NoSuchFileException goneMeanwhile) {
            return;
        }
    }

    /** Xen's block backend opens a guest's device in the kernel, not exclusively, and no process shows it. */
    static void refuseXenGuests(Path devices, Set<String> numbers) throws IOException {
        if (!Files.isDirectory(devices)) {
            return;
        }
        try (DirectoryStream<Path> all = Files.newDirectoryStream(devices, "vbd-*")) {
            for (Path device : all) {
                refuseXenGuest(device, numbers);
            }
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
    }

    private static void refuseXenGuest(Path device, Set<String> numbers) throws IOException {
        try {
            // major:minor, hexadecimal
            String[] number = Files.readString(device.resolve("physical_device")).strip().split(":");
            if (number.length == 2 && numbers.contains(Integer.parseInt(number[0], 16) + ":" + Integer.parseInt(number[1], 16))) {
                throw new UnsafeException("the device is in use: a Xen guest has it (" + device.getFileName()
                        + "); shut that guest down first");
            }
        } catch (NoSuchFileException goneMeanwhile) {
            return;
        }
    }

    /** @return the file behind a loop device; null if there is none, or no longer */
    private static FileStatus backingFile(Path loop) throws IOException {
        Path attribute = loop.resolve("loop/backing_file");
        byte[] name;
        try {
            name = Files.readAllBytes(attribute);
        } catch (IOException e) {
            if (Files.exists(attribute)) {
                throw e;
            }
            return null;
        }
        // The path's own bytes, which need not be text in any encoding, and a line's end.
        if (name.length > 0) {
            name[name.length - 1] = 0;
        }
        return FileStatus.of(name);
    }

    /** A running machine of VMware keeps a folder (Workstation) or file (older) beside each disk, "NAME.lck". */
    private static void refuseVmwareLocks(NativeFile file) throws IOException {
        for (Path path : List.of(file.realPath(), file.path().toAbsolutePath())) {
            Path lock = path.resolveSibling(path.getFileName() + ".lck");
            if (Files.isRegularFile(lock) || Files.isDirectory(lock) && !isEmpty(lock)) {
                throw new UnsafeException("VMware holds the image (" + lock.getFileName()
                        + " lies beside it); shut the machine down, or delete that lock if its machine is known to be off");
            }
        }
    }

    /** ESXi on NFS, which has no locks that other hosts see, keeps a file beside the disk for as long as its machine runs. */
    private static void refuseEsxLocks(NativeFile file) throws IOException {
        Path directory = file.realPath().getParent();
        if (file.isBlockDevice() || directory == null) {
            return;
        }
        try (DirectoryStream<Path> locks = Files.newDirectoryStream(directory, ".lck-*")) {
            for (Path lock : locks) {
                if (Files.isRegularFile(lock)) {
                    throw new UnsafeException("VMware ESXi holds a disk in the image's directory (" + lock.getFileName()
                            + " lies there); shut the machine down, or delete that lock if its machine is known to be off");
                }
            }
        } catch (AccessDeniedException | NoSuchFileException unseen) {
            return;
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
    }

    private static boolean isEmpty(Path directory) throws IOException {
        try (DirectoryStream<Path> inside = Files.newDirectoryStream(directory)) {
            return !inside.iterator().hasNext();
        }
    }
}
