package io.lacuna.diskimage;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The machines that libvirt knows on this host, as far as their disks go: its description files are read, nobody is asked. */
public final class LibvirtMachines {

    /** Bytes in which a machine's description must be; libvirt's are some ten thousand. */
    private static final int LONGEST_DESCRIPTION = 1 << 20;

    private final List<Path> folders;

    /** @param folders with a description file for each machine, NAME.xml */
    public LibvirtMachines(List<Path> folders) {
        this.folders = List.copyOf(folders);
    }

    /** @return those of the system and of this user, defined or running */
    public static LibvirtMachines ofThisHost() {
        List<Path> folders = new ArrayList<>(List.of(Path.of("/etc/libvirt/qemu"), Path.of("/run/libvirt/qemu"),
                Path.of(System.getProperty("user.home"), ".config/libvirt/qemu")));
        String runtime = System.getenv("XDG_RUNTIME_DIR");
        if (runtime != null && runtime.startsWith("/")) {
            folders.add(Path.of(runtime, "libvirt/qemu/run"));
        }
        return new LibvirtMachines(folders);
    }

    /**
     * @param unseen receives the folders and descriptions that this user may not look into, or that cannot be read
     * @return every file or device that a description names, with its machine's name
     */
    public Map<Path, String> disks(Consumer<Path> unseen) {
        Map<Path, String> disks = new LinkedHashMap<>();
        for (Path folder : folders) {
            try (DirectoryStream<Path> descriptions = Files.newDirectoryStream(folder, "*.xml")) {
                for (Path description : descriptions) {
                    add(description, disks, unseen);
                }
            } catch (NoSuchFileException | NotDirectoryException nothingThere) {
                continue;
            } catch (IOException | DirectoryIteratorException closed) {
                unseen.accept(folder);
            }
        }
        return disks;
    }

    private static void add(Path description, Map<Path, String> disks, Consumer<Path> unseen) {
        byte[] head;
        try (var in = Files.newInputStream(description)) {
            head = in.readNBytes(LONGEST_DESCRIPTION);
        } catch (NoSuchFileException gone) {
            return;
        } catch (IOException closed) {
            unseen.accept(description);
            return;
        }
        String file = description.getFileName().toString();
        String machine = file.substring(0, file.length() - ".xml".length());
        for (String name : paths(new String(head, StandardCharsets.UTF_8))) {
            try {
                disks.putIfAbsent(Path.of(name), machine);
            } catch (InvalidPathException unusable) {
                // No file can be called so here.
            }
        }
    }

    /** @return the absolute paths that a machine's or snapshot's description gives for disks, their parents and other files */
    static List<String> paths(String description) {
        List<String> paths = new ArrayList<>();
        Matcher path = Description.PATH.matcher(description);
        while (path.find()) {
            String text = path.group(1) != null ? path.group(1) : path.group(2);
            String name = text.replace("&apos;", "'").replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">")
                    .replace("&amp;", "&");
            if (name.startsWith("/")) {
                paths.add(name);
            }
        }
        return paths;
    }

    /** Compiled only on a host with libvirt. */
    private static final class Description {
        private static final Pattern PATH
                = Pattern.compile("\\b(?:file|dev|volume)\\s*=\\s*(?:'([^'<]*)'|\"([^\"<]*)\")");
    }
}
