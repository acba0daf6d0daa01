package io.lacuna.diskimage;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.raw.RawFormat;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The image that another one is based on, as that one's header says. For a look at which images belong together: takes no lock,
 * opens no parent, and writes nothing.
 *
 * @param name as the header gives it
 * @param path the file, all symbolic links followed; null if the name is no plain file name or there is no such file
 */
public record ImageBase(String name, Path path) {

    // Bits of st_mode, stat.h.
    private static final int S_IFMT = 0170000;
    private static final int S_IFREG = 0100000;
    private static final int S_IFBLK = 0060000;

    /**
     * @param directories where a parent may lie that the image knows only by its id
     * @return empty if the image has no parent, or this is nothing that holds an image
     * @throws IOException if that cannot be told, for the image is damaged, or cannot be read
     */
    public static Optional<ImageBase> of(Path image, List<Path> directories) throws IOException {
        try {
            look(image, directories, DiskImageFormat::mayHaveParent, new ArrayList<>());
            return Optional.empty();
        } catch (BaseNamed named) {
            return Optional.of(named.base);
        }
    }

    /**
     * @return the other files that hold the disk of an image together with it, by their real paths: extents, data files
     * @throws IOException if that cannot be told
     */
    public static List<Path> parts(Path image) throws IOException {
        List<Path> parts = new ArrayList<>();
        try {
            look(image, List.of(), DiskImageFormat::mayHaveParts, parts);
        } catch (BaseNamed behindTheParts) {
            // Only the image's own files count.
        }
        return parts;
    }

    /**
     * @param most bytes to read
     * @return how a file begins, read without touching its access time
     */
    public static byte[] head(Path image, int most) throws IOException {
        try (NativeFile file = NativeFile.open(image, Descriptor.Purpose.READ)) {
            ByteBuffer head = ByteBuffer.allocate((int) Math.min(most, file.size()));
            file.read(0, head);
            return head.array();
        }
    }

    /** Which images are worth opening. */
    private interface Sign {
        boolean isIn(DiskImageFormat format, HostFile file) throws IOException;
    }

    /** @param parts receives what the image opens beside itself */
    private static void look(Path image, List<Path> directories, Sign sign, List<Path> parts) throws IOException {
        int kind = (int) Files.getAttribute(image, "unix:mode") & S_IFMT;
        if (kind != S_IFREG && kind != S_IFBLK) {
            return;
        }
        NativeFile file;
        try {
            file = NativeFile.open(image, Descriptor.Purpose.READ);
        } catch (FileSystemException e) {
            if (Errno.ENOMEDIUM.isReasonOf(e) || Errno.ENXIO.isReasonOf(e)) {
                return; // A drive or a loop device without anything in it.
            }
            throw e;
        }
        DiskImageFormat format = null;
        try {
            for (DiskImageFormat candidate : DiskImages.formats()) {
                if (format == null && !candidate.name().equals(RawFormat.NAME) && sign.isIn(candidate, file)) {
                    format = candidate;
                }
            }
        } finally {
            if (format == null) {
                file.close();
            }
        }
        if (format == null) {
            return;
        }
        try {
            format.open(file, new Onlooker(file, directories, parts)).close();
        } catch (DiskFormatException e) {
            throw e.in(image);
        }
    }

    /** What an image throws whose parent's name has been heard: nothing of it needs to be opened further. */
    private static final class BaseNamed extends IOException {
        private static final long serialVersionUID = 1L;
        private final transient ImageBase base;

        BaseNamed(ImageBase base) {
            super("based on " + base.name(), null);
            this.base = base;
        }
    }

    private static final class Onlooker implements ImageLinks {
        private final NativeFile file;
        private final List<Path> directories;
        private final List<Path> parts;

        Onlooker(NativeFile file, List<Path> directories, List<Path> parts) {
            this.file = file;
            this.directories = directories;
            this.parts = parts;
        }

        @Override
        public DiskImage openBacking(String name, String format) throws IOException {
            throw new BaseNamed(new ImageBase(name, resolve(name)));
        }

        @Override
        public List<Path> directories() {
            List<Path> all = new ArrayList<>(directories);
            all.add(folder());
            return all;
        }

        /** A part of the image, of which only the header is read. */
        @Override
        public HostFile openDataFile(String name) throws IOException {
            Path part = resolve(name);
            if (part == null || !part.startsWith(folder()) || !Files.isRegularFile(part)) {
                throw new UnsafeException("a file of the image is missing, or lies outside of its directory");
            }
            parts.add(part);
            return NativeFile.open(part, Descriptor.Purpose.READ);
        }

        private Path folder() {
            return file.realPath().getParent();
        }

        /** @return null if there is no such file; any other failure leaves open which one it is */
        private Path resolve(String name) throws IOException {
            String plain = name.startsWith("file:") ? name.substring("file:".length()) : name;
            try {
                Path beside = folder().resolve(plain);
                return (Files.exists(beside) ? beside : file.path().toAbsolutePath().resolveSibling(plain)).toRealPath();
            } catch (NoSuchFileException | InvalidPathException notThere) {
                return null;
            }
        }
    }
}
