package io.lacuna.diskimage.block;

import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ReclaimMode;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Locale;

/**
 * The small file {@code IMAGE.lacuna-journal} beside an image, which stands while a run moves the image's blocks. Such a run may
 * be cut anywhere and the image is sound: the journal tells that there is a run to finish, how far it came, and that what nothing
 * refers to is its leftover. {@link JournalRecords} is its content. Every record is durable before the step that it tells of.
 */
public final class CompactionJournal {

    private static final String SUFFIX = ".lacuna-journal";

    private enum State {
        /** There is no journal. */
        NONE,
        /** A run on this very image was cut. */
        CUT,
        /** A run was cut before it had changed anything, or the journal was damaged since. */
        UNREADABLE,
        /** Of another image: this one was copied, moved or replaced since. */
        OTHER_IMAGE,
        /** No journal, but a file of its name. */
        ALIEN
    }

    private final Path path;
    private final HostFile image;
    private final String format;
    private final long virtualSize;
    private State state;
    private JournalRecords found;
    private FileChannel channel;

    private CompactionJournal(Path path, HostFile image, String format, long virtualSize) {
        this.path = path;
        this.image = image;
        this.format = format;
        this.virtualSize = virtualSize;
    }

    /**
     * Looks for the journal of an image; writes nothing.
     *
     * @param image the file that the image was opened by
     * @param format name of its format
     * @param virtualSize bytes of its disk
     */
    public static CompactionJournal of(HostFile image, String format, long virtualSize) throws IOException {
        Path file = image.path();
        try {
            file = file.toRealPath();
        } catch (NoSuchFileException notThereAnyMore) {
            // The open descriptor is all that is left of it: nobody will find a journal, and none is found.
        }
        Path journal = file.resolveSibling(file.getFileName() + SUFFIX);
        CompactionJournal found = new CompactionJournal(journal, image, format, virtualSize);
        found.look();
        return found;
    }

    private void look() throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            state = State.NONE;
            return;
        }
        if (!Files.isRegularFile(path, LinkOption.NOFOLLOW_LINKS)) {
            state = State.ALIEN;
            return;
        }
        byte[] bytes;
        try (var in = Files.newInputStream(path, LinkOption.NOFOLLOW_LINKS)) {
            bytes = in.readNBytes(JournalRecords.MAX_SIZE);
        } catch (NoSuchFileException removedSince) {
            state = State.NONE;
            return;
        }
        found = JournalRecords.parse(bytes);
        if (found == null) {
            state = JournalRecords.mayBeCut(bytes) ? State.UNREADABLE : State.ALIEN;
        } else {
            FileIdentity identity = image.identity();
            // Not the device: its number may be another one after the restart that follows a power cut.
            boolean same = found.inode() == identity.inode() && found.virtualSize() == virtualSize
                    && found.format().equals(format);
            state = same ? State.CUT : State.OTHER_IMAGE;
        }
    }

    /** @return whether a run on this very image was cut, so that what nothing refers to is its leftover */
    public boolean stands() {
        return state == State.CUT || state == State.UNREADABLE;
    }

    /** @return what was found and what to do, in a sentence; null if there is nothing to say */
    public String notice() {
        return switch (state) {
            case NONE, ALIEN -> null;
            case CUT -> "An earlier run that moved blocks to make the image shorter was cut after " + found.movesDone() + " of "
                    + found.moves() + " moves (" + path + "); the image is sound as it is (VirtualBox, which compares both tables "
                    + "of a VMDK, may refuse it until then), and a run of lacuna reclaim with --mode "
                    + found.mode() + " finishes the work.";
            case UNREADABLE -> "The journal of a run that was to make the image shorter is incomplete or damaged (" + path
                    + "); the image is sound as it is, and the next run of lacuna reclaim with --mode compact removes the journal.";
            case OTHER_IMAGE -> "The journal beside the image (" + path + ") belongs to another file: the image was copied, moved "
                    + "or replaced since. A run of lacuna reclaim with --mode compact finishes what may be left to do; then the "
                    + "journal can be deleted.";
        };
    }

    /**
     * Puts the journal up, durably, before the first change.
     *
     * @param moves how many blocks will be moved
     */
    public void create(ReclaimMode mode, long moves) throws IOException {
        if (state == State.ALIEN) {
            throw new FileAlreadyExistsException(path.toString(), null, "the run needs a journal of this name; move the file away");
        }
        Files.deleteIfExists(path);
        FileIdentity identity = image.identity();
        channel = FileChannel.open(path, StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW, LinkOption.NOFOLLOW_LINKS);
        state = State.UNREADABLE;
        append(JournalRecords.header(identity, virtualSize, format, mode.name().toLowerCase(Locale.ROOT), moves));
        syncDirectory();
        state = State.CUT;
    }

    /** Notes, durably, how far the run is. */
    public void note(long movesDone) throws IOException {
        append(JournalRecords.progress(movesDone));
    }

    private void append(ByteBuffer record) throws IOException {
        while (record.hasRemaining()) {
            channel.write(record);
        }
        channel.force(true);
    }

    /** Takes the journal down; all changes are durable by now. */
    public void remove() throws IOException {
        release();
        if (Files.deleteIfExists(path)) {
            syncDirectory();
        }
        state = State.NONE;
    }

    /** Lets go of the file, which stays. */
    public void release() throws IOException {
        if (channel != null) {
            channel.close();
            channel = null;
        }
    }

    private void syncDirectory() throws IOException {
        try (FileChannel directory = FileChannel.open(path.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
            directory.force(true);
        }
    }
}
