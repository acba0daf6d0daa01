package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * The bytes of the file that are the format's own and no block's, but for the footer at the end.
 *
 * @param all bytes that no block may lie in
 * @param reserved bytes besides that another program may write to
 * @param hasBlockMap whether Xen's own map of full blocks is there
 */
record Structures(ExtentSet all, ExtentSet reserved, boolean hasBlockMap) {

    /** Xen's map, behind the table: cookie, offset of the map in bytes (at 8), its size in sectors (at 16), big-endian. */
    private static final String BLOCK_MAP_COOKIE = "tdbatmap";
    private static final int SECTOR = 512;

    /** @throws CorruptException if they lie on top of each other */
    static Structures of(HostFile file, DynamicHeader header) throws IOException {
        Extent[] own = {new Extent(0, VhdFooter.SIZE), new Extent(header.offset(), DynamicHeader.SIZE),
            new Extent(header.tableOffset(), Math.max(SECTOR, header.tableSize()))};
        ExtentSet all = ExtentSet.of(own);
        if (all.totalBytes() != own[0].length() + own[1].length() + own[2].length()) {
            throw new CorruptException("VHD dynamic disk header: table offset", header.offset(),
                    "footer, header and table beside each other", "one on top of another");
        }
        ExtentSet.Builder reserved = ExtentSet.builder();
        for (ParentLocator locator : header.locators()) {
            all = all.union(ExtentSet.ofRange(locator.offset(), locator.sectors()));
            reserved.add(locator.offset(), locator.reserved());
        }
        ExtentSet blockMap = blockMap(file, own[2].end());
        return new Structures(all.union(blockMap), reserved.build(), !blockMap.isEmpty());
    }

    private static ExtentSet blockMap(HostFile file, long at) throws IOException {
        if (at > file.size() - SECTOR) {
            return ExtentSet.EMPTY;
        }
        Bytes header = Bytes.read(file, "Xen's map of full blocks", at, SECTOR, ByteOrder.BIG_ENDIAN);
        if (!header.matches(0, BLOCK_MAP_COOKIE)) {
            return ExtentSet.EMPTY;
        }
        long offset = header.u64(8);
        long size = header.u32(16) * SECTOR;
        if (offset > file.size() - size) {
            throw header.corrupt("Xen's map of full blocks: offset", 8, size + " bytes before the end at " + file.size(), offset);
        }
        return ExtentSet.builder().add(at, SECTOR).add(offset, size).build();
    }
}
