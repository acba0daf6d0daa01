package io.lacuna.engine;

import io.lacuna.blockio.ImageLayer;
import io.lacuna.engine.proof.LiveProof;
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
 * @param zeroBytes bytes of the virtual disk, not free, that hold only zeros and are released as such
 * @param elapsedMillis wall time
 * @param layers the image's files and its parents
 * @param volumes what is on the disk
 * @param remarks what else is worth knowing
 * @param proof what the run can prove of it; null if nobody asked, or if the run never came so far
 * @param children images that are based on it, as far as they are known; as a tree, each after the one it is based
 *     on and before that one's next child
 */
public record ImageReport(Path path, String format, String formatSource, long virtualSize, Verdict verdict, String reason,
        long hostBytesBefore, long hostBytesAfter, long plannedBytes, long unreferencedBytes, long zeroBytes, long elapsedMillis,
        List<ImageLayer> layers, List<VolumeReport> volumes, List<String> remarks, LiveProof proof, List<ChildImage> children) {

    public ImageReport {
        children = List.copyOf(children);
        layers = List.copyOf(layers);
        volumes = List.copyOf(volumes);
        remarks = List.copyOf(remarks);
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
        return new ImageReport(path, null, null, 0, verdict, reason, -1, -1, 0, 0, 0, elapsedMillis, List.of(), List.of(),
                List.of(), null, List.of());
    }

    /** @return this report with what was found out in the end; live bytes that differ make it a failure */
    ImageReport with(LiveProof found) {
        boolean differs = found != null && found.differs();
        return new ImageReport(path, format, formatSource, virtualSize, differs ? Verdict.FAILED : verdict,
                differs ? "VERIFICATION FOUND A DIFFERENCE: " + found.difference() : reason, hostBytesBefore, hostBytesAfter,
                plannedBytes, unreferencedBytes, zeroBytes, elapsedMillis, layers, volumes, remarks, found,
                children);
    }

    /** @return whether live bytes are known to read otherwise than before the run */
    public boolean differs() {
        return proof != null && proof.differs();
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
