package io.lacuna.engine;

import java.nio.file.Path;
import java.util.List;

/**
 * What became of an undo.
 *
 * @param undoFile as the caller gave it
 * @param image the image that the undo file is of; null if that was never found out
 * @param reason why it was refused or failed, in a sentence; null otherwise
 * @param restoredBytes bytes of data that were written back
 * @param hostBytesBefore bytes the host spent on the image's files at the start; -1 if that cannot be told
 * @param hostBytesAfter the same at the end
 * @param elapsedMillis wall time
 * @param remarks what else is worth knowing, each a sentence
 */
public record UndoReport(Path undoFile, Path image, Verdict verdict, String reason, long restoredBytes, long hostBytesBefore,
        long hostBytesAfter, long elapsedMillis, List<String> remarks) {

    /** The outcome. */
    public enum Verdict {
        /** The image is as it was before the run. */
        RESTORED,
        /** The run had changed nothing. */
        NOTHING_TO_RESTORE,
        /** For safety; nothing was changed. */
        REFUSED,
        /** An I/O or internal failure. */
        FAILED
    }

    public UndoReport {
        remarks = List.copyOf(remarks);
    }

    /** @return 0 done, 1 an I/O or internal failure, 3 refused */
    public int exitStatus() {
        return switch (verdict) {
            case RESTORED, NOTHING_TO_RESTORE -> 0;
            case FAILED -> 1;
            case REFUSED -> 3;
        };
    }
}
