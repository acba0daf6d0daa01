package io.lacuna.engine.proof;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Compares the live bytes of an image with what a report says of them. Reads only, under the locks of a reader. */
public final class ImageCheck {

    private ImageCheck() {
    }

    /**
     * What came out.
     *
     * @param sentence what was found
     * @param remarks what else is to be known of the image, each a sentence
     */
    public record Result(Finding finding, String sentence, List<String> remarks) {

        public Result {
            remarks = List.copyOf(remarks);
        }

        private Result(Finding finding, String sentence) {
            this(finding, sentence, List.of());
        }
    }

    /**
     * @return what the report says of an image: the only one there is, or the one of that path
     * @throws IllegalArgumentException if it says nothing of it, in a sentence for the user
     */
    public static ReadReport.Image find(ReadReport report, Path image) {
        if (report.images().size() == 1) {
            return report.images().get(0);
        }
        for (ReadReport.Image one : report.images()) {
            if (one.text("path") != null && isSame(Path.of(one.text("path")), image)) {
                return one;
            }
        }
        throw new IllegalArgumentException("the report is about " + report.images().size() + " images, and none of them is " + image
                + " by its path: name it as it was named there");
    }

    private static boolean isSame(Path named, Path image) {
        try {
            return named.equals(image) || Files.exists(named) && Files.isSameFile(named, image);
        } catch (IOException e) {
            return false;
        }
    }

    /**
     * Reads all live bytes.
     *
     * @param format the image's format; null for the one that the report names
     * @throws io.lacuna.blockio.DiskFormatException if the image must be refused: a running writer, a damaged header
     */
    public static Result run(ReadReport.Image reported, Path image, String format, List<Path> allowedBackingDirectories,
            Progress progress) throws IOException {
        String wanted = reported.proof("after") != null ? reported.proof("after") : reported.proof("before");
        if (wanted == null) {
            return new Result(Finding.NOTHING_TO_COMPARE, "the report has no digest of the image's live bytes; runs with --verify "
                    + "live leave one");
        }
        String before = reported.proof("before");
        if (before != null && !before.equals(wanted) && reported.proof("difference") == null) {
            return new Result(Finding.RUN_DIFFERED, "the report contradicts itself: it tells of no difference, but of two digests, "
                    + before + " before the run and " + wanted + " after");
        }
        if (!LiveDigest.NAME.equals(reported.proof("digest"))) {
            throw new UnsupportedException("the report's digest is of the kind '" + reported.proof("digest") + "', which this "
                    + "version cannot compute");
        }
        DiskImages.Options options = new DiskImages.Options(DiskImages.Access.COPY,
                format != null ? format : reported.text("format"), allowedBackingDirectories);
        List<String> remarks;
        String scope;
        try (OpenedImage opened = DiskImages.open(image, options)) {
            remarks = opened.remarks();
            long size = opened.image().virtualSize();
            if (size != reported.number("virtualSize")) {
                return new Result(Finding.IMAGE_CHANGED, "this is another disk: it has " + size + " bytes, the one of the report "
                        + reported.number("virtualSize"), remarks);
            }
            // Whoever writes a report that leaves out everything has one that is true of any disk.
            long leftOut = reported.discarded().intersect(ExtentSet.ofRange(0, size)).totalBytes();
            scope = "; " + (size - leftOut) + " bytes of the disk compared, " + leftOut + " left out as discarded";
            String found = LiveDigest.of(opened.image(), reported.discarded(), progress);
            if (!found.equals(wanted)) {
                return new Result(Finding.IMAGE_CHANGED, "the live bytes of the image are not those of the report: digest " + found
                        + ", reported " + wanted, remarks);
            }
        }
        String differed = reported.proof("difference");
        return differed == null ? new Result(Finding.GOOD, "the live bytes of the image are those of the report: digest "
                + wanted + scope, remarks)
                : new Result(Finding.RUN_DIFFERED, "the image is as the run left it, but the report says that live bytes differed: "
                        + differed, remarks);
    }
}
