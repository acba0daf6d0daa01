package io.lacuna.diskimage.raw;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;

/** The format without a header: anything at all can be read as raw, so it is taken only where nothing else is recognised. */
public final class RawFormat implements DiskImageFormat {

    /** The name of the format. */
    public static final String NAME = "raw";

    @Override
    public String name() {
        return NAME;
    }

    /** @return true, always: no bytes speak against it */
    @Override
    public boolean recognises(HostFile file) {
        return true;
    }

    @Override
    public DiskImage open(HostFile file, ImageLinks links) {
        return new RawImage(file);
    }
}
