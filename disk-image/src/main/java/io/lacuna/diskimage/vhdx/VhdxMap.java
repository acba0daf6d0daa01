package io.lacuna.diskimage.vhdx;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.diskimage.block.BlockMap;
import java.io.IOException;
import java.util.List;

/** Where the image stores the guest's bytes. */
final class VhdxMap implements BlockMap {

    private final HostFile file;
    private final BatLayout layout;
    private final Pieces pieces;

    VhdxMap(HostFile file, Bat bat) {
        this.file = file;
        this.layout = bat.layout();
        this.pieces = new Pieces(bat);
    }

    @Override
    public List<HostFile> files() {
        return List.of(file);
    }

    @Override
    public long virtualSize() {
        return layout.virtualSize();
    }

    @Override
    public long blockSize() {
        return layout.blockSize();
    }

    /** @return ranges of the disk that do not show the parent */
    ExtentSet ownRanges() throws IOException {
        ExtentSet.Builder own = ExtentSet.builder();
        pieces.forEach(0, virtualSize(), (source, guest, host, length) -> {
            if (source != Pieces.Source.PARENT) {
                own.add(guest, length);
            }
        });
        return own.build();
    }

    @Override
    public void forEachStored(Extent guestRange, StoredVisitor visitor) throws IOException {
        pieces.forEach(guestRange.offset(), guestRange.length(), (source, guest, host, length) -> {
            if (source == Pieces.Source.FILE) {
                visitor.stored(guest, 0, host, length);
            }
        });
    }
}
