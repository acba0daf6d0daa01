package io.lacuna.engine;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.Progress;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.engine.proof.LiveDigest;
import io.lacuna.engine.proof.LiveProof;
import java.io.IOException;
import java.nio.file.Path;

/** Collects what the report of one image can prove; with {@code --verify live} by two digests of its live bytes. */
final class LiveCheck {

    private final ReclaimOptions options;
    private final OpenedImage opened;
    private final ExtentSet discarded;
    private final FileIdentity identityBefore;
    private String before;

    /**
     * Computes the first digest, if one is asked for.
     *
     * @param plan what will be done; nothing has been yet
     * @param identity the image's own file as it was when it was opened
     */
    LiveCheck(ReclaimOptions options, OpenedImage opened, ReclaimPlan plan, FileIdentity identity, Progress progress)
            throws IOException {
        this.options = options;
        this.opened = opened;
        this.discarded = plan.isRefused() || !wanted() ? ExtentSet.EMPTY : plan.discarded(opened.image());
        this.identityBefore = identity;
        if (options.verify() == ReclaimOptions.Verify.LIVE && !plan.isRefused()) {
            before = LiveDigest.of(opened.image(), discarded, progress);
        }
    }

    /** @return what is known where nothing was changed; null if nobody asked */
    LiveProof untouched(boolean dryRun) {
        return wanted() ? new LiveProof(discarded, before, dryRun ? null : before, null, identityBefore,
                dryRun ? null : identityBefore) : null;
    }

    private boolean wanted() {
        return options.verify() == ReclaimOptions.Verify.LIVE || options.listDiscarded();
    }

    /**
     * Reads the image again, through new descriptors and tables and, as far as the host does as it is told, from the storage and
     * not from its memory.
     *
     * @return what is known after the change; null if nobody asked
     * @throws IOException if it cannot be read
     */
    LiveProof changed(Progress progress) throws IOException {
        if (!wanted()) {
            return null;
        }
        FileIdentity identity = opened.identities().get(0);
        if (before == null) {
            return new LiveProof(discarded, null, null, null, identityBefore, identity);
        }
        opened.dropCaches();
        return compared(opened.file().path(), opened.image().format(),
                new LiveProof(discarded, before, null, null, identityBefore, identity), identity, options, progress);
    }

    /**
     * Reads an image once more, after those that it is based on have been changed: its own run could not know what they would
     * come to.
     *
     * @param report of its run, which found no difference
     * @return the report with what is known now
     * @throws IOException if it cannot be read
     */
    static ImageReport afterItsParents(ImageReport report, ReclaimOptions options, Progress progress) throws IOException {
        try (OpenedImage cached = toLookAt(report.path(), report.format(), options)) {
            cached.dropCaches();
        } catch (DiskFormatException e) {
            // Told below.
        }
        return report.with(compared(report.path(), report.format(), report.proof(), report.proof().identityAfter(), options,
                progress));
    }

    private static LiveProof compared(Path path, String format, LiveProof proof, FileIdentity identity, ReclaimOptions options,
            Progress progress) throws IOException {
        String after = null;
        String difference;
        try (OpenedImage again = toLookAt(path, format, options)) {
            FileIdentity now = again.file().identity();
            if (now.device() != identity.device() || now.inode() != identity.inode()) {
                throw new IOException("another file has its name now");
            }
            after = LiveDigest.of(again.image(), proof.discarded(), progress);
            difference = proof.before().equals(after) ? null : "live bytes read otherwise than before the run (digest "
                    + proof.before() + " before, " + after + " after)";
            if (difference != null && !now.blockDevice() && !now.provesUnchangedSince(identity)) {
                difference += "; the file was changed again since the run was done with it";
            }
        } catch (DiskFormatException e) {
            difference = "the image cannot be read any more: " + e.getMessage();
        } catch (IOException e) {
            throw new IOException("the image was changed as planned, but could not be read again for the comparison: "
                    + e.getMessage(), e);
        }
        return new LiveProof(proof.discarded(), proof.before(), after, difference, proof.identityBefore(), identity);
    }

    /** The locks of this very session would stop anything else. */
    private static OpenedImage toLookAt(Path path, String format, ReclaimOptions options) throws IOException {
        return DiskImages.open(path,
                new DiskImages.Options(DiskImages.Access.INSPECT, format, options.allowedBackingDirectories()));
    }
}
