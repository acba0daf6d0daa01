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
        String after = null;
        String difference;
        try (OpenedImage again = DiskImages.open(opened.file().path(), asStored())) {
            FileIdentity now = again.file().identity();
            if (now.device() != identity.device() || now.inode() != identity.inode()) {
                throw new IOException("another file has its name now");
            }
            after = LiveDigest.of(again.image(), discarded, progress);
            difference = before.equals(after) ? null : "live bytes read otherwise than before the run (digest " + before
                    + " before, " + after + " after)";
        } catch (DiskFormatException e) {
            difference = "the image cannot be read any more: " + e.getMessage();
        } catch (IOException e) {
            throw new IOException("the image was changed as planned, but could not be read again for the comparison: "
                    + e.getMessage(), e);
        }
        return new LiveProof(discarded, before, after, difference, identityBefore, identity);
    }

    /** To look at only: the locks of this very session would stop anything else. */
    private DiskImages.Options asStored() {
        return new DiskImages.Options(DiskImages.Access.INSPECT, opened.image().format(), options.allowedBackingDirectories());
    }
}
