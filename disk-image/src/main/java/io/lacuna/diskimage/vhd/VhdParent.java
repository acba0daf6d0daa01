package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.UnsafeException;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Finds a differencing disk's parent and makes sure that it is the one, unchanged. */
final class VhdParent {

    /** Seconds from 1970 to 2000, where a VHD's time begins. */
    private static final long EPOCH = 946_684_800L;
    /** Seconds that two host file systems may differ in how they keep the same time (FAT counts by two). */
    private static final long TOLERANCE = 2;

    private VhdParent() {
    }

    /**
     * Opens the parent, chain and all.
     *
     * @throws UnsafeException if it is missing, was changed after the child was made, or is another disk
     */
    static VhdImage open(HostFile file, DynamicHeader child, ImageLinks links) throws IOException {
        VhdImage parent = find(file, ParentNames.of(child, file), links);
        boolean right = false;
        try {
            if (!parent.id().equals(child.parentId())) {
                throw new UnsafeException("the differencing disk was made on the disk " + child.parentId() + ", and "
                        + parent.path() + " is the disk " + parent.id() + "; put the right parent there");
            }
            requireUnchanged(parent, child);
            if (!parent.isComplete()) {
                throw new UnsafeException("the differencing disk's parent " + parent.path() + " has lost a part of its disk");
            }
            right = true;
            return parent;
        } finally {
            if (!right) {
                parent.close();
            }
        }
    }

    private static void requireUnchanged(VhdImage parent, DynamicHeader child) throws IOException {
        if (child.parentStamp() == 0) {
            return;
        }
        long found = Math.floorDiv(parent.modifiedNanos(), TimeUnit.SECONDS.toNanos(1));
        long noted = EPOCH + child.parentStamp();
        if (Math.abs(found - noted) > TOLERANCE) {
            throw new UnsafeException("the differencing disk's parent " + parent.path() + " was changed after the differencing "
                    + "disk was made on it: it was last modified " + found + " s after 1970, and the differencing disk noted "
                    + noted
                    + "; if you know that its content is the same (a mere copy), say: touch -d @" + noted + " " + parent.path());
        }
    }

    private static VhdImage find(HostFile file, List<String> names, ImageLinks links) throws IOException {
        if (names.isEmpty()) {
            throw new UnsafeException("the differencing disk does not name its parent, so that nothing can be told of it");
        }
        String name = choose(file.path(), names, links.directories());
        DiskImage opened;
        try {
            opened = links.openBacking(name, VhdFormat.NAME);
        } catch (NoSuchFileException | FileNotFoundException missing) {
            throw new UnsafeException("the differencing disk's parent is missing: there is no file "
                    + String.join(" or ", names.stream().map(one -> "'" + one + "'").toList()) + " beside it; put it there");
        }
        if (opened instanceof VhdImage parent) {
            return parent;
        }
        opened.close();
        throw new IllegalStateException("links that open '" + VhdFormat.NAME + "' as something else");
    }

    /** Only to choose among names and folders: whether the file may be opened is for the links to say. */
    private static String choose(Path child, List<String> names, List<Path> folders) {
        Path beside = folderOf(child);
        for (String name : names) {
            if (isThere(beside, name)) {
                return name;
            }
        }
        for (Path folder : folders) {
            for (String name : names) {
                if (!name.contains("/") && isThere(folder, name)) {
                    return folder.resolve(name).toString();
                }
            }
        }
        return names.get(0);
    }

    private static Path folderOf(Path file) {
        try {
            return file.toRealPath().getParent();
        } catch (IOException removedSince) {
            return file.toAbsolutePath().getParent();
        }
    }

    private static boolean isThere(Path folder, String name) {
        try {
            return Files.exists(folder.resolve(name));
        } catch (InvalidPathException unusable) {
            return false;
        }
    }
}
