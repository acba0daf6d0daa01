package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Opens qcow2 images, versions 2 and 3. */
public final class Qcow2Format implements DiskImageFormat {

    static final String NAME = "qcow2";

    private static final int VERSION = 4; // u32
    private static final int BACKING_NAME_OFFSET = 8; // u64, 0 for none
    private static final int INCOMPATIBLE_FEATURES = 72; // u64, from version 3 on
    private static final long DATA_FILE = 1 << 2;

    /** Made by the service loader. */
    public Qcow2Format() {
    }

    @Override
    public String name() {
        return NAME;
    }

    /** Version 1 has the same magic, but is another format. */
    @Override
    public boolean recognises(HostFile file) throws IOException {
        if (file.size() < 2 * Integer.BYTES) {
            return false;
        }
        ByteBuffer start = ByteBuffer.allocate(2 * Integer.BYTES);
        file.read(0, start);
        int version = start.getInt(Integer.BYTES);
        return start.getInt(0) == Qcow2Header.MAGIC && (version == 2 || version == 3);
    }

    @Override
    public boolean mayHaveParts(HostFile file) throws IOException {
        // In version 2 header extensions stand there.
        return recognises(file) && file.size() >= INCOMPATIBLE_FEATURES + Long.BYTES
                && Bytes.read(file, "qcow2 header", VERSION, Integer.BYTES, ByteOrder.BIG_ENDIAN).u32(0) >= 3
                && (Bytes.read(file, "qcow2 header", INCOMPATIBLE_FEATURES, Long.BYTES, ByteOrder.BIG_ENDIAN).s64(0)
                & DATA_FILE) != 0;
    }

    @Override
    public boolean mayHaveParent(HostFile file) throws IOException {
        return recognises(file) && file.size() >= BACKING_NAME_OFFSET + Long.BYTES
                && Bytes.read(file, "qcow2 header", BACKING_NAME_OFFSET, Long.BYTES, ByteOrder.BIG_ENDIAN).s64(0) != 0;
    }

    @Override
    public DiskImage open(HostFile file, ImageLinks links) throws IOException {
        try {
            return Qcow2Image.open(file, links);
        } catch (IOException | RuntimeException | Error e) {
            try {
                file.close();
            } catch (IOException closing) {
                e.addSuppressed(closing);
            }
            if (e instanceof DiskFormatException refusal) {
                throw refusal.in(file.path());
            }
            throw e;
        }
    }
}
