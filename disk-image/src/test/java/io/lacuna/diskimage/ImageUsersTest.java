package io.lacuna.diskimage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages.Access;
import io.lacuna.diskimage.DiskImages.Options;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Users that take no locks at all. */
@Timeout(60)
class ImageUsersTest {

    @TempDir
    Path folder;

    private Path image;

    @BeforeEach
    void createImage() throws IOException {
        image = Files.write(folder.resolve("disk.raw"), new byte[1 << 20]);
    }

    private List<String> open(Access access) throws IOException {
        try (OpenedImage opened = DiskImages.open(image, new Options(access, "raw", List.of()))) {
            return opened.remarks();
        }
    }

    private String refused(Access access) {
        return assertThrows(UnsafeException.class, () -> open(access)).reason();
    }

    @Test
    void anImageThatNobodyUsesHasNoRemarks() throws IOException {
        for (Access access : Access.values()) {
            assertEquals(List.of(), open(access));
        }
    }

    @Test
    void refusesAProcessThatCanWrite() throws IOException {
        Tools.require("python3");
        // By another name: the inode counts.
        Path other = Files.createLink(folder.resolve("other"), image);
        for (String flags : List.of("os.O_RDWR", "os.O_WRONLY")) {
            try (Holder holder = Holder.python("import os, sys; f = os.open(sys.argv[1], " + flags + ")", other.toString())) {
                for (Access access : List.of(Access.WRITE, Access.PLAN)) {
                    String why = refused(access);
                    assertTrue(why.contains("(process " + holder.process() + ")") && why.contains("python3"), why);
                }
                assertTrue(open(Access.INSPECT).get(0).contains("(process " + holder.process() + ")"));
            }
        }
        open(Access.WRITE);
    }

    @Test
    void remarksAProcessThatReads() throws IOException {
        Tools.require("python3");
        try (Holder holder = Holder.python("import os, sys; f = os.open(sys.argv[1], os.O_RDONLY)", image.toString())) {
            List<String> remarks = open(Access.WRITE);
            assertEquals(1, remarks.size(), remarks.toString());
            assertTrue(remarks.get(0).contains("(process " + holder.process() + ")"), remarks.toString());
            open(Access.PLAN);
        }
    }

    @Test
    void refusesAProcessThatHasOnlyAMappingLeft() throws IOException {
        Tools.require("python3");
        String script = """
                import mmap, os, sys, ctypes
                f = os.open(sys.argv[1], os.O_RDWR)
                libc = ctypes.CDLL(None)
                libc.mmap.restype = ctypes.c_void_p
                libc.mmap(None, ctypes.c_size_t(4096), 3, 1, f, ctypes.c_long(0))
                os.close(f)""";
        try (Holder holder = Holder.python(script, image.toString())) {
            for (Access access : List.of(Access.WRITE, Access.PLAN)) {
                String why = refused(access);
                assertTrue(why.contains("(process " + holder.process() + ")") && why.contains("mapped"), why);
            }
        }
    }

    @Test
    void refusesAnImageBehindALoopDevice() throws IOException {
        Tools.requireLoopDevices();
        String loop = Tools.ok("losetup", "-f", "--show", image.toString()).strip();
        try {
            for (Access access : List.of(Access.WRITE, Access.PLAN)) {
                String why = refused(access);
                assertTrue(why.contains(loop), why);
            }
        } finally {
            Tools.ok("losetup", "-d", loop);
        }
        open(Access.WRITE);
        loop = Tools.ok("losetup", "-r", "-f", "--show", image.toString()).strip();
        try {
            List<String> remarks = open(Access.WRITE);
            assertTrue(remarks.toString().contains(loop), remarks.toString());
        } finally {
            Tools.ok("losetup", "-d", loop);
        }
    }

    /** A process in a mount namespace and container of its own is still one that has the inode. */
    @Test
    void aLoopDeviceOverANameThatIsNoTextStopsNobodyElse() throws IOException {
        Tools.requireLoopDevices();
        String loop = Tools.shell("name=\"$1\"/$(printf 'other-\\377'); truncate -s 1M \"$name\"; losetup -f --show \"$name\"",
                folder).strip();
        try (Holder reader = Holder.python("import os, sys; f = os.open(sys.argv[1], os.O_RDONLY)", image.toString())) {
            assertTrue(open(Access.WRITE).toString().contains("(process " + reader.process() + ")"));
        } finally {
            Tools.shell("losetup -d $2; rm \"$1\"/other-*", folder, loop);
        }
    }

