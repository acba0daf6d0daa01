package io.lacuna.diskimage.block;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.HostFile;
import java.io.IOException;
import java.util.List;

/**
 * Where an image stores the bytes of the guest's disk. Asked range by range, so that nobody holds a list in proportion to the
 * disk's size. Reads tables, writes nothing. Used by one thread at a time.
 */
public interface BlockMap {

    /**
     * @return the files that hold guest bytes, always the same ones in the same order; a place is told by an index into this
     *     list. The first one is the file the image was opened by, even if it is a mere descriptor without guest bytes
     */
    List<HostFile> files();

    /** @return bytes of the guest's disk */
    long virtualSize();

    /**
     * @return bytes that the tables can map; more than the disk has where the image was made smaller or its table is larger than
     *     it must be. Blocks behind the disk's end are never freed, but they take places in the file
     */
    default long mappedSize() {
        return virtualSize();
    }

    /** @return bytes of the format's allocation unit as the guest sees it; 1 where there is none (fixed disks) */
    long blockSize();

    /**
     * Visits the pieces of a guest range that this image itself stores (not its parents), in rising order, neighbours in one
     * file merged. Blocks that read as zeros without storage, and sectors of a differencing block that show the parent, are
     * left out. What the tables of the running change say counts, not what they said when the image was opened.
     *
     * @param guestRange bytes of the guest's disk, inside {@code [0, virtualSize)}
     * @throws DiskFormatException if a place lies outside of its file or in the format's own structures; whether two guest
     *     places share one host place is checked by the caller
     */
    void forEachStored(Extent guestRange, StoredVisitor visitor) throws IOException;

    /** Takes the pieces. */
    @FunctionalInterface
    interface StoredVisitor {

        /**
         * @param guestOffset byte of the guest's disk
         * @param file index into {@link #files()}
         * @param hostOffset byte of that file
         * @param length bytes, above 0; guest and host bytes correspond one to one
         */
        void stored(long guestOffset, int file, long hostOffset, long length) throws IOException;
    }
}
