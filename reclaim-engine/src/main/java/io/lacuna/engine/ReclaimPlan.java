package io.lacuna.engine;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * What a run would do to one image: computed from what was read, changing nothing. Holds as long as the image is what it was
 * ({@link FileIdentity}); on a block device only within the session that made it.
 */
public final class ReclaimPlan {

    private final DiskImage maker;
    private final List<FileIdentity> identities;
    private final List<SurveyedVolume> volumes;
    private final Deallocation deallocation;
    private final ExtentSet zeros;
    private final boolean refused;

    /**
     * @param zeros bytes of the disk that are not free and may go as zeros
     * @param refused whether nothing may be touched
     */
    ReclaimPlan(DiskImage maker, List<FileIdentity> identities, List<SurveyedVolume> volumes, Deallocation deallocation,
            ExtentSet zeros, boolean refused) {
        this.maker = maker;
        this.identities = List.copyOf(identities);
        this.volumes = List.copyOf(volumes);
        this.deallocation = deallocation;
        this.zeros = zeros;
        this.refused = refused;
    }

    /** @return whether the plan came from this very opened image, under whose locks nothing can have changed */
    boolean isMadeBy(DiskImage image) {
        return maker == image;
    }

    /** @return the state of the image's files before the first of them was read */
    List<FileIdentity> identities() {
        return identities;
    }

    Deallocation deallocation() {
        return deallocation;
    }

    /** @return free bytes of the virtual disk that cost host storage and will be released */
    public ExtentSet reclaimable() {
        return deallocation.reclaimable();
    }

    /**
     * What a proof leaves out. Zeros that are in use stay in: they read the same afterwards.
     *
     * @return free bytes that are discarded, and those that the image has not itself: its parent may give them back as well
     */
    ExtentSet discarded(DiskImage image) throws IOException {
        ExtentSet free = ExtentSet.EMPTY;
        for (SurveyedVolume volume : volumes) {
            free = free.union(volume.free());
        }
        return deallocation.discarded().minus(zeros).union(free.minus(image.ownRanges()));
    }

    /** @return host bytes that will be released */
    public long plannedBytes() {
        return deallocation.plannedBytes();
    }

    /** @return whether applying the plan would write nothing at all */
    public boolean isEmpty() {
        return deallocation.isEmpty();
    }

    /** @return bytes of the virtual disk that are zeros, in use or nobody's, and will be released as such */
    public long zeroBytes() {
        return deallocation.reclaimable().intersect(zeros).totalBytes();
    }

    /** @return whether nothing may be touched, so that the image counts as refused */
    boolean isRefused() {
        return refused;
    }

    /** @return why no volume may be touched, in one sentence */
    String refusal() {
        if (volumes.isEmpty()) {
            return "the partition table is empty: nothing on this disk is known to be free";
        }
        StringBuilder text = new StringBuilder();
        String last = null;
        for (SurveyedVolume volume : volumes) {
            if (volume.refusal().equals(last)) {
                continue;
            }
            last = volume.refusal();
            text.append(text.length() == 0 ? "" : "; ");
            if (volume.index() > 0 && volumes.size() > 1) {
                text.append("volume ").append(volume.index()).append(": ");
            }
            text.append(last);
        }
        return text.toString();
    }

    /** @return what will become of each volume */
    public List<VolumeReport> volumes() {
        List<VolumeReport> reports = new ArrayList<>();
        for (SurveyedVolume volume : volumes) {
            long reclaimableBytes = 0;
            List<VolumeReport.NotReclaimable> rest = new ArrayList<>(volume.notReclaimable());
            if (!volume.free().isEmpty()) {
                Extent range = new Extent(volume.offset(), volume.length());
                reclaimableBytes = deallocation.reclaimable().intersect(range).intersect(volume.free()).totalBytes();
                for (Deallocation.Retained retained : deallocation.retained()) {
                    long bytes = retained.bytes().intersect(range).intersect(volume.free()).totalBytes();
                    if (bytes > 0) {
                        rest.add(new VolumeReport.NotReclaimable(bytes, retained.why()));
                    }
                }
            }
            ExtentSet free = volume.allFree();
            reports.add(new VolumeReport(volume.index(), volume.offset(), volume.length(), volume.scheme(), volume.type(),
                    volume.label(), volume.refusal() != null, volume.refusal(), free.totalBytes(), reclaimableBytes,
                    free.count(), rest, volume.evidence(), volume.remarks()));
        }
        return reports;
    }
}
