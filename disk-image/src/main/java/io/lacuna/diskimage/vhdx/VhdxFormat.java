package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Opens VHDX images: fixed, dynamic and differencing. */
public final class VhdxFormat implements DiskImageFormat {

    static final String NAME = "vhdx";

    private static final byte[] SIGNATURE = "vhdxfile".getBytes(StandardCharsets.US_ASCII);

    /** Made by the service loader. */
    public VhdxFormat() {
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public boolean recognises(HostFile file) throws IOException {
        if (file.size() < SIGNATURE.length) {
            return false;
        }
        ByteBuffer start = ByteBuffer.allocate(SIGNATURE.length);
        file.read(0, start);
        return start.flip().equals(ByteBuffer.wrap(SIGNATURE));
    }

    @Override
    public DiskImage open(HostFile file, ImageLinks links) throws IOException {
        try {
            return VhdxImage.open(file, links);
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
