package io.lacuna.diskimage.block;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.util.List;
import java.util.Optional;

/**
 * Changes the mappings of an image, in the format's own order of writes. Every method that writes is durable on return, and
 * leaves an image that opens and reads the same live bytes if it is cut anywhere inside. What it wrote counts at once for the
 * image's {@link BlockMap} and for reading.
 *
 * <p>The calls of a run, in this order (each may be left out where there is nothing for it to do; after an exception no further
 * call comes):
 * <pre>
 *   begin · unmap · clearArea · shorten · { claim · (bytes copied, synced) · remap · release · shorten }…
 *   · (holes punched, synced) · end
 * </pre>
 */
public interface BlockTable {

    /**
     * @return null if whole blocks can be unmapped, so that they read as zeros afterwards; else a short phrase why not
     *     ("the differencing disk cannot hide its parent there"): such blocks are punched and keep their mapping, but may move
     */
    String obstacleToUnmapping();

    /** @return whether the format knows no holes between its blocks, so that unmapping always means filling up from the tail */
    default boolean isWithoutHoles() {
        return false;
    }

    /**
     * Visits the blocks that own host storage and whose guest range intersects this one, in rising order, each by itself.
     *
     * @param guestRange inside {@code [0, mappedSize)} of the map
     * @throws DiskFormatException as {@link BlockMap#forEachStored}
     */
    void forEachBlock(Extent guestRange, BlockVisitor visitor) throws IOException;

    /** Takes the blocks. */
    @FunctionalInterface
    interface BlockVisitor {

        /**
         * @param guestOffset first byte of the guest's disk that the block holds: the block's identity
         * @param guestLength bytes, above 0; the last block is cut at the end of the disk (of its extent file's part);
         *     of a block behind the disk's end, all
         * @param file index into {@link BlockMap#files()}
         * @param hostOffset first byte of all that is the block's alone, its own bitmap included
         * @param hostLength bytes of it
         */
        void block(long guestOffset, long guestLength, int file, long hostOffset, long hostLength) throws IOException;
    }

    /** Called before anything else, and only where an earlier run was cut: looks for what it left. Writes nothing. */
    default void resume() throws IOException {
    }

    /** @return whether a run that was cut left something in the image that {@link #begin} and {@link #end} alone put right */
    default boolean isUnfinished() {
        return false;
    }

    /**
     * Called once before anything is written or punched: whatever must be said in the image first (a new GUID, a flag for an
     * unclean shutdown, the replay of a log).
     *
     * @param changesTables false if holes will be punched and nothing else done
     */
    void begin(boolean changesTables) throws IOException;

    /**
     * Unmaps blocks, so that they read as zeros. Their host storage is neither punched nor written here.
     *
     * @param blocks guest ranges of whole blocks as visited; neighbours merged
     */
    void unmap(ExtentSet blocks) throws IOException;

    /** Called once after all else, when it is all durable: takes back what {@link #begin} said, where that is right. */
    void end() throws IOException;

    /**
     * Where blocks may lie in a file, for moving them.
     *
     * @param file index into {@link BlockMap#files()}
     * @return empty if no block of this file may be moved, nor the file become shorter
     */
    Optional<BlockArea> area(int file) throws IOException;

    /** Called once before a block moves or a file becomes shorter: takes back what still names a place that no block has. */
    default void clearArea() throws IOException {
    }

    /** Marks the places that blocks are about to be copied to as used, where the format keeps such marks. */
    default void claim(List<BlockMove> moves) throws IOException {
    }

    /** Lets blocks be read from their new places, where all their bytes are by now. The old places still hold them. */
    void remap(List<BlockMove> moves) throws IOException;

    /** Marks the places that blocks were moved away from as unused, where the format keeps such marks. */
    default void release(List<BlockMove> moves) throws IOException {
    }

    /**
     * Ends a file behind its last block: whatever must follow is written there, counters are set, and the rest is cut off, in the
     * order that a crash survives.
     *
     * @param file index into {@link BlockMap#files()}
     * @param end first byte that no block and nothing of {@link BlockArea#fixed()} needs; at least {@link BlockArea#start()}
     */
    void shorten(int file, long end) throws IOException;
}
