package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsafeException;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * The two headers of an seSparse file, 512 bytes each, little-endian: the constant one at byte 0, and the volatile one that it
 * names. Not published by VMware; source: QEMU's reader.
 */
final class SeSparseHeader {

    /** The constant header's first 8 bytes as a number. */
    static final long MAGIC = 0xCAFEBABEL;

    private static final long VOLATILE_MAGIC = 0xCAFECAFEL;
    private static final long VERSION = 0x2_0000_0001L;
    private static final int RESERVED = 48;
    private static final int RESERVED_SIZE = 32;
    private static final int GRAIN_SECTORS = 8;
    private static final int TABLE_SECTORS = 64;
    private static final int REPLAY_JOURNAL = 24;
    private static final int DIRECTORY = 128;
    private static final int TABLES = 144;
    private static final int GRAINS = 192;
    /** Volatile header, journal header, journal, free bitmap, back map: byte of the offset, the size follows. */
    private static final int[] OTHER_AREAS = {80, 96, 112, 160, 176};

    private SeSparseHeader() {
    }

    /** @throws UnsafeException if the journal has to be replayed */
    static GrainLayout parse(BlockSource file) throws IOException {
        Bytes b = Bytes.read(file, "seSparse header", 0, Sectors.SIZE, ByteOrder.LITTLE_ENDIAN);
        if (b.s64(0) != MAGIC) {
            throw b.corrupt("seSparse header: magic", 0, "0x" + Long.toHexString(MAGIC), "0x" + Long.toHexString(b.s64(0)));
        }
        if (b.s64(8) != VERSION) {
            throw b.unsupported("seSparse header: version", 8, "2.1", "0x" + Long.toHexString(b.s64(8)));
        }
        if (b.u64(24) != GRAIN_SECTORS || b.u64(32) != TABLE_SECTORS) {
            throw b.unsupported("seSparse header: sectors of a grain and of a table", 24, "8 and 64",
                    b.u64(24) + " and " + b.u64(32));
        }
        if (b.s64(40) != 0 || !b.isZero(RESERVED, RESERVED_SIZE)) {
            throw b.unsupported("seSparse header: flags", 40, "none", "some");
        }
        long volatileHeader = Sectors.bytes(b, "seSparse header: volatile header", 80);
        Bytes v = Bytes.read(file, "seSparse volatile header", volatileHeader, Sectors.SIZE, ByteOrder.LITTLE_ENDIAN);
        if (v.s64(0) != VOLATILE_MAGIC) {
            throw v.corrupt("seSparse volatile header: magic", 0, "0x" + Long.toHexString(VOLATILE_MAGIC),
                    "0x" + Long.toHexString(v.s64(0)));
        }
        if (v.s64(REPLAY_JOURNAL) != 0) {
            throw new UnsafeException("the VMDK (seSparse) has a journal to replay, for it was not closed cleanly; start and stop "
                    + "the virtual machine on ESXi, or check the disk there with vmkfstools");
        }
        return layout(b);
    }

    private static GrainLayout layout(Bytes b) throws IOException {
        long capacity = Sectors.bytes(b, "seSparse header: capacity", 16);
        long grainSize = GRAIN_SECTORS * (long) Sectors.SIZE;
        int needed = GrainLayout.neededEntries(GrainLayout.Kind.SESPARSE, capacity, grainSize);
        long directorySize = Sectors.bytes(b, "seSparse header: grain directory's size", DIRECTORY + 8);
        if (capacity == 0 || needed > GrainLayout.MAX_DIRECTORY_ENTRIES || directorySize / Long.BYTES < needed) {
            throw b.corrupt("seSparse header: grain directory", DIRECTORY + 8, "an entry for each " + (grainSize * 4096)
                    + " bytes of the disk's " + capacity, directorySize + " bytes");
        }
        ExtentSet.Builder structures = ExtentSet.builder().add(0, Sectors.SIZE);
        for (int at : OTHER_AREAS) {
            long offset = Sectors.bytes(b, "seSparse header: offset", at);
            long size = Sectors.bytes(b, "seSparse header: size", at + 8);
            structures.add(offset, size);
        }
        long tables = Sectors.bytes(b, "seSparse header: grain tables", TABLES);
        long tablesSize = Sectors.bytes(b, "seSparse header: grain tables' size", TABLES + 8);
        structures.add(tables, tablesSize);
        structures.add(Sectors.bytes(b, "seSparse header: grain directory", DIRECTORY), directorySize);
        long grains = Sectors.bytes(b, "seSparse header: grains", GRAINS);
        ExtentSet all = structures.build();
        if (all.intersects(grains, Long.MAX_VALUE / 2)) {
            throw new CorruptException("seSparse header: grains", b.position(GRAINS), "a place behind all other structures",
                    grains);
        }
        return new GrainLayout(GrainLayout.Kind.SESPARSE, capacity, grainSize,
                Sectors.bytes(b, "seSparse header: grain directory", DIRECTORY), 0, needed, true, all, tables, grains);
    }
}
