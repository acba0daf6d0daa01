package io.lacuna.blockio;

import java.io.Closeable;
import java.io.IOException;
import java.util.List;

/** An opened virtual disk. Reading it writes nothing, whatever it was opened for. */
public interface DiskImage extends Closeable {

    /** @return the format's name */
    String format();

    /** @return bytes of the disk that the guest sees */
    long virtualSize();

    /** @return bytes of a logical sector of the disk, where the format says; else 512 */
    default int sectorSize() {
        return 512;
    }

    /** @return bytes of the format's allocation unit; 1 where it has none */
    long blockSize();

    /** @return the disk as the guest reads it, through all parents */
    BlockSource guest();

    /** @return the image's file, its data files, then its parents from the nearest on */
    List<ImageLayer> layers() throws IOException;

    /** @return what a reader of the report should know about the image, each a sentence */
    List<String> remarks();

    /** @return bytes the host spends on the files of this image itself; -1 if it cannot tell */
    long hostBytes() throws IOException;

    /**
     * Tells what need not be read: outside of these ranges the disk reads as zeros, through all parents.
     *
     * @return ranges of the virtual disk that may hold something; the whole disk where the format or the host cannot tell
     */
    default ExtentSet mayHoldData() throws IOException {
        return ExtentSet.ofRange(0, virtualSize());
    }

    /**
     * Tells this image's own part of the disk from its parents'.
     *
     * @return ranges of the virtual disk whose bytes this image decides itself, by storing them or by calling them zeros; the
     *     rest is read from the parent. The whole disk where there is no parent
     */
    default ExtentSet ownRanges() throws IOException {
        return ExtentSet.ofRange(0, virtualSize());
    }

    /**
     * Computes what giving back this space takes. Reads tables; writes nothing, and needs no permission to.
     *
     * @throws DiskFormatException if the image must be refused: its tables contradict each other, the host cannot punch
     */
    Deallocation plan(DeallocationRequest request) throws IOException;

    /**
     * Does what the plan says, in the order of writes that loses nothing at a crash, all of it durable on return.
     *
     * @param plan made by this very object
     */
    void apply(Deallocation plan, Progress progress) throws IOException;
}
