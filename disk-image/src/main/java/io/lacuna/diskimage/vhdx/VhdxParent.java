package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.UnsafeException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.List;

/** Finds a differencing disk's parent and makes sure that it is the one, unchanged. */
final class VhdxParent {

    private VhdxParent() {
    }

    /**
     * Opens the parent, chain and all.
     *
     * @param child what the child says of itself
     * @throws UnsafeException if it is missing, was changed after the child was made, or is another disk
     */
    static VhdxImage open(VhdxMetadata child, ImageLinks links) throws IOException {
        VhdxImage parent = find(child.parent().names(), links);
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

    private static VhdxImage find(List<String> names, ImageLinks links) throws IOException {
        for (String name : names) {
            DiskImage opened;
            try {
                opened = links.openBacking(name, VhdxFormat.NAME);
            } catch (NoSuchFileException | FileNotFoundException missing) {
                continue;
            }
            if (opened instanceof VhdxImage parent) {
                return parent;
            }
            opened.close();
            throw new IllegalStateException("links that open '" + VhdxFormat.NAME + "' as something else");
        }
        throw new UnsafeException("the differencing disk's parent is missing: there is no file " + String.join(" or ",
                names.stream().map(name -> "'" + name + "'").toList()) + " beside it; put it there");
    }
}
