package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteOrder;

/**
 * The header of a hosted sparse extent: 512 bytes at byte 0, little-endian; of a stream whose header was written before its
 * tables there is a second one, the footer, 1024 bytes before the end. Source: VMware "Virtual Disk Format 5.0", "Hosted Sparse
 * Extents".
 *
 * @param version 1 to 3
 * @param layout where tables and grains are
 * @param descriptor byte of the embedded descriptor; 0 if there is none
 * @param descriptorSize bytes reserved for it
 * @param overhead byte behind the structures as the maker laid them out
 * @param unclean whether the file was not closed after its last change
 * @param compressed whether grains are deflated
 * @param markers whether every grain begins with a marker
 */
record SparseHeader(int version, GrainLayout layout, long descriptor, int descriptorSize, long overhead, boolean unclean,
        boolean compressed, boolean markers) {

    static final String MAGIC = "KDMV";
    /** Byte of the flag that the file is being changed, or was when the writer died. */
    static final int UNCLEAN_SHUTDOWN = 72;

    private static final int NEWLINES = 1;
    private static final int REDUNDANT = 1 << 1;
    private static final int ZERO_GRAINS = 1 << 2;
    private static final int COMPRESSED = 1 << 16;
    private static final int MARKERS = 1 << 17;
    private static final int KNOWN = NEWLINES | REDUNDANT | ZERO_GRAINS | COMPRESSED | MARKERS;
    private static final String LINE_ENDS = "\n \r\n";
    private static final int DEFLATE = 1;
    private static final long DIRECTORY_AT_END = -1;
    private static final int FOOTER_FROM_END = 2 * Sectors.SIZE;

    static SparseHeader parse(BlockSource file) throws IOException {
        Bytes b = Bytes.read(file, "VMDK sparse header", 0, Sectors.SIZE, ByteOrder.LITTLE_ENDIAN);
        ExtentSet.Builder structures = ExtentSet.builder().add(0, Sectors.SIZE);
        if (b.s64(56) == DIRECTORY_AT_END) {
            long footer = file.size() - FOOTER_FROM_END;
            if (footer < Sectors.SIZE) {
                throw new CorruptException("VMDK sparse header", 56, "a footer", "a file of " + file.size() + " bytes");
            }
            b = Bytes.read(file, "VMDK footer", footer, Sectors.SIZE, ByteOrder.LITTLE_ENDIAN);
            structures.add(footer, FOOTER_FROM_END);
        }
        if (!b.matches(0, MAGIC)) {
            throw b.corrupt("VMDK sparse header: magic", 0, MAGIC, "something else");
        }
        long version = b.u32(4);
        int flags = b.s32(8);
        if (version < 1 || version > 3) {
            throw b.unsupported("VMDK sparse header: version", 4, "1 to 3", version);
        }
        if ((flags & ~KNOWN) != 0) {
            throw b.unsupported("VMDK sparse header: flags", 8, "none but bits 0, 1, 2, 16 and 17",
                    "0x" + Integer.toHexString(flags & ~KNOWN));
        }
        if ((flags & NEWLINES) != 0 && !b.matches(73, LINE_ENDS)) {
            throw b.corrupt("VMDK sparse header: line ends", 73, "LF, space, CR, LF (the file was transferred as text?)",
                    "something else");
        }
        boolean compressed = (flags & COMPRESSED) != 0;
        if (b.u16(77) != (compressed ? DEFLATE : 0)) {
            throw b.unsupported("VMDK sparse header: compression", 77, compressed ? "1 (deflate)" : "none", b.u16(77));
        }
        if ((flags & MARKERS) != 0 && !compressed) {
            throw b.unsupported("VMDK sparse header: flags", 8, "markers (bit 17) only where grains are compressed (bit 16)",
                    "0x" + Integer.toHexString(flags));
        }
        return header(b, (int) version, flags, file.size(), structures);
    }

    private static SparseHeader header(Bytes b, int version, int flags, long fileSize, ExtentSet.Builder structures)
            throws IOException {
        long capacity = Sectors.bytes(b, "VMDK sparse header: capacity", 12);
        if (capacity == 0) {
            throw new UnsupportedException("the VMDK's header says that the disk has no bytes at all");
        }
        long grainSize = grainSize(b, 20);
        if (b.u32(44) != GrainLayout.Kind.HOSTED.entriesPerTable()) {
            throw b.unsupported("VMDK sparse header: entries of a grain table", 44, "512", b.u32(44));
        }
        int entries = GrainLayout.neededEntries(GrainLayout.Kind.HOSTED, capacity, grainSize);
        if (entries > GrainLayout.MAX_DIRECTORY_ENTRIES) {
            throw b.unsupported("VMDK sparse header: capacity", 12, "at most " + GrainLayout.MAX_DIRECTORY_ENTRIES
                    + " grain tables", capacity + " bytes in grains of " + grainSize);
        }
        long descriptor = Sectors.bytes(b, "VMDK sparse header: descriptor", 28);
        long descriptorSize = Sectors.bytes(b, "VMDK sparse header: descriptor's size", 36);
        if (descriptor != 0) {
            if (descriptorSize == 0 || descriptorSize > VmdkDescriptor.MAX_SIZE || descriptor > fileSize - descriptorSize) {
                throw b.corrupt("VMDK sparse header: descriptor", 28, "a place in the file's " + fileSize + " bytes and at most "
                        + VmdkDescriptor.MAX_SIZE + " of them", descriptorSize + " bytes at " + descriptor);
            }
            structures.add(descriptor, descriptorSize);
        }
        boolean redundant = (flags & REDUNDANT) != 0;
        long directory = Sectors.bytes(b, "VMDK sparse header: grain directory", 56);
        long second = redundant ? Sectors.bytes(b, "VMDK sparse header: redundant grain directory", 48) : 0;
        if (directory == 0 || redundant && second == 0) {
            throw b.corrupt("VMDK sparse header: grain directory", directory == 0 ? 56 : 48, "a place in the file", 0);
        }
        GrainLayout layout = new GrainLayout(GrainLayout.Kind.HOSTED, capacity, grainSize, directory, second, entries,
                (flags & ZERO_GRAINS) != 0, structures.build(), 0, 0);
        return new SparseHeader(version, layout, descriptor, (int) descriptorSize,
                Sectors.bytes(b, "VMDK sparse header: overhead", 64), b.u8(UNCLEAN_SHUTDOWN) != 0, (flags & COMPRESSED) != 0,
                (flags & MARKERS) != 0);
    }

    private static long grainSize(Bytes b, int at) throws IOException {
        long size = Sectors.bytes(b, "VMDK sparse header: grain size", at);
        if (size == 0) {
            throw b.corrupt("VMDK sparse header: grain size", at, "at least 1 sector", 0);
        }
        if (Long.bitCount(size) != 1 || size > GrainLayout.MAX_GRAIN) {
            throw b.unsupported("VMDK sparse header: grain size", at, "a power of two up to " + GrainLayout.MAX_GRAIN + " bytes",
                    size);
        }
        return size;
    }
}
