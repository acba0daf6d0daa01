package io.lacuna.engine;

import java.util.List;

/** All images of one run. */
public record RunReport(boolean dryRun, List<ImageReport> images) {

    public RunReport {
        images = List.copyOf(images);
    }

    /**
     * The exit status of the run: that of its worst image. A changed live byte is the worst; a failure is worse than a refusal,
     * for a refusal is sure to have changed nothing.
     *
     * @return 0 done, 1 an I/O or internal failure, 3 refused, 4 live bytes differ
     */
    public int exitStatus() {
        int status = 0;
        if (images.stream().anyMatch(ImageReport::differs)) {
            return 4;
        }
        for (ImageReport image : images) {
            if (image.verdict() == ImageReport.Verdict.FAILED) {
                return 1;
            }
            if (image.verdict() == ImageReport.Verdict.REFUSED) {
                status = 3;
            }
        }
        return status;
    }
}
