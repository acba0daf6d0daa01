package io.lacuna.fs.ntfs;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The catalog of Volume Shadow Copies: entries of 128 bytes, two for each shadow copy of this volume, and one for each shadow
 * copy of another volume that is stored here. Source: libvshadow, "Catalog".
 *
 * @param stores of this volume and of others, in the order of the catalog
 */
record ShadowCatalog(List<ShadowStore> stores) {

    /** Windows keeps at most 512 shadow copies of a volume; those of others may be stored here as well. */
    static final int MAX_STORES = 1024;
    /** Ours: twice what so many entries take. */
    private static final int MAX_BLOCKS = 64;

    private static final int ENTRY_SIZE = 128;
    private static final int TYPE = 0x00;                   // u64
    private static final int UNUSED = 0;
    private static final int NOT_IN_USE_ANY_MORE = 1;
    private static final int SHADOW_COPY = 2;
    private static final int STORE = 3;
    private static final int STORE_ID = 0x10;               // GUID, in both
    private static final int ID_SIZE = 16;
    private static final int VOLUME_SIZE = 0x08;            // u64, bytes; in an entry of type 2

    /**
     * @param offset of the first block
     * @throws CorruptException if it cannot be read, or lists a shadow copy twice or without its store
     */
    static ShadowCatalog read(ShadowBlocks blocks, long offset) throws IOException {
        Map<String, Long> volumeSizes = new LinkedHashMap<>();
        Map<String, Bytes> storeEntries = new LinkedHashMap<>();
        long at = offset;
        for (int index = 0; at != 0; index++) {
            Bytes block = blocks.read("VSS catalog", ShadowBlocks.TYPE_CATALOG, at);
            if (index == MAX_BLOCKS) {
                throw new CorruptException("VSS catalog", offset, "at most " + MAX_BLOCKS + " blocks", "more");
            }
            if (block.s64(ShadowBlocks.RELATIVE_OFFSET) != (long) index * ShadowBlocks.SIZE) {
                throw block.corrupt("VSS catalog: place in the catalog", ShadowBlocks.RELATIVE_OFFSET,
                        index * ShadowBlocks.SIZE + "", block.s64(ShadowBlocks.RELATIVE_OFFSET));
            }
            for (int entry = ShadowBlocks.HEADER_SIZE; entry < ShadowBlocks.SIZE; entry += ENTRY_SIZE) {
                add(block.slice(entry, ENTRY_SIZE), volumeSizes, storeEntries, blocks.volumeSize());
            }
            at = ShadowBlocks.next(block);
        }
        return new ShadowCatalog(pair(volumeSizes, storeEntries, offset));
    }

    private static void add(Bytes entry, Map<String, Long> volumeSizes, Map<String, Bytes> storeEntries, long volumeSize)
            throws CorruptException {
        long type = entry.s64(TYPE);
        if (type == UNUSED || type == NOT_IN_USE_ANY_MORE) {
            return;
        }
        String id = HexFormat.of().formatHex(entry.copy(STORE_ID, ID_SIZE));
        boolean isNew;
        if (type == SHADOW_COPY) {
            long size = entry.u64(VOLUME_SIZE);
            if (size == 0 || size > volumeSize) {
                throw entry.corrupt("VSS catalog: size of a shadow copy", VOLUME_SIZE,
                        "at most the volume's " + volumeSize, size);
            }
            isNew = volumeSizes.put(id, size) == null;
        } else if (type == STORE) {
            isNew = storeEntries.put(id, entry) == null;
        } else {
            throw entry.corrupt("VSS catalog: type of an entry", TYPE, "0 to 3", type);
        }
        if (!isNew) {
            throw entry.corrupt("VSS catalog: entries of type " + type + " for one shadow copy", STORE_ID, "one", "several");
        }
        if (volumeSizes.size() > MAX_STORES || storeEntries.size() > MAX_STORES) {
            throw entry.corrupt("VSS catalog: shadow copies", TYPE, "at most " + MAX_STORES, "more");
        }
    }

    /**
     * A store without a shadow copy is one of another volume. The catalog is all that says so, and other readers of it have
     * taken one for the other: its bitmaps count as if they spoke of this volume, too.
     */
    private static List<ShadowStore> pair(Map<String, Long> volumeSizes, Map<String, Bytes> storeEntries, long catalog)
            throws CorruptException {
        for (String id : volumeSizes.keySet()) {
            if (!storeEntries.containsKey(id)) {
                throw new CorruptException("VSS catalog: store of a shadow copy", catalog, "on this volume", "none");
            }
        }
        List<ShadowStore> stores = new ArrayList<>();
        for (Map.Entry<String, Bytes> entry : storeEntries.entrySet()) {
            stores.add(ShadowStore.parse(entry.getValue(), volumeSizes.getOrDefault(entry.getKey(), ShadowStore.FOREIGN)));
        }
        return List.copyOf(stores);
    }

    /** @return how many shadow copies of this volume there are */
    int ownCount() {
        return (int) stores.stream().filter(ShadowStore::isOwn).count();
    }
}
