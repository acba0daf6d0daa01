package io.lacuna.diskimage.vdi;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.UUID;

/**
 * Finds the parent of a differencing VDI. The image knows it by its UUID only (VirtualBox keeps the names in its own registry),
 * so it is looked for among the images in the image's directory, in those that the caller allowed, and, where VirtualBox keeps
 * the image in a folder of snapshots, in the machine's own.
 */
final class VdiParent {

    /** Ours: files whose headers are read, in one directory. */
    private static final int MOST_FILES = 10_000;
    private static final String SNAPSHOTS = "Snapshots";

    private final HostFile file;
    private final VdiHeader header;
    private final ImageLinks links;
    private final List<String> remarks;

    VdiParent(HostFile file, VdiHeader header, ImageLinks links, List<String> remarks) {
        this.file = file;
        this.header = header;
        this.links = links;
        this.remarks = remarks;
    }

    /** @throws UnsafeException if it is missing, not certain or changed since the child was made */
    DiskImage open() throws IOException {
        Set<Path> folders = folders();
        Map<Path, VdiHeader> found = new LinkedHashMap<>();
        for (Path folder : folders) {
            for (Path candidate : list(folder)) {
                VdiHeader other = headerOf(candidate);
                if (other != null && other.id().equals(header.parent())) {
                    found.put(candidate.toRealPath(), other);
                }
            }
        }
        if (found.isEmpty()) {
            throw new UnsafeException("the parent of this differencing image, the VDI with the UUID " + header.parent()
                    + ", is missing: it is not in " + folders.iterator().next() + "; name its directory with --allow-backing DIR");
        }
        boolean recorded = !header.parentModification().equals(VdiHeader.NO_UUID);
        List<Path> matching = new ArrayList<>();
        found.forEach((path, other) -> {
            if (!recorded || other.modification().equals(header.parentModification())) {
                matching.add(path);
            }
        });
        if (matching.isEmpty()) {
            throw new UnsafeException("the parent of this differencing image, " + found.keySet().iterator().next()
                    + ", was written to after the child was made (its modification UUID differs), so that what the child shows "
                    + "cannot be trusted; restore the parent, or start the machine in VirtualBox to find out");
        }
        if (matching.size() > 1) {
            throw new UnsafeException("more than one image has the UUID of the parent, " + header.parent() + ": "
                    + matching.get(0) + " and " + matching.get(1) + "; move away the one that is a copy");
        }
        if (!recorded) {
            remarks.add("The image does not record in which state its parent was, so a change of the parent would not be noticed.");
        }
        return verified(links.openBacking(matching.get(0).toString(), VdiFormat.NAME));
    }

    private DiskImage verified(DiskImage parent) throws IOException {
        UUID id = parent instanceof VdiImage vdi ? vdi.header().id() : null;
        if (!header.parent().equals(id)) {
            parent.close();
            throw new UnsafeException("the parent of this differencing image was replaced while it was being opened; try again");
        }
        return parent;
    }

    private Set<Path> folders() throws IOException {
        Path own = file.path().toRealPath().getParent();
        Set<Path> folders = new LinkedHashSet<>();
        folders.add(own);
        for (Path allowed : links.directories()) {
            folders.add(allowed);
        }
        if (own.getParent() != null && own.endsWith(SNAPSHOTS)) {
            folders.add(own.getParent());
        }
        return folders;
    }

    private List<Path> list(Path folder) throws IOException {
        List<Path> files = new ArrayList<>();
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(folder, path ->
                path.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".vdi"))) {
            for (Path path : stream) {
                // A pipe of that name would wait for a writer.
                if (Files.isRegularFile(path) && !Files.isSameFile(path, file.path()) && files.size() < MOST_FILES) {
                    files.add(path);
                }
            }
        } catch (NoSuchFileException | NotDirectoryException | AccessDeniedException e) {
            return List.of();
        } catch (DirectoryIteratorException e) {
            throw e.getCause();
        }
        files.sort(null);
        return files;
    }

    /** @return null if it cannot be read or is not a VDI that could be a parent */
    private static VdiHeader headerOf(Path path) {
        try (HostFile candidate = DiskImages.look(path)) {
            return VdiHeader.parse(candidate);
        } catch (IOException notIt) {
            return null;
        }
    }
}
