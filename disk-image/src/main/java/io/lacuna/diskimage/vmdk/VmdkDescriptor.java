package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.Charset;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The text that describes a disk: lines of {@code key=value}, comments behind {@code #}, and one line for each extent, up to a
 * byte 0 or the end. Source: VMware "Virtual Disk Format 5.0", "The Descriptor File".
 *
 * @param cid the content's id, which changes with every session that writes; a child remembers its parent's
 * @param parentCid the id of the parent's content when this child was made; {@link #NO_PARENT} if there is none
 * @param createType how the whole is stored, as the maker calls it; empty if not said
 * @param parentName the parent's file name; null if not said
 * @param changeTrackPath name of the file that tells which blocks changed since a backup; null if there is none
 * @param extents the parts of the disk, in their order
 */
record VmdkDescriptor(long cid, long parentCid, String createType, String parentName, String changeTrackPath,
        List<DescriptorExtent> extents) {

    static final long NO_PARENT = 0xFFFF_FFFFL;
    /** Ours; QEMU reads as much. */
    static final int MAX_SIZE = 1 << 20;
    /** Ours: a disk of 16 TB in files of 2 GB. */
    static final int MAX_EXTENTS = 8192;
    private static final int MAX_SHOWN = 40;

    private static final Pattern EXTENT = Pattern.compile(
            "(RW|RDONLY|NOACCESS)\\s+(\\d{1,16})\\s+(\\w{1,20})(?:\\s+\"([^\"]*)\"(?:\\s+(\\d{1,16}).*)?)?\\s*");
    private static final Pattern EXTENT_START = Pattern.compile("(?:RW|RDONLY|NOACCESS)\\s.*");
    private static final Pattern VERSION = Pattern.compile("version\\s*=\\s*[1-3]");

    /** @return whether what begins with these characters is a descriptor, as QEMU tells it; the usual first comment suffices */
    static boolean recognises(String head) {
        if (head.isEmpty() || "# \t\r\nvV".indexOf(head.charAt(0)) < 0) {
            return false;
        }
        String text = head.toLowerCase(Locale.ROOT);
        if (text.startsWith("# disk descriptorfile")) {
            return true;
        }
        for (String line : text.split("\r?\n", 64)) {
            String stripped = line.strip();
            if (!stripped.isEmpty() && !stripped.startsWith("#")) {
                return VERSION.matcher(stripped).matches();
            }
        }
        return false;
    }

    /** @param bytes at most {@link #MAX_SIZE} */
    static VmdkDescriptor parse(byte[] bytes) throws DiskFormatException {
        int end = 0;
        while (end < bytes.length && bytes[end] != 0) {
            end++;
        }
        Map<String, String> values = new HashMap<>();
        List<DescriptorExtent> extents = new ArrayList<>();
        for (String line : decode(bytes, end).split("\r\n|\n|\r")) {
            String text = line.strip();
            int equals = text.indexOf('=');
            if (text.isEmpty() || text.startsWith("#")) {
                continue;
            }
            if (EXTENT_START.matcher(text).matches()) {
                if (extents.size() == MAX_EXTENTS) {
                    throw new UnsupportedException("the VMDK's descriptor has more than " + MAX_EXTENTS + " extents");
                }
                extents.add(extent(text));
            } else if (equals > 0) {
                String key = text.substring(0, equals).strip().toLowerCase(Locale.ROOT);
                String value = unquoted(text.substring(equals + 1).strip());
                String other = values.put(key, value);
                if (other != null && !other.equals(value) && !key.startsWith("ddb.")) {
                    throw corrupt("'" + shown(key) + "' said once", "two different values");
                }
            }
        }
        String version = values.getOrDefault("version", "none");
        if (!version.matches("[1-3]")) {
            throw new UnsupportedException("VMDK descriptor: version", -1, "1 to 3", shown(version));
        }
        String createType = values.getOrDefault("createtype", "");
        return new VmdkDescriptor(id(values, "cid"), values.containsKey("parentcid") ? id(values, "parentcid") : NO_PARENT,
                createType, values.get("parentfilenamehint"), values.get("changetrackpath"), List.copyOf(extents));
    }

    boolean hasParent() {
        return parentCid != NO_PARENT;
    }

    private static DescriptorExtent extent(String line) throws DiskFormatException {
        Matcher field = EXTENT.matcher(line);
        if (!field.matches()) {
            throw corrupt("an extent as access, sectors, type, \"name\" and offset", "'" + shown(line) + "'");
        }
        DescriptorExtent.Kind kind = DescriptorExtent.Kind.of(field.group(3));
        long length = sectors(field.group(2));
        long offset = field.group(5) == null ? 0 : sectors(field.group(5));
        if (length == 0 || (kind == DescriptorExtent.Kind.ZERO) != (field.group(4) == null) || !kind.isFlat() && offset != 0) {
            throw corrupt("an extent with sectors and the name of a file", "'" + shown(line) + "'");
        }
        return new DescriptorExtent(DescriptorExtent.Access.valueOf(field.group(1)), length, kind, field.group(4), offset);
    }

    private static long sectors(String digits) throws CorruptException {
        long sectors = Long.parseLong(digits); // 16 digits fit.
        if (sectors > Long.MAX_VALUE >> Sectors.SHIFT + 1) {
            throw corrupt("a number of sectors", digits);
        }
        return sectors << Sectors.SHIFT;
    }

    private static long id(Map<String, String> values, String key) throws CorruptException {
        String value = values.getOrDefault(key, "none");
        if (!value.matches("[0-9a-fA-F]{1,8}")) {
            throw corrupt(key + " of up to 8 hexadecimal digits", "'" + shown(value) + "'");
        }
        return Long.parseLong(value, 16);
    }

    private static String unquoted(String value) {
        return value.length() >= 2 && value.startsWith("\"") && value.endsWith("\"")
                ? value.substring(1, value.length() - 1) : value;
    }

    /** UTF-8 where it is that; else what the text says it is, or byte by byte. */
    private static String decode(byte[] bytes, int end) {
        try {
            return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes, 0, end)).toString();
        } catch (CharacterCodingException e) {
            String plain = new String(bytes, 0, end, StandardCharsets.ISO_8859_1);
            return plain.toLowerCase(Locale.ROOT).contains("encoding=\"windows-1252\"") && Charset.isSupported("windows-1252")
                    ? new String(bytes, 0, end, Charset.forName("windows-1252")) : plain;
        }
    }

    /** @return a word of the text for a message: short, and nothing that a terminal would act on */
    static String shown(String word) {
        StringBuilder text = new StringBuilder();
        word.codePoints().limit(MAX_SHOWN).forEach(c -> text.appendCodePoint(
                Character.isISOControl(c) || Character.getType(c) == Character.FORMAT || !Character.isDefined(c) ? '?' : c));
        return text.append(word.length() > MAX_SHOWN ? "…" : "").toString();
    }

    private static CorruptException corrupt(String expected, String found) {
        return new CorruptException("VMDK descriptor", -1, expected, found);
    }
}
