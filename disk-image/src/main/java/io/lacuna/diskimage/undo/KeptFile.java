package io.lacuna.diskimage.undo;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.diskimage.undo.UndoRecord.Phase;
import java.util.List;

/**
 * Of which ranges of one file the old bytes are kept. What is overwritten is kept anew for each time that the file was made durable
 * in between, so that the way back leads through the same states as the run, each of which a cut may leave.
 */
final class KeptFile {

    private ExtentSet replaced = ExtentSet.EMPTY;
    /** What was written to of these: the record of the plan is good for the first time only. */
    private final KeptRanges rewritten = new KeptRanges();
    private final KeptRanges released = new KeptRanges();
    private KeptRanges sinceBarrier = new KeptRanges();

    /** Takes what a plan names, first what will be replaced. @return what of it has to be kept */
    ExtentSet planned(Phase phase, ExtentSet ranges) {
        if (phase == Phase.REPLACED) {
            replaced = replaced.union(ranges);
            return ranges;
        }
        ExtentSet missing = ranges.minus(replaced);
        for (Extent range : missing) {
            released.add(range.offset(), range.end());
        }
        return missing;
    }

    /** Takes a range that is about to be overwritten. @return what of it has to be kept */
    ExtentSet overwriting(Extent range) {
        ExtentSet missing = withoutUntouched(sinceBarrier.missing(range.offset(), range.end()));
        sinceBarrier.add(range.offset(), range.end());
        if (replaced.intersects(range.offset(), range.length())) {
            rewritten.add(range.offset(), range.end());
        }
        return missing;
    }

    /** Takes a range that is about to be punched or cut off. @return what of it has to be kept */
    ExtentSet releasing(Extent range) {
        ExtentSet missing = withoutUntouched(released.missing(range.offset(), range.end()));
        for (Extent part : missing) {
            released.add(part.offset(), part.end());
        }
        return missing;
    }

    /** @return what of a range was released, or is going to be */
    ExtentSet released(Extent range) {
        return ExtentSet.ofRange(range.offset(), range.length()).minus(set(released.missing(range.offset(), range.end())));
    }

    /** All that was written is durable: what is written next comes behind it. */
    void barrier() {
        sinceBarrier = new KeptRanges();
    }

    /** What still holds what the plan kept needs no other record. */
    private ExtentSet withoutUntouched(List<Extent> parts) {
        ExtentSet all = set(parts);
        ExtentSet inReplaced = all.intersect(replaced);
        if (inReplaced.isEmpty()) {
            return all;
        }
        ExtentSet.Builder untouched = ExtentSet.builder();
        for (Extent part : inReplaced) {
            for (Extent missing : rewritten.missing(part.offset(), part.end())) {
                untouched.add(missing.offset(), missing.length());
            }
        }
        return all.minus(untouched.build());
    }

    private static ExtentSet set(List<Extent> extents) {
        ExtentSet.Builder set = ExtentSet.builder();
        for (Extent extent : extents) {
            set.add(extent.offset(), extent.length());
        }
        return set.build();
    }
}
