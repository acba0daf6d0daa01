package io.lacuna.diskimage;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Which processes have a file open or mapped, as /proc tells; of those that this process may look into. */
final class Processes {

    private static final Pattern LOCK = Pattern.compile("lock:\\s.*READ.* (\\d+) (\\d+|EOF)\\s*");

    private Processes() {
    }

    /**
     * A process that has a file.
     *
     * @param descriptor its descriptor; -1 if it has the file only mapped into memory
     * @param writes whether it can write to it
     */
    record User(int process, int descriptor, boolean writes) {

        String describe() {
            return Processes.describe(process) + (descriptor < 0 ? " has it mapped into memory"
                    : " has it open (descriptor " + descriptor + ")");
        }
    }

    /** @return all open descriptors of such files, this very process' own included */
    static List<User> having(Predicate<FileStatus> file) {
        List<User> users = new ArrayList<>();
        for (int process : all()) {
            String folder = "/proc/" + process + "/fd/";
            String[] descriptors = new File(folder).list();
            if (descriptors == null) {
                continue;
            }
            for (String descriptor : descriptors) {
                // A system call and no exception: most of these are sockets, or gone by now.
                FileStatus status = FileStatus.of(LinuxHost.bytes(folder + descriptor));
                if (status != null && file.test(status)) {
                    users.add(new User(process, Integer.parseInt(descriptor), writes(process, descriptor)));
                }
            }
        }
        return users;
    }

    /** @return whether this process may look into those of other users; the first one is root's, or hidden */
    static boolean seesThoseOfOthers() {
        return new File("/proc/1/fd").list() != null;
    }

    /** @return the processes that have this file mapped; slower than by descriptor, for it reads all maps */
    static List<User> mapping(FileStatus file) {
        // maps: range, permissions, offset, device (hexadecimal), inode, path
        String place = String.format(" %02x:%02x %d ", file.device() >>> 32, file.device() & 0xFFFF_FFFFL, file.inode());
        List<User> users = new ArrayList<>();
        for (int process : all()) {
            for (String line : lines("/proc/" + process + "/maps")) {
                if (line.contains(place)) {
                    String permissions = line.split(" ", 3)[1];
                    // One that is shared and not writable yet can be made so.
                    users.add(new User(process, -1, permissions.endsWith("s")));
                }
            }
        }
        return users;
    }

    /** @return who holds a read lock on this byte by another descriptor than this file's; empty if that cannot be seen */
    static Optional<String> otherHolderOfLock(NativeFile file, int at) {
        for (User user : having(file.status()::isSameFileAs)) {
            boolean ours = user.process() == self() && user.descriptor() == file.number();
            for (String line : lines("/proc/" + user.process() + "/fdinfo/" + user.descriptor())) {
                Matcher lock = LOCK.matcher(line);
                if (!ours && lock.matches() && Long.parseLong(lock.group(1)) <= at
                        && (lock.group(2).equals("EOF") || Long.parseLong(lock.group(2)) >= at)) {
                    return Optional.of(describe(user.process()));
                }
            }
        }
        return Optional.empty();
    }

    static int self() {
        return (int) ProcessHandle.current().pid();
    }

    /** @return name and number, to be recognised by */
    static String describe(int process) {
        List<String> name = lines("/proc/" + process + "/comm");
        String who = process == self() ? "this very run" : name.isEmpty() ? "a process" : "'" + name.get(0) + "'";
        return who + " (process " + process + ")";
    }

    private static List<Integer> all() {
        List<Integer> processes = new ArrayList<>();
        String[] names = new File("/proc").list();
        for (String name : names == null ? new String[0] : names) {
            if (!name.isEmpty() && name.length() < 10 && name.chars().allMatch(c -> c >= '0' && c <= '9')) {
                processes.add(Integer.parseInt(name));
            }
        }
        return processes;
    }

    /** Whether the descriptor's flags (octal) have O_WRONLY or O_RDWR; in doubt they do. */
    private static boolean writes(int process, String descriptor) {
        for (String line : lines("/proc/" + process + "/fdinfo/" + descriptor)) {
            if (line.startsWith("flags:")) {
                long flags = Long.parseLong(line.substring(6).strip(), 8);
                return (flags & 3) != 0 && (flags & LinuxHost.O_PATH) == 0;
            }
        }
        return true;
    }

    /** @return the lines of a file in /proc; none if it, or its process, is gone or closed to us */
    private static List<String> lines(String file) {
        try {
            return Files.readAllLines(Path.of(file), StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            return List.of();
        }
    }
}
