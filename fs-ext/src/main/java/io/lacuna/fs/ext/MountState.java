package io.lacuna.fs.ext;

import io.lacuna.blockio.UnsafeException;

/** Whether the guest left the file system in a state that the bitmaps can be believed in. */
final class MountState {

    private static final int VALID = 0x0001;
    private static final int ERRORS = 0x0002;
    private static final int ORPHANS_BEING_RECOVERED = 0x0004;
    private static final int FAST_COMMIT_REPLAY = 0x0020;

    private MountState() {
    }

    /** @throws UnsafeException if it was not cleanly unmounted (or frozen), or knows of errors */
    static void requireClean(Superblock superblock) throws UnsafeException {
        requireNoDoubt(superblock);
        Features features = superblock.features();
        if (features.has(Features.RECOVER)) {
            String name = "the " + features.type() + " file system ";
            throw new UnsafeException(features.has(Features.HAS_JOURNAL)
                    ? name + "has a journal with changes that are still to be replayed: start the guest and shut it down cleanly; "
                    + "or, if the guest will boot next from this very disk, will not resume from saved memory, and no snapshot or "
                    + "child stands on the disk, say so with --replay-journal"
                    : name + "asks for a replay of a journal that it does not have: run e2fsck -f in the guest");
        }
        requireUnmounted(superblock);
    }

    /** @throws UnsafeException if it is in doubt for another reason than a journal that is still to be replayed */
    static void requireReplayable(Superblock superblock) throws UnsafeException {
        requireNoDoubt(superblock);
        if (!superblock.features().has(Features.HAS_JOURNAL)) {
            throw new UnsafeException("the " + superblock.features().type() + " file system asks for a replay of a journal that it "
                    + "does not have: run e2fsck -f in the guest");
        }
        requireUnmounted(superblock);
    }

    private static void requireNoDoubt(Superblock superblock) throws UnsafeException {
        int state = superblock.state();
        Features features = superblock.features();
        String name = "the " + features.type() + " file system ";
        if ((state & ERRORS) != 0) {
            throw new UnsafeException(name + "is marked as having errors, or a resize of it did not finish: run e2fsck -f in "
                    + "the guest");
        }
        if ((state & ORPHANS_BEING_RECOVERED) != 0) {
            throw new UnsafeException(name + "was left while its orphaned files were being recovered (state 0x0004): run "
                    + "e2fsck -f in the guest");
        }
        if ((state & FAST_COMMIT_REPLAY) != 0) {
            throw new UnsafeException(name + "was left while fast commits were being replayed (state 0x0020): start the guest "
                    + "and shut it down cleanly");
        }
        if ((state & ~VALID) != 0) {
            throw new UnsafeException(name + "has an unknown state, 0x" + Integer.toHexString(state)
                    + ": run e2fsck -f in the guest");
        }
    }

    private static void requireUnmounted(Superblock superblock) throws UnsafeException {
        Features features = superblock.features();
        String name = "the " + features.type() + " file system ";
        // Without a journal the cleared flag is all that tells of a crash, whatever the type.
        if ((superblock.state() & VALID) == 0) {
            throw new UnsafeException(name + "was not cleanly unmounted: start the guest and shut it down cleanly, or run "
                    + "e2fsck -f in it");
        }
        if (features.has(Features.HAS_JOURNAL) && superblock.journalInode() == 0) {
            throw new UnsafeException(name + "keeps its journal on another device, which is not looked at: move the journal "
                    + "into the file system (tune2fs -O ^has_journal, then tune2fs -j)");
        }
    }
}
