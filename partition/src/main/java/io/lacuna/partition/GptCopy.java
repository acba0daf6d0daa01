package io.lacuna.partition;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32;

/**
 * One of the two copies of a GPT, with both checksums right: a header and an array of entries.
 *
 * @param array the entries, little-endian, {@link GptHeader#arraySize()} bytes
 */
record GptCopy(GptHeader header, Bytes array) {

    private static final int UNIQUE_GUID_END = 32;
    private static final int START = UNIQUE_GUID_END;
    private static final int LAST = 40;

    /**
     * A place where a copy should be.
     *
     * @param copy null if none that counts is there
     * @param problem why not; null if there is one
     */
    record Attempt(GptCopy copy, CorruptException problem) {

        boolean isValid() {
            return copy != null;
        }
    }

    /**
     * @param sector where its header should be
     * @throws UnsupportedException if there is a sound one that Lacuna cannot read
     */
    static Attempt attempt(BlockSource disk, DiskGeometry geometry, long sector) throws IOException {
        try {
            return new Attempt(read(disk, geometry, sector), null);
        } catch (CorruptException e) {
            return new Attempt(null, e);
        }
    }

    private static GptCopy read(BlockSource disk, DiskGeometry geometry, long sector) throws IOException {
        if (!geometry.contains(sector, 1)) {
            throw new CorruptException("GPT header", -1, "a sector of the disk", sector + " of " + geometry.sectors());
        }
        GptHeader header = GptHeader.parse(Bytes.read(disk, "GPT header", geometry.bytes(sector), geometry.sectorSize(),
                ByteOrder.LITTLE_ENDIAN), sector, geometry);
        Bytes array = Bytes.read(disk, "GPT entries", geometry.bytes(header.arraySector()), header.arraySize(),
                ByteOrder.LITTLE_ENDIAN);
        CRC32 crc = new CRC32();
        crc.update(array.buffer());
        if (crc.getValue() != header.arrayCrc()) {
            throw array.corrupt("GPT entries: CRC", 0, "0x" + Long.toHexString(header.arrayCrc()),
                    "0x" + Long.toHexString(crc.getValue()));
        }
        return new GptCopy(header, array);
    }

    boolean agreesWith(GptCopy other) {
        ByteBuffer mine = array.buffer();
        return header.agreesWith(other.header) && mine.equals(other.array.buffer());
    }

    /** @return the used entries; each that does not lie in the usable range is refused */
    List<Partition> partitions(DiskGeometry geometry) throws DiskFormatException {
        List<Partition> partitions = new ArrayList<>();
        for (int i = 0; i < header.entryCount(); i++) {
            Bytes entry = array.slice(i * header.entrySize(), header.entrySize());
            String type = Guid.text(entry, 0);
            if (!type.equals(Guid.ZERO)) {
                partitions.add(partition(entry, type, i + 1, geometry));
            }
        }
        return partitions;
    }

    private Partition partition(Bytes entry, String type, int index, DiskGeometry geometry) throws CorruptException {
        long start = entry.s64(START);
        long last = entry.s64(LAST);
        boolean ordered = start >= 0 && start <= last;
        Partition partition = new Partition(index, geometry.bytes(start), ordered ? geometry.bytes(last - start + 1) : 0,
                type, PartitionTypes.gptName(type), PartitionTypes.gptRefusal(type));
        if (ordered && (start < header.firstUsable() || last > header.lastUsable())) {
            return partition.refused("it reaches out of the usable part of the disk (sectors " + header.firstUsable() + " to "
                    + header.lastUsable() + "): the partition table is wrong");
        }
        return partition;
    }
}
