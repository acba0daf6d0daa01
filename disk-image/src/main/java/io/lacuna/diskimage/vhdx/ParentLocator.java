package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Where a differencing disk's parent is and what it is known by: a header of 20 bytes, entries of 12 bytes, strings in UTF-16.
 * Source: [MS-VHDX] 2.6.2.6.
 *
 * @param identities the parent's DataWriteGuid is one of these: two while a merge is under way, else one
 * @param names where to look for the parent, in this order: names relative to the child's directory, with slashes
 */
record ParentLocator(List<Guid> identities, List<String> names) {

    static final Guid VHDX_TYPE = Guid.of("b04aefb7-d19e-4a81-b789-25b8e9445913");

    private static final int HEADER_SIZE = 20;
    private static final int KEY_VALUE_COUNT = 18; // u16
    private static final int ENTRY_SIZE = 12; // key offset u32, value offset u32, key length u16, value length u16

    static ParentLocator parse(Bytes item) throws IOException {
        Guid type = Guid.at(item, 0);
        if (!type.equals(VHDX_TYPE)) {
            throw item.unsupported("VHDX parent locator: type", 0, "a VHDX parent (" + VHDX_TYPE + ")", type);
        }
        Map<String, String> values = values(item);
        List<Guid> identities = new ArrayList<>();
        for (String key : new String[] {"parent_linkage", "parent_linkage2"}) {
            String value = values.get(key);
            if (value != null) {
                identities.add(Guid.parse(value).orElseThrow(() -> item.corrupt("VHDX parent locator: " + key, 0, "a GUID",
                        "another text")));
            }
        }
        if (identities.isEmpty()) {
            throw item.corrupt("VHDX parent locator", 0, "an entry parent_linkage, which names the parent's content", "none");
        }
        return new ParentLocator(List.copyOf(identities), names(values, item));
    }

    private static Map<String, String> values(Bytes item) throws CorruptException {
        int count = item.u16(KEY_VALUE_COUNT);
        Map<String, String> values = new HashMap<>();
        for (int i = 0; i < count; i++) { // at most 65535, and each takes 12 bytes of the item
            int at = HEADER_SIZE + i * ENTRY_SIZE;
            String key = text(item, at, item.u32(at), item.u16(at + 8));
            String value = text(item, at + 4, item.u32(at + 4), item.u16(at + 10));
            if (values.put(key, value) != null) {
                throw item.corrupt("VHDX parent locator: entry " + i, at, "a key of its own", "one that is there already");
            }
        }
        return values;
    }

    private static String text(Bytes item, int at, long offset, int length) throws CorruptException {
        if (offset == 0 || length == 0 || length % 2 != 0 || offset > item.length() - length) {
            throw item.corrupt("VHDX parent locator: string", at, "whole characters inside of the " + item.length() + " bytes",
                    length + " bytes at " + offset);
        }
        String text = new String(item.copy((int) offset, length), StandardCharsets.UTF_16LE);
        if (text.indexOf('\0') >= 0) {
            throw item.corrupt("VHDX parent locator: string", (int) offset, "no character 0", "one");
        }
        return text;
    }

    /** Windows' absolute paths mean nothing here, but the file may have come along: then it lies beside the child. */
    private static List<String> names(Map<String, String> values, Bytes item) throws IOException {
        Set<String> names = new LinkedHashSet<>();
        Optional.ofNullable(values.get("relative_path")).map(ParentLocator::slashes)
                .filter(path -> path.indexOf(':') < 0).ifPresent(names::add);
        for (String key : new String[] {"relative_path", "volume_path", "absolute_win32_path"}) {
            Optional.ofNullable(values.get(key)).map(ParentLocator::slashes)
                    .map(path -> path.substring(path.lastIndexOf('/') + 1)).filter(name -> !name.isEmpty())
                    .ifPresent(names::add);
        }
        if (names.isEmpty()) {
            throw new UnsupportedException("the VHDX is a differencing disk (parent locator at byte " + item.position(0)
                    + "), but does not say where its parent is");
        }
        return List.copyOf(names);
    }

    private static String slashes(String path) {
        String slashed = path.replace('\\', '/');
        return slashed.startsWith("./") ? slashed.substring(2) : slashed;
    }
}
