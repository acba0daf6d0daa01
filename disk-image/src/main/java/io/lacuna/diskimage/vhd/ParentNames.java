package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** The names under which a differencing disk's parent may be found beside it, the likeliest first. */
final class ParentNames {

    private ParentNames() {
    }

    /** @return relative to the child's folder, or as the host's own path; without doubles */
    static List<String> of(DynamicHeader header, HostFile file) throws IOException {
        List<String> relative = new ArrayList<>();
        List<String> last = new ArrayList<>();
        for (ParentLocator locator : header.locators()) {
            byte[] bytes = Bytes.read(file, "VHD parent locator", locator.offset(), locator.length(), ByteOrder.BIG_ENDIAN)
                    .copy(0, locator.length());
            switch (locator.platform()) {
                case ParentLocator.RELATIVE -> relative.add(slashes(utf16(bytes, false)));
                case ParentLocator.ABSOLUTE -> last.add(lastPart(utf16(bytes, false)));
                case ParentLocator.URL -> {
                    String path = path(cut(new String(bytes, StandardCharsets.UTF_8)));
                    relative.add(path);
                    last.add(lastPart(path));
                }
                default -> { } // Forms that nobody writes any more.
            }
        }
        last.add(lastPart(header.parentName()));
        Set<String> names = new LinkedHashSet<>(relative);
        relative.forEach(name -> last.add(lastPart(name)));
        names.addAll(last);
        names.remove("");
        return List.copyOf(names);
    }

    /** @return the characters before the first 0 */
    static String utf16(byte[] bytes, boolean bigEndian) {
        Charset charset = bigEndian ? StandardCharsets.UTF_16BE : StandardCharsets.UTF_16LE;
        return cut(new String(bytes, 0, bytes.length & ~1, charset));
    }

    private static String cut(String text) {
        int end = text.indexOf('\0');
        return end < 0 ? text : text.substring(0, end);
    }

    /** A Windows path as one of this host; a drive's letter means nothing here. */
    private static String slashes(String path) {
        String plain = path.replace('\\', '/');
        return plain.matches("[A-Za-z]:.*") ? lastPart(plain) : plain;
    }

    private static String lastPart(String path) {
        String plain = path.replace('\\', '/');
        return plain.substring(plain.lastIndexOf('/') + 1);
    }

    private static String path(String url) {
        String path = url.startsWith("file://") ? url.substring("file://".length()) : url;
        return path.startsWith("localhost/") ? path.substring("localhost".length()) : path;
    }
}
