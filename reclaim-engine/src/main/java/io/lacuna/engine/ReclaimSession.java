package io.lacuna.engine;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.engine.proof.LiveProof;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * One image, opened once, with its locks held from before the first read until {@link #close()}. Not for several threads.
 */
public final class ReclaimSession implements Closeable {

    private final Path path;
    private final ReclaimOptions options;
    private final OpenedImage opened;
    private final DiskImage image;
    private final ParentRule parents;
    private final RunMarker marker;
    private final KeptBytes kept;
    private final long startNanos;
    private final long hostBytesBefore;
    private final List<String> remarks = new ArrayList<>();
    /** The image's files as they were before anything of them was read, or as the last apply left them; its own first. */
    private List<FileIdentity> known;

    private ReclaimSession(Path path, ReclaimOptions options, OpenedImage opened, KeptBytes kept, ParentRule parents,
            long startNanos)
            throws IOException {
        this.startNanos = startNanos;
        this.path = path;
        this.options = options;
        this.opened = opened;
        this.kept = kept;
        this.image = opened.image();
        this.parents = parents;
        this.hostBytesBefore = image.hostBytes();
        this.known = opened.identitiesWhenOpened();
        this.marker = known.get(0).blockDevice() ? null : RunMarker.of(path.toRealPath(), known.get(0));
        remarks.addAll(opened.remarks());
        remarks.addAll(image.remarks());
        remarks.addAll(parents.remarks());
    }

    static ReclaimSession open(Path path, ReclaimOptions options, RunContext context) throws IOException {
        long startNanos = System.nanoTime();
        KeptBytes kept = KeptBytes.of(path, options);
        OpenedImage opened = DiskImages.open(path, openOptions(options, context), kept.recorder());
        try {
            return new ReclaimSession(path, options, opened, kept, ParentRule.of(opened, options, context), startNanos);
        } catch (IOException | RuntimeException e) {
            opened.close();
            throw e;
        }
    }

    private static DiskImages.Options openOptions(ReclaimOptions options, RunContext context) {
        DiskImages.Access access = switch (options.purpose()) {
            case INSPECT -> DiskImages.Access.INSPECT;
            case DRY_RUN -> DiskImages.Access.PLAN;
            case RECLAIM -> DiskImages.Access.WRITE;
        };
        return new DiskImages.Options(access, options.format(), options.allowedBackingDirectories(),
                options.mode() == ReclaimMode.PUNCH, context.held());
    }

    /** @return the opened disk, for callers that want more than the report says */
    public DiskImage image() {
        return image;
    }

    /**
     * Reads the disk and computes what a run would do. Writes nothing.
     *
     * @throws DiskFormatException if the whole image is refused
     */
    public ReclaimPlan plan() throws IOException {
        Survey.Result survey = parents.judge(survey());
        for (String remark : survey.remarks()) {
            if (!remarks.contains(remark)) {
                remarks.add(remark);
            }
        }
        ExtentSet free = ExtentSet.EMPTY;
        for (SurveyedVolume volume : survey.volumes()) {
            free = free.union(volume.free());
        }
        boolean allRefused = survey.volumes().stream().allMatch(volume -> volume.refusal() != null);
        // Zeros read the same afterwards, so that a volume nobody understands does not keep them; a doubt about the machine does.
        boolean refused = options.zeroes() ? survey.doubt() != null : allRefused;
        ExtentSet zeros = options.zeroes() && !refused ? ZeroScan.of(image, free) : ExtentSet.EMPTY;
        Deallocation deallocation = refused ? Untouched.all(free) : deallocation(free, zeros);
        return new ReclaimPlan(image, known, survey.volumes(), deallocation, zeros, refused);
    }

    /** While the file systems are read, another thread already asks the host what the plan will need to know of it. */
    private Survey.Result survey() throws IOException {
        Thread asking = new Thread(opened::anticipatePlan, "asking the host");
        asking.setDaemon(true);
        asking.start();
        try {
            return Survey.of(image.guest(), options.includes(), parents.volumeOptions());
        } finally {
            join(asking);
        }
    }

    /** What it finds out would be wrong after the first change, so it must have ended before that in any case. */
    private static void join(Thread asking) {
        boolean interrupted = false;
        while (asking.isAlive()) {
            try {
                asking.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private Deallocation deallocation(ExtentSet free, ExtentSet zeros) throws IOException {
        boolean cut = marker != null && marker.stands();
        boolean repair = cut && mayRepair();
        if (cut) {
            remarks.add("an earlier run on this image was cut; " + (repair ? "this one finishes it and takes back what leaked"
                    : "a run in the mode 'deallocate' finishes it and takes back what leaked"));
        }
        DeallocationRequest request = new DeallocationRequest(free, zeros, options.mode(), options.granularity(),
                options.minExtent(), repair);
        if (options.purpose() != ReclaimOptions.Purpose.INSPECT) {
            return planned(request);
        }
        try {
            return planned(request);
        } catch (DiskFormatException e) {
            remarks.add("a reclaim would be refused: " + e.reason());
            return Untouched.all(free);
        }
    }

    private Deallocation planned(DeallocationRequest request) throws IOException {
        Deallocation deallocation = image.plan(request);
        if (marker != null && deallocation.changesTables()) {
            marker.requirePlace();
        }
        return deallocation;
    }

    /** @return what the plan would do, as the report of a dry run */
    public ImageReport report(ReclaimPlan plan) throws IOException {
        return report(plan, Progress.NONE);
    }

    /** As {@link #report(ReclaimPlan)}; the digest of the live bytes, if it is asked for, takes a while. */
    ImageReport report(ReclaimPlan plan, Progress progress) throws IOException {
        LiveCheck check = new LiveCheck(options, opened, plan, known.get(0), progress);
        return report(plan, hostBytesBefore).with(check.untouched(true));
    }

    /**
     * Does what the plan says, and returns when all of it is durable. A plan of another session is good as long as the image
     * is proved to be the same and unchanged; on a block device it never is.
     *
     * @throws UnsafeException if the image is no longer what it was; nothing was changed
     * @throws IOException if a write failed: the image is valid, its live bytes are the same, and a later run finishes
     */
    public ImageReport apply(ReclaimPlan plan, Progress progress) throws IOException {
        if (options.purpose() != ReclaimOptions.Purpose.RECLAIM) {
            throw new IllegalStateException("opened for " + options.purpose());
        }
        ReclaimPlan current = plan.isMadeBy(image) ? plan : replan(plan);
        LiveCheck check = new LiveCheck(options, opened, current, known.get(0), progress);
        if (current.isRefused()) {
            return report(current, hostBytesBefore).with(check.untouched(false));
        }
        boolean changes = !current.isEmpty();
        if (changes) {
            kept.keep(opened, current.deallocation(), marker != null && marker.stands());
            requireUnchanged(current);
            boolean marked = marker != null && current.deallocation().changesTables();
            if (marked) {
                marker.raise();
            }
            carryOut(image, current.deallocation(), progress);
            kept.finish();
            known = opened.identities();
        }
        if (marker != null && mayRepair()) {
            marker.remove();
        }
        long hostBytesAfter = image.hostBytes();
        LiveProof proof = changes ? check.changed(progress) : check.untouched(false);
        return report(current, hostBytesAfter).with(proof);
    }

    /** A run that changes no table cannot take back what leaked, so the sign of the leak stays. */
    private boolean mayRepair() {
        return options.mode() != ReclaimMode.PUNCH;
    }

    /** @throws IOException also for what is wrong with the image: at this point it is too late to refuse it as unchanged */
    static void carryOut(DiskImage image, Deallocation deallocation, Progress progress) throws IOException {
        try {
            image.apply(deallocation, progress);
        } catch (DiskFormatException e) {
            throw new IOException("stopped after the first change: " + e.getMessage() + ". The image is valid and its live bytes "
                    + "are the same; check what else uses it, then run again", e);
        }
    }

    /** The locks bind only those who ask for them; this notices a writer that did not. */
    private void requireUnchanged(ReclaimPlan plan) throws IOException {
        if (!isUnchangedSince(plan, true)) {
            throw new UnsafeException("something wrote to the image while it was being read: find and stop it, then try again");
        }
    }

    /** @param devices whether to take for granted that a block device is unchanged, for nothing could show that it is not */
    private boolean isUnchangedSince(ReclaimPlan plan, boolean devices) throws IOException {
        List<FileIdentity> now = opened.identities();
        boolean unchanged = now.size() == plan.identities().size();
        for (int i = 0; unchanged && i < now.size(); i++) {
            unchanged = devices && now.get(i).blockDevice() || now.get(i).provesUnchangedSince(plan.identities().get(i));
        }
        return unchanged;
    }

    private ReclaimPlan replan(ReclaimPlan foreign) throws IOException {
        if (!isUnchangedSince(foreign, false)) {
            throw new UnsafeException(opened.file().isBlockDevice()
                    ? "a plan for a block device holds only in the session that made it: plan again"
                    : "the image is not what it was when the plan was made (device, inode, size, mtime or ctime differ): "
                    + "plan again");
        }
        ReclaimPlan own = plan();
        if (!own.reclaimable().equals(foreign.reclaimable()) || own.plannedBytes() != foreign.plannedBytes()) {
            throw new UnsafeException("the plan was made with other options: plan again");
        }
        return own;
    }

    private ImageReport report(ReclaimPlan plan, long hostBytesAfter) throws IOException {
        Deallocation deallocation = plan.deallocation();
        ImageReport.Verdict verdict = plan.isRefused() ? ImageReport.Verdict.REFUSED
                : plan.isEmpty() ? ImageReport.Verdict.NOTHING_TO_RECLAIM : ImageReport.Verdict.RECLAIMED;
        List<String> all = new ArrayList<>(remarks);
        all.addAll(deallocation.remarks());
        all.addAll(kept.remarks(deallocation));
        return new ImageReport(path, image.format(), opened.formatProbed() ? "probed" : "fixed", image.virtualSize(),
                verdict, verdict == ImageReport.Verdict.REFUSED ? plan.refusal() : null, hostBytesBefore, hostBytesAfter,
                deallocation.plannedBytes(), deallocation.unreferencedBytes(), plan.zeroBytes(), Reclaimer.millisSince(startNanos),
                image.layers(), plan.volumes(), all, null, parents.children());
    }

    @Override
    public void close() throws IOException {
        try (kept; parents) {
            opened.close();
        }
    }
}
