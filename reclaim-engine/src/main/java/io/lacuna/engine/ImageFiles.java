package io.lacuna.engine;

import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.DiskImages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import java.util.regex.Pattern;

/** Turns what a caller names into images: a directory stands for every disk image in it and below. */
public final class ImageFiles {

    /** How disks are called that carry no signature at their start: raw ones, and fixed VHDs, which have theirs at the end. */
    private static final Set<String> SUFFIXES = Set.of("raw", "img", "dd", "vhd", "vpc");
    /** A part of a VMDK, which is opened through its descriptor. */
    private static final Pattern VMDK_EXTENT = Pattern.compile(".*-(flat|delta|sesparse|ctk|[sf]\\d{3})\\.vmdk");
    /** Signatures at byte 0 of the formats that have one there. */
    private static final List<String> SIGNATURES = List.of("QFI\u00fb", "vhdxfile", "conectix", "KDMV", "COWD",
            "# Disk DescriptorFile");
    private static final String VDI_SIGNATURE = "\u007f\u0010\u00da\u00be";
    private static final int VDI_SIGNATURE_OFFSET = 0x40;
    private static final int HEAD_SIZE = 512;

    private ImageFiles() {
    }

    /**
     * @param named images, and directories that are searched for them; symbolic links inside a directory are not followed, and
     *     what an image's name may be called outside of one is not restricted
     * @return images, those of a directory sorted by path. What cannot be read is named too, so that it ends in the report
     * @throws IOException if a directory cannot be walked at all
     */
    public static List<Path> expand(List<Path> named) throws IOException {
        List<Path> images = new ArrayList<>();
        for (Path path : named) {
            if (Files.isDirectory(path)) {
                List<Path> found = new ArrayList<>();
                Files.walkFileTree(path, new Finder(found));
                found.sort(null);
                images.addAll(found);
            } else {
                images.add(path);
            }
        }
        return images;
    }

    private static final class Finder extends SimpleFileVisitor<Path> {
        private final List<Path> found;

        Finder(List<Path> found) {
            this.found = found;
        }

        @Override
        public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
            if (attributes.isRegularFile() && isImage(file)) {
                found.add(file);
            }
            return FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFileFailed(Path file, IOException e) {
            found.add(file);
            return FileVisitResult.CONTINUE;
        }
    }

    private static boolean isImage(Path file) {
        String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
        if (SUFFIXES.contains(name.substring(name.lastIndexOf('.') + 1))) {
            return true;
        }
        if (VMDK_EXTENT.matcher(name).matches()) {
            return false;
        }
        ByteBuffer head = ByteBuffer.allocate(HEAD_SIZE);
        try (HostFile opened = DiskImages.look(file)) {
            opened.read(0, head.limit((int) Math.min(HEAD_SIZE, opened.size())));
        } catch (IOException e) {
            // Whether it is an image cannot be told; opening it will say why.
            return true;
        }
        String text = new String(head.array(), StandardCharsets.ISO_8859_1);
        return SIGNATURES.stream().anyMatch(text::startsWith) || text.startsWith(VDI_SIGNATURE, VDI_SIGNATURE_OFFSET);
    }
}
