package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/**
 * Deflated grains of a stream, each a zlib stream (RFC 1950) behind a marker of 12 bytes, little-endian: the grain's first sector
 * of the disk (u64), and the bytes that follow (u32). Remembers the last one; may be used by several threads.
 */
final class PackedGrains {

    private static final int MARKER_SIZE = 12;

    private final HostFile file;
    private final GrainLayout layout;
    private final boolean markers;
    private final byte[] unpacked;
    private long current = -1;

    /** @param markers whether grains have markers; without, a grain's end is where its stream ends */
    PackedGrains(HostFile file, GrainLayout layout, boolean markers) {
        this.file = file;
        this.layout = layout;
        this.markers = markers;
        this.unpacked = new byte[(int) layout.grainSize()];
    }

    /**
     * Appends bytes of a grain.
     *
     * @param grain its number
     * @param place byte of the file where it lies
     * @param offset byte in the grain
     */
    synchronized void read(long grain, long place, int offset, int length, ByteBuffer target) throws IOException {
        if (grain != current) {
            current = -1;
            unpack(grain, place);
            current = grain;
        }
        target.put(unpacked, offset, length);
    }

    private void unpack(long grain, long place) throws IOException {
        long most = 2 * layout.grainSize();
        long start = place;
        long length = Math.min(most, file.size() - place);
        if (markers) {
            Bytes marker = Bytes.read(file, "marker of grain " + grain, place, MARKER_SIZE, ByteOrder.LITTLE_ENDIAN);
            start += MARKER_SIZE;
            length = marker.u32(8);
            if (marker.s64(0) != grain * (layout.grainSize() >>> Sectors.SHIFT)) {
                throw marker.corrupt("marker of grain " + grain + ": sector", 0,
                        String.valueOf(grain * (layout.grainSize() >>> Sectors.SHIFT)), marker.s64(0));
            }
            if (length == 0 || length > most || start > file.size() - length) {
                throw marker.corrupt("marker of grain " + grain + ": size", 8, "1 to " + most + " bytes inside the file", length);
            }
        }
        ByteBuffer packed = ByteBuffer.allocate((int) length);
        file.read(start, packed);
        Inflater inflater = new Inflater();
        try {
            inflater.setInput(packed.flip());
            int done = 0;
            int more = 1;
            while (more > 0 && done < unpacked.length) { // Ends: every round makes some bytes.
                more = inflater.inflate(unpacked, done, unpacked.length - done);
                done += more;
            }
            if (done < layout.used(grain)) {
                throw new CorruptException("grain " + grain, place, layout.used(grain) + " bytes", done);
            }
        } catch (DataFormatException e) {
            throw new CorruptException("grain " + grain, place, "a zlib stream", String.valueOf(e.getMessage()));
        } finally {
            inflater.end();
        }
    }
}
