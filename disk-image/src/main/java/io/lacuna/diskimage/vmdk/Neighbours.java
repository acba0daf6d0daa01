package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.DiskImages;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Finds the descriptor beside a file that is an extent by the look of its name. */
final class Neighbours {

    /** As VMware and QEMU name extents. */
    private static final Pattern EXTENT_NAME = Pattern.compile("(.+)-(?:flat|delta|sesparse|[sf]\\d{3,})(\\.[^.]+)");

    private Neighbours() {
    }

    /** @return the file name of a descriptor in the same directory that names this file; null if there is none */
    static String descriptorOf(HostFile file) {
        if (file.isBlockDevice() || file.path().getFileName() == null) {
            return null;
        }
        String name = file.path().getFileName().toString();
        Matcher extent = EXTENT_NAME.matcher(name);
        if (!extent.matches()) {
            return null;
        }
        Path neighbour = file.path().resolveSibling(extent.group(1) + extent.group(2));
        if (!Files.isRegularFile(neighbour, LinkOption.NOFOLLOW_LINKS)) {
            return null;
        }
        try (HostFile opened = DiskImages.look(neighbour)) {
            ByteBuffer head = ByteBuffer.allocate((int) Math.min(VmdkDescriptor.MAX_SIZE, opened.size()));
            opened.read(0, head);
            String text = new String(head.array(), StandardCharsets.UTF_8);
            return VmdkDescriptor.recognises(text) && text.contains("\"" + name + "\"") ? neighbour.getFileName().toString() : null;
        } catch (IOException unreadable) {
            return null;
        }
    }
}
