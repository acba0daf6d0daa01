package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteOrder;
import java.util.HashSet;
import java.util.Set;

/**
 * Where the tables lie: 64 KiB at 192 KiB, a copy at 256 KiB. Source: [MS-VHDX] 2.2.3.
 *
 * @param bat bytes of the file for the block allocation table
 * @param metadata bytes of the file for the metadata region
 * @param reserved all bytes of the file that can never be a block's: headers, log, and every region, known or not
 * @param bothValid whether both copies are whole
 */
record RegionTable(Extent bat, Extent metadata, ExtentSet reserved, boolean bothValid) {

    static final Guid BAT = Guid.of("2dc27766-f623-4200-9d64-115e9bfd4a08");
    static final Guid METADATA = Guid.of("8b7ca206-4790-4b9a-b8fe-575f050f886e");

    private static final long FIRST = 192 << 10;
    private static final long SECOND = 256 << 10;
    private static final int SIZE = 64 << 10;
    private static final int HEADER_SIZE = 16;
    private static final int ENTRY_SIZE = 32;
    private static final int MAX_ENTRIES = 2047; // the specification's, as many as fit
    private static final int CHECKSUM = 4; // u32
    private static final int ENTRY_COUNT = 8; // u32
    private static final int FILE_OFFSET = 16; // u64, in an entry
    private static final int LENGTH = 24; // u32, in an entry
    private static final int REQUIRED = 28; // u32, in an entry
    private static final int MIB = VhdxHeader.MIB;

    /**
     * @param file with its log laid over
     * @param log bytes of the file; null if there is none
     */
    static RegionTable read(BlockSource file, Extent log) throws IOException {
        Bytes first = valid(file, FIRST);
        Bytes second = valid(file, SECOND);
        if (first == null && second == null) {
            throw new CorruptException("VHDX region tables", FIRST, "signature 'regi' and a right checksum in one of the two",
                    "neither");
        }
        boolean both = first != null && second != null;
        if (both && !first.buffer().equals(second.buffer())) {
            throw new CorruptException("VHDX region tables", SECOND, "two equal copies", "two valid ones that differ");
        }
        return parse(first == null ? second : first, log, file.size(), both);
    }

    /** @return null if this copy does not count */
    private static Bytes valid(BlockSource file, long offset) throws IOException {
        Bytes table = Bytes.read(file, "VHDX region table", offset, SIZE, ByteOrder.LITTLE_ENDIAN);
        return table.matches(0, "regi") && table.s32(CHECKSUM) == VhdxHeader.checksum(table.buffer()) ? table : null;
    }

    private static RegionTable parse(Bytes table, Extent log, long fileSize, boolean both) throws IOException {
        long count = table.u32(ENTRY_COUNT);
        if (count > MAX_ENTRIES) {
            throw table.corrupt("VHDX region table: number of entries", ENTRY_COUNT, "at most " + MAX_ENTRIES, count);
        }
        ExtentSet reserved = ExtentSet.ofRange(0, MIB);
        if (log != null) {
            reserved = reserved.union(ExtentSet.of(log));
        }
        ExtentSet.Builder regions = ExtentSet.builder();
        long total = 0;
        Set<Guid> seen = new HashSet<>();
        Extent bat = null;
        Extent metadata = null;
        for (int i = 0; i < count; i++) {
            int at = HEADER_SIZE + i * ENTRY_SIZE;
            Guid guid = Guid.at(table, at);
            if (!seen.add(guid)) {
                throw table.corrupt("VHDX region table: entry " + i, at, "a region named once", guid + " again");
            }
            boolean known = guid.equals(BAT) || guid.equals(METADATA);
            if (!known && table.u32(at + REQUIRED) != 0) {
                throw table.unsupported("VHDX region table: entry " + i, at, "no required regions but BAT and metadata", guid);
            }
            Extent region = region(table, at, i, known, fileSize);
            if (region == null) {
                continue;
            }
            if (reserved.intersects(region.offset(), region.length())) {
                throw table.corrupt("VHDX region table: entry " + i, at + FILE_OFFSET, "a place beside headers and log", region);
            }
            regions.add(region.offset(), region.length());
            total += region.length(); // at most 2047 times 4 GiB
            bat = guid.equals(BAT) ? region : bat;
            metadata = guid.equals(METADATA) ? region : metadata;
        }
        ExtentSet all = regions.build();
        if (all.totalBytes() != total) {
            throw table.corrupt("VHDX region table: regions", HEADER_SIZE, "places beside each other", "overlapping ones");
        }
        if (bat == null || metadata == null) {
            throw table.corrupt("VHDX region table: regions", HEADER_SIZE, "a BAT and a metadata region",
                    bat == null ? "no BAT" : "no metadata region");
        }
        return new RegionTable(bat, metadata, reserved.union(all), both);
    }

    /** @return null for a region without bytes */
    private static Extent region(Bytes table, int at, int i, boolean known, long fileSize) throws IOException {
        long offset = table.u64(at + FILE_OFFSET);
        long length = table.u32(at + LENGTH);
        if (offset % MIB != 0 || offset < MIB || offset > Long.MAX_VALUE - length) {
            throw table.corrupt("VHDX region table: offset of entry " + i, at + FILE_OFFSET, "whole MiB from 1 MiB on",
                    "0x" + Long.toHexString(offset));
        }
        if (length % MIB != 0 || known && length == 0) {
            throw table.corrupt("VHDX region table: length of entry " + i, at + LENGTH, "whole MiB", length);
        }
        if (known && offset > fileSize - length) {
            throw table.corrupt("VHDX region table: end of entry " + i, at + FILE_OFFSET, "a place before the file's end at 0x"
                    + Long.toHexString(fileSize), "0x" + Long.toHexString(offset + length));
        }
        return length == 0 ? null : new Extent(offset, length);
    }
}
