package io.lacuna.diskimage;

import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.regex.Pattern;

/**
 * Looks for the saved memory of a machine whose disk this image may be: such a machine resumes with its file systems open and
 * uses what the disk calls free.
 *
 * <p>A machine's disk need not be named as the machine is, and VirtualBox names its states by the time of day. So a state file
 * counts by its place alone: in the image's own directory, or in those that VirtualBox and Hyper-V keep for it beside the
 * image or beside the image's directory. One kind can be told to hold no memory: VMware's {@code .vmsn} of a snapshot that
 * was taken while the machine was off is some ten kilobytes, and there is no {@code .vmem} beside it. With memory inside
 * it has the size of the memory.
 *
 * <p>libvirt keeps its states in a place of its own. They begin with the machine's description, which names the disks.
 */
final class SavedMemory {

    private static final Map<String, String> SUFFIXES = Map.of(
            ".vmss", "VMware's state of a suspended machine",
            ".vmem", "VMware's saved memory of a machine",
            ".vmsn", "VMware's snapshot with memory",
            ".sav", "VirtualBox's state of a saved machine",
            ".vsv", "Hyper-V's state of a saved machine",
            ".vmrs", "Hyper-V's state of a machine");

    /** VirtualBox's and Hyper-V's. */
    private static final List<String> STATE_FOLDERS = List.of("Snapshots", "Virtual Machines");

    /** More than VMware writes for a machine that is off, less than any memory. */
    private static final long LARGEST_SNAPSHOT_WITHOUT_MEMORY = 1 << 20;

    /** Bytes in which a machine's description must be; libvirt's are some ten thousand. */
    private static final int LONGEST_DESCRIPTION = 1 << 20;

    /** Compiled only on a host with libvirt. */
    private static final class Description {
        private static final Pattern EXTERNAL_MEMORY
                = Pattern.compile("<memory\\b[^>]*\\bsnapshot\\s*=\\s*['\"]external['\"]");
    }

    private final List<Path> stateFolders;
    private final List<Path> snapshotFolders;

    /**
     * @param stateFolders where libvirt keeps the memory of managed-saved machines
     * @param snapshotFolders where it keeps, a folder for each machine, the descriptions of snapshots
     */
    SavedMemory(List<Path> stateFolders, List<Path> snapshotFolders) {
        this.stateFolders = List.copyOf(stateFolders);
        this.snapshotFolders = List.copyOf(snapshotFolders);
    }

    static SavedMemory ofThisHost() {
        Path system = Path.of("/var/lib/libvirt/qemu");
        Path session = Path.of(System.getProperty("user.home"), ".config/libvirt/qemu");
        return new SavedMemory(List.of(system.resolve("save"), session.resolve("save")),
                List.of(system.resolve("snapshot"), session.resolve("snapshot")));
    }

    /** @throws UnsafeException if there is a sign of saved memory, for the whole machine */
    void refuse(NativeFile image, Consumer<String> remarks) throws IOException {
        Optional<String> sign = find(image, remarks);
        if (sign.isPresent()) {
            throw new UnsafeException(sign.get(), UnsafeException.Scope.MACHINE);
        }
    }

    /**
     * @param remarks receives what could not be looked at, each a sentence
     * @return what was found and what to do, in a sentence
     */
    Optional<String> find(NativeFile image, Consumer<String> remarks) throws IOException {
        if (!image.isBlockDevice()) {
            for (Path folder : foldersAround(image)) {
                Optional<String> sign = beside(folder, remarks);
                if (sign.isPresent()) {
                    return sign;
                }
            }
        }
        for (Path folder : stateFolders) {
            for (Path state : list(folder, "*.save", remarks)) {
                if (names(head(state, remarks), image)) {
                    return Optional.of("libvirt has saved the memory of the machine that uses the image (" + state
                            + "); start it and shut it down, or drop the state with virsh managedsave-remove");
                }
            }
        }
        for (Path folder : snapshotFolders) {
            for (Path machine : list(folder, "*", remarks)) {
                for (Path snapshot : list(machine, "*.xml", remarks)) {
                    String description = head(snapshot, remarks);
                    if (Description.EXTERNAL_MEMORY.matcher(description).find() && names(description, image)) {
                        return Optional.of("libvirt has a snapshot with memory of the machine that uses the image (" + snapshot
                                + "), and going back to it needs the disk as it was; delete the snapshot first");
                    }
                }
            }
        }
        return Optional.empty();
    }

