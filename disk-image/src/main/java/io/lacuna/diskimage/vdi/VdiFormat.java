package io.lacuna.diskimage.vdi;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Opens VDI images of version 1.1. */
public final class VdiFormat implements DiskImageFormat {

    static final String NAME = "vdi";

    private static final int DIFFERENCING = 4;

    /** Made by the service loader. */
    public VdiFormat() {
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public boolean recognises(HostFile file) throws IOException {
        if (file.size() < VdiHeader.SIGNATURE_OFFSET + Integer.BYTES) {
            return false;
        }
        ByteBuffer signature = ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        file.read(VdiHeader.SIGNATURE_OFFSET, signature);
        return signature.getInt(0) == VdiHeader.SIGNATURE;
    }

    @Override
    public boolean mayHaveParent(HostFile file) throws IOException {
        return recognises(file) && file.size() >= VdiHeader.TYPE + Integer.BYTES
                && Bytes.read(file, "VDI header", VdiHeader.TYPE, Integer.BYTES, ByteOrder.LITTLE_ENDIAN).s32(0)
                == DIFFERENCING;
    }

    @Override
    public DiskImage open(HostFile file, ImageLinks links) throws IOException {
        try {
            return VdiImage.open(file, links);
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
