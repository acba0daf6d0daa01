package io.lacuna.diskimage.vhd;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.BlockMap;
import java.io.IOException;
import java.util.List;

/**
 * Where a fixed disk stores the guest's bytes: at the same places as the guest sees them.
 *
 * @param virtualSize bytes of the disk
 */
record FixedBlocks(HostFile file, long virtualSize) implements BlockMap {

    @Override
    public List<HostFile> files() {
        return List.of(file);
    }

    @Override
    public long blockSize() {
        return 1;
    }

    @Override
    public void forEachStored(Extent guestRange, StoredVisitor visitor) throws IOException {
        visitor.stored(guestRange.offset(), 0, guestRange.offset(), guestRange.length());
    }
}
