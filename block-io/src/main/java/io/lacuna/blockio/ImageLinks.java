package io.lacuna.blockio;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Opens the files that an image names. Such a name is the image's word, and a guest may have written it: the implementation
 * confines it, and the format only passes it on.
 */
public interface ImageLinks {

    /**
     * Opens the parent, read-only, chain and all.
     *
     * @param name as the image gives it, relative to the image's own directory
     * @param format the format the image recorded for it; null if none, which is refused, for it must never be guessed
     * @throws DiskFormatException if the name leads astray, the chain loops or is too long, or the parent is refused
     */
    DiskImage openBacking(String name, String format) throws IOException;

    /**
     * @return where to look for a parent that the image knows by its id and not by its name: directories in which files may be
     *     opened. The file that is found is opened by {@link #openBacking} with its whole path
     */
    default List<Path> directories() {
        return List.of();
    }

    /**
     * Opens a file that holds a part of this image's own data: writable if the image is.
     *
     * @param name as the image gives it, relative to the image's own directory
     * @throws DiskFormatException if the name leads astray
     */
    HostFile openDataFile(String name) throws IOException;
}
