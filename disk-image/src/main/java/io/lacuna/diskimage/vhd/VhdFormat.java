package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import java.io.IOException;

/** Opens VHD images of all three kinds. */
public final class VhdFormat implements DiskImageFormat {

    static final String NAME = "vhd";

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
