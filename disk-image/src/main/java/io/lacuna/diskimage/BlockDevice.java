package io.lacuna.diskimage;

import io.lacuna.blockio.PunchSupport;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Stream;

/** What the kernel tells of a block device, by ioctl and in sysfs. */
final class BlockDevice {

    private static final Path SYSFS = Path.of("/sys/dev/block");

    private BlockDevice() {
    }

    /** @return bytes */
    static long size(Path path, int descriptor) throws IOException {
        byte[] size = new byte[8];
        if (LinuxHost.ioctl(descriptor, LinuxHost.BLKGETSIZE64, size) != 0) {
            throw Errno.failure(path, "ioctl BLKGETSIZE64");
        }
        return ByteBuffer.wrap(size).order(ByteOrder.nativeOrder()).getLong();
    }

    private static long sectorSize(Path path, int descriptor) throws IOException {
        byte[] size = new byte[4];
        if (LinuxHost.ioctl(descriptor, LinuxHost.BLKSSZGET, size) != 0) {
            throw Errno.failure(path, "ioctl BLKSSZGET");
        }
        return ByteBuffer.wrap(size).order(ByteOrder.nativeOrder()).getInt();
    }

    /** @throws UnsupportedException if the device takes back no storage */
    static PunchSupport punchSupport(Path path, int descriptor, FileStatus status) throws IOException {
        return punchSupport(SYSFS.resolve(status.deviceNumber()), sectorSize(path, descriptor));
    }

    /**
     * @param device the device's folder in sysfs
     * @param sectorSize bytes of its logical sector
     */
    static PunchSupport punchSupport(Path device, long sectorSize) throws IOException {
        // A partition has no queue of its own; its folder lies in that of its disk.
        Path folder = device.toRealPath();
        Path queue = Files.isDirectory(folder.resolve("queue")) ? folder.resolve("queue") : folder.resolve("../queue");
        if (number(queue.resolve("discard_max_bytes"), 0) == 0) {
            throw new UnsupportedException("this device takes no storage back (it does not support discard)");
        }
        long granularity = Math.max(sectorSize, number(queue.resolve("discard_granularity"), 0));
        long alignment = number(folder.resolve("discard_alignment"), 0);
        boolean zeroes = number(queue.resolve("write_zeroes_max_bytes"), 1) > 0;
        // -1 says that the parts of a combined device disagree; no position is better than another then.
        return new PunchSupport(granularity, alignment < 0 ? 0 : alignment % granularity, zeroes,
                zeroes ? "PUNCH_HOLE" : "BLKDISCARD");
    }

    private static long number(Path file, long ifAbsent) throws IOException {
        if (!Files.exists(file)) {
            return ifAbsent;
        }
        try {
            return Long.parseLong(Files.readString(file).strip());
        } catch (NumberFormatException e) {
            throw new IOException(file + ": expected a number", e);
        }
    }

    /** @return what tells a node of this device, of its disk if it is a partition, or of one of its partitions */
    static Predicate<FileStatus> sharingStorageWith(FileStatus status) {
        Set<String> numbers = numbersSharingStorageWith(status);
        return other -> other.isBlockDevice() && numbers.contains(other.deviceNumber());
    }

    /** @return "major:minor" of this device, of its disk if it is a partition, and of its partitions */
    static Set<String> numbersSharingStorageWith(FileStatus status) {
        Set<String> numbers = new HashSet<>(Set.of(status.deviceNumber()));
        try {
            Path folder = SYSFS.resolve(status.deviceNumber()).toRealPath();
            if (Files.exists(folder.resolve("partition"))) {
                numbers.add(Files.readString(folder.resolve("../dev")).strip());
            }
            for (Path part : partitions(folder)) {
                numbers.add(Files.readString(part.resolve("dev")).strip());
            }
        } catch (IOException e) {
            // Without sysfs only the device itself is recognised.
        }
        return numbers;
    }

    private static List<Path> partitions(Path folder) throws IOException {
        try (Stream<Path> inside = Files.list(folder)) {
            return inside.filter(part -> Files.exists(part.resolve("partition"))).sorted().toList();
        }
    }

    /** @return who has the device: where it is mounted, which devices are built on it; as far as that can be told */
    static String usersOf(FileStatus status) {
        List<String> users = new ArrayList<>();
        try {
            Path folder = SYSFS.resolve(status.deviceNumber()).toRealPath();
            List<Path> parts = new ArrayList<>(List.of(folder));
            parts.addAll(partitions(folder));
            List<String> mounts = Files.readAllLines(Path.of("/proc/self/mountinfo"));
            List<String> swaps = Files.readAllLines(Path.of("/proc/swaps"));
            for (Path part : parts) {
                describe(part, mounts, swaps, users);
            }
        } catch (IOException e) {
            return "by what, the system does not tell";
        }
        return users.isEmpty() ? "by something that neither mounts nor device holders show" : String.join(", ", users);
    }

    private static void describe(Path part, List<String> mounts, List<String> swaps, List<String> users)
            throws IOException {
        String number = Files.readString(part.resolve("dev")).strip();
        String name = part.getFileName().toString();
        for (String mount : mounts) {
            // mountinfo: id, parent, major:minor, root, mount point …
            String[] fields = mount.split(" ");
            if (fields.length > 4 && fields[2].equals(number)) {
                users.add("mounted at " + fields[4]);
            }
        }
        for (String swap : swaps) {
            if (swap.startsWith("/dev/" + name + " ") || swap.startsWith("/dev/" + name + "\t")) {
                users.add("used as swap (" + name + ")");
            }
        }
        Path holders = part.resolve("holders");
        if (Files.isDirectory(holders)) {
            try (Stream<Path> list = Files.list(holders)) {
                list.forEach(holder -> users.add("held by " + holder.getFileName()));
            }
        }
    }
}
