package io.lacuna.engine;

import java.util.List;

/**
 * What became of one copy.
 *
 * @param source the image that was copied, and the verdict
 * @param copy the new file; null if there is none
 */
public record CopyReport(ImageReport source, Copy copy) {

    /**
     * A finished copy.
     *
     * @param path as the caller gave it
     * @param format the word of its format
     * @param parent the parent it names; null if it holds the whole disk
     * @param virtualSize bytes of its disk
     * @param hostBytes bytes the host spends on it; -1 if it cannot tell
     * @param fileLength bytes of the file, its holes included
     * @param copiedBytes bytes of the disk that hold something and were written, in pages of 4 KiB
     * @param freeBytes bytes left out because they are free, although the source may store them
     * @param zeroBytes bytes left out because they are zeros, although the source may store them
     */
    public record Copy(String path, String format, String parent, long virtualSize, long hostBytes, long fileLength,
            long copiedBytes, long freeBytes, long zeroBytes) {
    }

    /** @return 0 done, 1 an I/O or internal failure, 3 refused */
    public int exitStatus() {
        return new RunReport(false, List.of(source)).exitStatus();
    }
}
