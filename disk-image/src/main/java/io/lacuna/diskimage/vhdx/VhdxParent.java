package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.util.List;

/** Finds a differencing disk's parent and makes sure that it is the one, unchanged. */
final class VhdxParent {

    private VhdxParent() {
    }

    /**
     * Opens the parent, chain and all.
     *
     * @param child what the child says of itself
     * @param file the child's
     * @throws UnsafeException if it is missing, was changed after the child was made, or is another disk
     */
    static VhdxImage open(VhdxMetadata child, HostFile file, ImageLinks links) throws IOException {
        VhdxImage parent = find(child.parent().names(), file, links);
        boolean right = false;
        try {
            Guid content = parent.header().dataWriteGuid();
            if (!child.parent().identities().contains(content)) {
                throw new UnsafeException("the differencing disk was made on a parent with the content "
                        + child.parent().identities().get(0) + " (DataWriteGuid), and " + parent.path() + " has " + content
                        + ": it was changed since, or is another disk; without the right parent nothing can be told");
            }
            if (parent.sectorSize() != child.sectorSize()) {
                throw new UnsafeException("the differencing disk has sectors of " + child.sectorSize() + " bytes, and its parent "
                        + parent.path() + " has sectors of " + parent.sectorSize() + ": it cannot be the right one");
            }
            right = true;
            return parent;
        } finally {
            if (!right) {
                parent.close();
            }
        }
    }

    private static VhdxImage find(List<String> names, HostFile file, ImageLinks links) throws IOException {
        for (String name : names) {
            if (!isThere(name, file)) {
                continue;
            }
            DiskImage opened = links.openBacking(name, VhdxFormat.NAME);
            if (opened instanceof VhdxImage parent) {
                return parent;
            }
            opened.close();
            throw new IllegalStateException("links that open '" + VhdxFormat.NAME + "' as something else");
        }
        throw new UnsafeException("the differencing disk's parent is missing: there is no file " + String.join(" or ",
                names.stream().map(name -> "'" + name + "'").toList()) + " beside it; put it there");
    }

    /** Only looks: whether it may be opened is for the links to say. */
    private static boolean isThere(String name, HostFile file) throws IOException {
        try {
            return Files.exists(file.path().toRealPath().resolveSibling(name))
                    || Files.exists(file.path().toAbsolutePath().resolveSibling(name));
        } catch (InvalidPathException e) {
            return false;
        }
    }
}