    private static Set<Path> foldersAround(NativeFile image) {
        Set<Path> folders = new LinkedHashSet<>();
        for (Path path : List.of(image.realPath(), image.path().toAbsolutePath())) {
            Path own = path.getParent();
            folders.add(own);
            STATE_FOLDERS.forEach(name -> folders.add(own.resolve(name)));
            if (own.getParent() != null) {
                STATE_FOLDERS.forEach(name -> folders.add(own.resolveSibling(name)));
            }
        }
        return folders;
    }

    private static Optional<String> beside(Path folder, Consumer<String> remarks) throws IOException {
        List<Path> files = new ArrayList<>(list(folder, "*", remarks));
        // Hyper-V until 2012 puts each machine's state into a folder of its own.
        if (folder.endsWith("Virtual Machines")) {
            for (Path machine : List.copyOf(files)) {
                files.addAll(list(machine, "*", remarks));
            }
        }
        for (Path file : files) {
            String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
            String what = SUFFIXES.get(name.substring(Math.max(0, name.lastIndexOf('.'))));
            if (name.startsWith("vm-") && name.contains("-state-suspend-")) {
                what = "Proxmox' state of a suspended machine";
            }
            if (what != null && Files.isRegularFile(file) && holdsMemory(file, name)) {
                return Optional.of(what + " lies beside the image (" + file + "): resume it and shut it down, or, if it is of "
                        + "another machine or out of date, move it away");
            }
        }
        return Optional.empty();
    }

    private static boolean holdsMemory(Path file, String name) throws IOException {
        long size = Files.size(file);
        return name.endsWith(".vmsn") ? size > LARGEST_SNAPSHOT_WITHOUT_MEMORY : size > 0;
    }

    /** @return whether a description names the image as one of its files, by whatever path */
    private static boolean names(String description, NativeFile image) {
        for (String name : LibvirtMachines.paths(description)) {
            FileStatus status = FileStatus.of(LinuxHost.bytes(name));
            if (status != null && status.isSameFileAs(image.status())) {
                return true;
            }
        }
        return false;
    }

    /** @return the part of a state or description file that holds the description; UTF-8 */
    private static String head(Path file, Consumer<String> remarks) throws IOException {
        byte[] head;
        try (var in = Files.newInputStream(file)) {
            head = in.readNBytes(LONGEST_DESCRIPTION);
        } catch (NoSuchFileException e) {
            return "";
        } catch (AccessDeniedException e) {
            remarks.accept(unseen(file));
            return "";
        }
        String text = new String(head, StandardCharsets.UTF_8);
        // In a state file the memory follows, behind the closing tag of the description.
        int start = text.indexOf('<');
        int end = Math.max(text.indexOf("</domstatus>"), text.indexOf("</domain>"));
        return text.startsWith("LibvirtQemud") && start >= 0 && end > start ? text.substring(start, end) : text;
    }

    private static String unseen(Path path) {
        return "Whether " + path + " is of a machine with saved memory could not be seen: permission denied.";
    }

    private static List<Path> list(Path folder, String glob, Consumer<String> remarks) throws IOException {
        List<Path> files = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, glob)) {
            stream.forEach(files::add);
        } catch (NoSuchFileException | NotDirectoryException e) {
            return List.of();
        } catch (AccessDeniedException e) {
            remarks.accept(unseen(folder));
            return List.of();
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        return files;
    }
}
