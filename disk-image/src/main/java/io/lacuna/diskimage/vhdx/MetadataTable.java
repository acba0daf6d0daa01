package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * The items of the metadata region: 64 KiB at its start, a header of 32 bytes and entries of 32 bytes. Source: [MS-VHDX] 2.6.1.
 *
 * @param offset byte of the file where the table lies
 * @param items the system's items by identity; those that nobody knows stay in the file as they are
 */
record MetadataTable(long offset, Map<Guid, Item> items) {

    private static final Set<Guid> KNOWN = Set.of(VhdxMetadata.FILE_PARAMETERS, VhdxMetadata.VIRTUAL_DISK_SIZE,
            VhdxMetadata.VIRTUAL_DISK_ID, VhdxMetadata.LOGICAL_SECTOR_SIZE, VhdxMetadata.PHYSICAL_SECTOR_SIZE,
            VhdxMetadata.PARENT_LOCATOR);

    private static final int SIZE = 64 << 10;
    private static final int HEADER_SIZE = 32;
    private static final int ENTRY_SIZE = 32;
    private static final int ENTRY_COUNT = 10; // u16
    private static final int MAX_ENTRIES = 2047; // the specification's, as many as fit
    private static final int MAX_ITEM_LENGTH = 1 << 20; // the specification's
    private static final int ITEM_OFFSET = 16; // u32, in an entry: from the region's start
    private static final int ITEM_LENGTH = 20; // u32, in an entry
    private static final int FLAGS = 24; // u32, in an entry
    private static final long IS_USER = 1;
    private static final long IS_REQUIRED = 4;

    /**
     * @param offset byte of the file; means nothing if there are no bytes
     * @param length bytes, at most 1 MiB
     */
    record Item(long offset, int length) {
    }

    /** What names an item. */
    private record Key(Guid id, boolean user) {
    }

    /**
     * @param file with its log laid over
     * @param region bytes of the file, inside it, at least 1 MiB
     */
    static MetadataTable read(BlockSource file, Extent region) throws IOException {
        Bytes table = Bytes.read(file, "VHDX metadata table", region.offset(), SIZE, ByteOrder.LITTLE_ENDIAN);
        if (!table.matches(0, "metadata")) {
            throw table.corrupt("VHDX metadata table: signature", 0, "'metadata'", "another one");
        }
        int count = table.u16(ENTRY_COUNT);
        if (count > MAX_ENTRIES) {
            throw table.corrupt("VHDX metadata table: number of entries", ENTRY_COUNT, "at most " + MAX_ENTRIES, count);
        }
        Map<Key, Item> items = new HashMap<>();
        ExtentSet.Builder places = ExtentSet.builder();
        long total = 0;
        for (int i = 0; i < count; i++) {
            int at = HEADER_SIZE + i * ENTRY_SIZE;
            long flags = table.u32(at + FLAGS);
            Key key = new Key(Guid.at(table, at), (flags & IS_USER) != 0);
            if ((flags & IS_REQUIRED) != 0 && (key.user() || !KNOWN.contains(key.id()))) {
                throw table.unsupported("VHDX metadata table: entry " + i, at, "no required item that is unknown", key.id());
            }
            Item item = item(table, at, i, region);
            if (items.put(key, item) != null) {
                throw table.corrupt("VHDX metadata table: entry " + i, at, "an item named once", key.id() + " again");
            }
            if (item.length() > 0) {
                places.add(item.offset(), item.length());
                total += item.length();
            }
        }
        if (places.build().totalBytes() != total) {
            throw table.corrupt("VHDX metadata table: items", HEADER_SIZE, "places beside each other", "overlapping ones");
        }
        Map<Guid, Item> system = new HashMap<>();
        items.forEach((key, item) -> {
            if (!key.user()) {
                system.put(key.id(), item);
            }
        });
        return new MetadataTable(region.offset(), Map.copyOf(system));
    }

    private static Item item(Bytes table, int at, int i, Extent region) throws CorruptException {
        long offset = table.u32(at + ITEM_OFFSET);
        long length = table.u32(at + ITEM_LENGTH);
        if (length > MAX_ITEM_LENGTH) {
            throw table.corrupt("VHDX metadata table: length of entry " + i, at + ITEM_LENGTH, "at most 1 MiB", length);
        }
        if (length == 0 ? offset != 0 : offset < SIZE || offset > region.length() - length) {
            throw table.corrupt("VHDX metadata table: offset of entry " + i, at + ITEM_OFFSET,
                    "a place behind the table, inside of the region of " + region.length() + " bytes", offset);
        }
        return new Item(region.offset() + offset, (int) length);
    }

    /** @return null if there is no such item of the system's */
    Item item(Guid id) {
        return items.get(id);
    }
}