    @Test
    void aWriterThatNoProcessShowsIsRefusedToo() throws IOException {
        Tools.requireLoopDevices();
        Tools.require("unshare", "python3");
        // Swap is a user inside the kernel, as an iSCSI export would be.
        Path swap = folder.resolve("swap");
        Tools.shell("fallocate -l 1M \"$1\"; chmod 600 \"$1\"; mkswap \"$1\" >/dev/null", swap);
        boolean swaps = Tools.run("swapon", swap.toString()).status() == 0;
        Tools.skipUnless(swaps, "no swap on files here");
        try {
            image = swap;
            for (Access access : List.of(Access.WRITE, Access.PLAN)) {
                String reason = refused(access);
                assertTrue(reason.contains("the kernel says"), reason);
            }
        } finally {
            Tools.ok("swapoff", swap.toString());
        }
    }

    @Test
    void ourOwnDescriptorsDoNotStopUs() throws IOException {
        try (FileChannel own = FileChannel.open(image, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
            assertTrue(own.isOpen());
            open(Access.WRITE);
            open(Access.PLAN);
        }
    }

    @Test
    void refusesADiskThatVmwareHasLocked() throws IOException {
        Path lock = Files.createDirectory(folder.resolve("disk.raw.lck"));
        open(Access.WRITE);
        Files.createFile(lock.resolve("M12345.lck"));
        for (Access access : List.of(Access.WRITE, Access.PLAN)) {
            assertTrue(refused(access).contains("disk.raw.lck"));
        }
        assertTrue(open(Access.INSPECT).get(0).contains("disk.raw.lck"));
    }

    /** ESXi on NFS leaves them beside the disk for as long as the machine runs. */
    @Test
    void refusesADiskThatEsxiHolds() throws IOException {
        Files.createFile(folder.resolve(".lck-3409000000000000"));
        for (Access access : List.of(Access.WRITE, Access.PLAN)) {
            assertTrue(refused(access).contains(".lck-3409000000000000"));
        }
        assertTrue(open(Access.INSPECT).get(0).contains(".lck-3409000000000000"));
    }

    /** As sysfs shows what Xen's backend has open. */
    @Test
    void refusesADeviceThatAXenGuestHas() throws IOException {
        Path devices = Files.createDirectories(folder.resolve("devices"));
        Path device = Files.createDirectories(devices.resolve("vbd-3-51712"));
        Set<String> numbers = Set.of("253:26");
        ImageUsers.refuseXenGuests(devices, numbers);
        Files.writeString(device.resolve("physical_device"), "fd:1b\n");
        ImageUsers.refuseXenGuests(devices, numbers);
        Files.writeString(device.resolve("physical_device"), "fd:1a\n");
        String why = assertThrows(UnsafeException.class, () -> ImageUsers.refuseXenGuests(devices, numbers)).reason();
        assertTrue(why.contains("vbd-3-51712"), why);
        ImageUsers.refuseXenGuests(folder.resolve("none"), numbers);
    }

    /** As configfs shows what nvmet exports. */
    @Test
    void refusesADeviceThatTheKernelExportsByNvme() throws IOException {
        Path namespace = Files.createDirectories(folder.resolve("subsystems/nqn/namespaces/1"));
        Files.writeString(namespace.resolve("enable"), "1\n");
        Files.writeString(namespace.resolve("device_path"), folder.resolve("absent") + "\n");
        FileStatus status = FileStatus.of(LinuxHost.bytes(image));
        ImageUsers.refuseNvmeTargets(folder.resolve("subsystems"), status::isSameFileAs);
        Files.writeString(namespace.resolve("device_path"), image + "\n");
        String why = assertThrows(UnsafeException.class,
                () -> ImageUsers.refuseNvmeTargets(folder.resolve("subsystems"), status::isSameFileAs)).reason();
        assertTrue(why.contains("nqn"), why);
        Files.writeString(namespace.resolve("enable"), "0\n");
        ImageUsers.refuseNvmeTargets(folder.resolve("subsystems"), status::isSameFileAs);
        ImageUsers.refuseNvmeTargets(folder.resolve("none"), status::isSameFileAs);
    }
}
