package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Bytes;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import java.io.IOException;
import java.nio.ByteOrder;

/** Opens VHD images of all three kinds. */
public final class VhdFormat implements DiskImageFormat {

    static final String NAME = "vhd";

    private static final int TYPE = 60; // u32 of the footer
    private static final int DIFFERENCING = 4;

    /** Made by the service loader. */
    public VhdFormat() {
    }

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public boolean recognises(HostFile file) throws IOException {
        return Footers.isAt(file, 0) || Footers.isAt(file, file.size() - VhdFooter.SIZE)
                || Footers.isAt(file, file.size() - VhdFooter.OLD_SIZE);
    }

    @Override
    public boolean mayHaveParent(HostFile file) throws IOException {
        // Only a dynamic disk has the copy of its footer at the start, and a damaged copy is for a full look to judge.
        return recognises(file) && (!Footers.isAt(file, 0)
                || Bytes.read(file, "VHD footer", TYPE, Integer.BYTES, ByteOrder.BIG_ENDIAN).s32(0) == DIFFERENCING);
    }

    @Override
    public DiskImage open(HostFile file, ImageLinks links) throws IOException {
        try {
            return VhdImage.open(file, links);
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
