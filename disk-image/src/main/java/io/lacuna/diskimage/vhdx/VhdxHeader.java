package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Crc32c;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.UnsupportedException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The current one of the two headers: 4096 bytes at 64 KiB or at 128 KiB. Both change in turn, so that one is always whole.
 * Source: [MS-VHDX] 2.2.2.
 *
 * <p>All bytes are kept, those without a meaning too.
 */
final class VhdxHeader {

    /** Bytes of a header. */
    static final int SIZE = 4096;
    /** The unit of nearly every place and length in a VHDX, and what the headers and region tables fill at its start. */
    static final int MIB = 1 << 20;

    private static final long FIRST = 64 << 10;
    private static final long SECOND = 128 << 10;
    private static final String SIGNATURE = "head";
    private static final int CHECKSUM = 4; // u32: CRC-32C of the 4096 bytes with this field zero
    private static final int SEQUENCE = 8; // u64, all 64 bits
    private static final int FILE_WRITE_GUID = 16;
    private static final int DATA_WRITE_GUID = 32;
    private static final int LOG_GUID = 48;
    private static final int LOG_VERSION = 64; // u16
    private static final int VERSION = 66; // u16
    private static final int LOG_LENGTH = 68; // u32, bytes
    private static final int LOG_OFFSET = 72; // u64, byte of the file

    private final long offset;
    private final Bytes bytes;
    private final boolean bothValid;

    private VhdxHeader(Bytes bytes, boolean bothValid) {
        this.offset = bytes.position(0);
        this.bytes = bytes;
        this.bothValid = bothValid;
    }

    /** Reads both headers and takes the current one. */
    static VhdxHeader read(BlockSource file) throws IOException {
        Bytes first = valid(file, FIRST);
        Bytes second = valid(file, SECOND);
        if (first == null && second == null) {
            throw new CorruptException("VHDX headers", FIRST, "signature 'head' and a right checksum in one of the two",
                    "neither");
        }
        boolean both = first != null && second != null;
        Bytes current = first == null ? second : first;
        if (both) {
            int order = Long.compareUnsigned(first.s64(SEQUENCE), second.s64(SEQUENCE));
            if (order == 0 && !first.buffer().equals(second.buffer())) {
                throw second.corrupt("VHDX headers: sequence number", SEQUENCE, "different ones, or the same header twice",
                        "one number in two different headers");
            }
            current = order >= 0 ? first : second;
        }
        VhdxHeader header = new VhdxHeader(current, both);
        header.check(file.size());
        return header;
    }

    /** @return null if this copy does not count */
    private static Bytes valid(BlockSource file, long offset) throws IOException {
        Bytes header = Bytes.read(file, "VHDX header", offset, SIZE, ByteOrder.LITTLE_ENDIAN);
        return header.matches(0, SIGNATURE) && header.s32(CHECKSUM) == checksum(header.buffer()) ? header : null;
    }

    /** @return the CRC-32C of a structure with its checksum field, bytes 4 to 7, taken as zero */
    static int checksum(ByteBuffer structure) {
        ByteBuffer copy = ByteBuffer.allocate(structure.remaining()).put(structure.duplicate());
        return Crc32c.of(copy.putInt(CHECKSUM, 0).flip());
    }

    private void check(long fileSize) throws IOException {
        if (bytes.u16(VERSION) != 1) {
            throw bytes.unsupported("VHDX header: version", VERSION, "1", bytes.u16(VERSION));
        }
        if (hasLogEntries() && bytes.u16(LOG_VERSION) != 0) {
            throw bytes.unsupported("VHDX header: version of a log that is not empty", LOG_VERSION, "0",
                    bytes.u16(LOG_VERSION));
        }
        long length = bytes.u32(LOG_LENGTH);
        if (length % MIB != 0 || length == 0 && hasLogEntries()) {
            throw bytes.corrupt("VHDX header: log length", LOG_LENGTH, "whole MiB, and some if there are entries", length);
        }
        long start = bytes.u64(LOG_OFFSET);
        if (length > 0 && (start % MIB != 0 || start < MIB || start > fileSize - length)) {
            throw bytes.corrupt("VHDX header: log offset", LOG_OFFSET, "whole MiB from 1 MiB on, " + length
                    + " bytes before the file's end at 0x" + Long.toHexString(fileSize), "0x" + Long.toHexString(start));
        }
    }

    /** @return where this copy lies in the file */
    long offset() {
        return offset;
    }

    /** @return whether the other copy is whole as well */
    boolean bothValid() {
        return bothValid;
    }

    Guid fileWriteGuid() throws CorruptException {
        return Guid.at(bytes, FILE_WRITE_GUID);
    }

    /** @return what a child knows its parent by */
    Guid dataWriteGuid() throws CorruptException {
        return Guid.at(bytes, DATA_WRITE_GUID);
    }

    /** @return what the log's entries that count carry; zero if there are none */
    Guid logGuid() throws CorruptException {
        return Guid.at(bytes, LOG_GUID);
    }

    boolean hasLogEntries() throws CorruptException {
        return !logGuid().isZero();
    }

    /** @return bytes of the file, whole MiB; null if there is no log at all */
    Extent log() throws CorruptException {
        long length = bytes.u32(LOG_LENGTH);
        return length == 0 ? null : new Extent(bytes.u64(LOG_OFFSET), length);
    }

    /** @return the header that follows this one, to be written to its {@link #offset()}: the other copy's place */
    VhdxHeader next(Guid fileWriteGuid, Guid logGuid) throws IOException {
        if (bytes.s64(SEQUENCE) == -1) {
            throw new UnsupportedException("the VHDX header's sequence number is the highest there is, so the header cannot be"
                    + " changed any more; convert the image with qemu-img convert");
        }
        ByteBuffer copy = ByteBuffer.allocate(SIZE).order(ByteOrder.LITTLE_ENDIAN).put(bytes.buffer());
        copy.putLong(SEQUENCE, bytes.s64(SEQUENCE) + 1);
        fileWriteGuid.put(copy, FILE_WRITE_GUID);
        logGuid.put(copy, LOG_GUID);
        copy.putInt(CHECKSUM, checksum(copy.flip()));
        return new VhdxHeader(Bytes.littleEndian(copy, offset == FIRST ? SECOND : FIRST), bothValid);
    }

    /** @return the 4096 bytes */
    ByteBuffer encode() {
        return bytes.buffer();
    }
}
