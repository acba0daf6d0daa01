package io.lacuna.engine;

import io.lacuna.blockio.ImageLayer;
import java.nio.file.Path;
import java.util.List;

/**
 * What became of one image.
 *
 * @param path as the caller gave it
 * @param format the format; null if it was never found out
 * @param formatSource "probed" or "fixed" by the caller; null if it was never found out
 * @param virtualSize bytes of the virtual disk; 0 if it was never found out
 * @param verdict the outcome
 * @param reason why it was refused or failed, in a sentence; null otherwise
 * @param hostBytesBefore bytes the host spent on it at the start; -1 if the host cannot tell
 * @param hostBytesAfter bytes the host spent on it at the end; -1 if the host cannot tell
 * @param plannedBytes host bytes that the plan releases
 * @param unreferencedBytes those of them that belonged to no guest byte
 * @param elapsedMillis wall time
 * @param layers the image's files and its parents
 * @param volumes what is on the disk
 * @param remarks what else is worth knowing
 * @param children images that are based on it, as far as they are known; as a tree, each after the one it is based
 *     on and before that one's next child
 */
public record ImageReport(Path path, String format, String formatSource, long virtualSize, Verdict verdict, String reason,
        long hostBytesBefore, long hostBytesAfter, long plannedBytes, long unreferencedBytes, long elapsedMillis,
        List<ImageLayer> layers, List<VolumeReport> volumes, List<String> remarks, List<ChildImage> children) {

    public ImageReport {
        children = List.copyOf(children);
        layers = List.copyOf(layers);
        volumes = List.copyOf(volumes);
        remarks = List.copyOf(remarks);
    }

    /** Of an image whose children were not looked for. */
    public ImageReport(Path path, String format, String formatSource, long virtualSize, Verdict verdict, String reason,
            long hostBytesBefore, long hostBytesAfter, long plannedBytes, long unreferencedBytes, long elapsedMillis,
            List<ImageLayer> layers, List<VolumeReport> volumes, List<String> remarks) {
        this(path, format, formatSource, virtualSize, verdict, reason, hostBytesBefore, hostBytesAfter, plannedBytes,
                unreferencedBytes, elapsedMillis, layers, volumes, remarks, List.of());
    }

    /** The outcome; in a dry run, the outcome a run would have. */
    public enum Verdict {
        RECLAIMED("reclaimed"),
        NOTHING_TO_RECLAIM("nothing-to-reclaim"),
        /** A copy stands; the image itself is as it was. */
        COPIED("copied"),
        /** For safety; nothing was changed. */
        REFUSED("refused"),
        /** An I/O or internal failure. */
        FAILED("failed");

        private final String word;

        Verdict(String word) {
            this.word = word;
        }

        /** @return the word of the reports */
        public String word() {
            return word;
        }
    }

    static ImageReport ended(Path path, Verdict verdict, String reason, long elapsedMillis) {
        return new ImageReport(path, null, null, 0, verdict, reason, -1, -1, 0, 0, elapsedMillis, List.of(), List.of(),
                List.of());
    }

    /** @return free bytes over all volumes that could be read */
    public long freeBytes() {
        long total = 0;
        for (VolumeReport volume : volumes) {
            total += volume.freeBytes();
        }
        return total;
    }
}
