package io.lacuna.diskimage;

import io.lacuna.diskimage.ImageLocks.Role;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** Who uses a file at this moment, told without a lock and without opening it for a run. */
public final class Sighting {

    /** Ours: descriptors of one program that are looked at. */
    private static final int MOST_FILES = 4096;

    private Sighting() {
    }

    /**
     * A program that has an image open.
     *
     * @param name and number of its process
     * @param files regular files and block devices that it has open, by their real paths
     */
    public record Holder(String name, List<Path> files) {
    }

    /** @return other processes that have the file open, as far as this process may see them; searches all of them */
    public static List<Holder> holders(Path image) throws IOException {
        FileStatus status = FileStatus.of(LinuxHost.bytes(image));
        if (status == null) {
            throw Errno.failure(image, "statx");
        }
        Map<Integer, Holder> holders = new LinkedHashMap<>();
        for (Processes.User user : Processes.having(status::isSameFileAs)) {
            if (user.process() != Processes.self()) {
                holders.computeIfAbsent(user.process(), process -> new Holder(Processes.describe(process), files(process)));
            }
        }
        return List.copyOf(holders.values());
    }

    /**
     * @param held what this run holds itself, which does not count
     * @return who has the image open in a way that would keep a run from it, in a phrase: by QEMU's locks alone
     */
    public static Optional<String> lockHolder(Path image, HeldFiles held) throws IOException {
        try (NativeFile file = NativeFile.open(image, Descriptor.Purpose.READ)) {
            return held.holds(file) ? Optional.empty() : ImageLocks.holder(file, Role.WRITER);
        }
    }

    private static List<Path> files(int process) {
        List<Path> files = new ArrayList<>();
        String folder = "/proc/" + process + "/fd/";
        String[] descriptors = new File(folder).list();
        for (int i = 0; descriptors != null && i < Math.min(descriptors.length, MOST_FILES); i++) {
            try {
                Path file = Files.readSymbolicLink(Path.of(folder + descriptors[i]));
                if (file.isAbsolute() && !file.startsWith("/dev/pts") && Files.exists(file) && !files.contains(file)) {
                    files.add(file);
                }
            } catch (IOException | InvalidPathException gone) {
                // Closed since, or no file.
            }
        }
        return List.copyOf(files);
    }
}
