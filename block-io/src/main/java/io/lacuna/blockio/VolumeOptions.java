package io.lacuna.blockio;

/**
 * How far a caller vouches for the guest of a volume, and how much proof he asks for.
 *
 * @param replayJournal the caller's word that the guest will boot, and not resume: a journal with something in it may be
 *     replayed in memory, and what is free before and after counts as free
 * @param crossCheck whether the bitmaps are to be compared with what every file of the volume says it uses, also where a
 *     file system does not call for it
 * @param runsOn whether a guest may run on from this state of the disk, as it may in an image that is based on it: then
 *     a file system counts only if something on the disk tells that it was unmounted or frozen
 */
public record VolumeOptions(boolean replayJournal, boolean crossCheck, boolean runsOn) {

    /** Nothing is vouched for, and the file system's own checks are enough. */
    public static final VolumeOptions NONE = new VolumeOptions(false, false);

    /** No guest runs on from here: the next one boots. */
    public VolumeOptions(boolean replayJournal, boolean crossCheck) {
        this(replayJournal, crossCheck, false);
    }
}
