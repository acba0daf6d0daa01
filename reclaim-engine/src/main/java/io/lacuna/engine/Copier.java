package io.lacuna.engine;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.diskimage.Writeback;
import io.lacuna.diskimage.write.ImageWriter;
import io.lacuna.diskimage.write.WriteRequest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;

/**
 * Copies a disk into a new image, without free space and without zeros. The source is only read. What is in doubt is copied: a
 * volume whose free space cannot be believed, or the whole disk, with all its bytes.
 */
public final class Copier {

    private static final int DEFAULT_SECTOR = 512;
    /** A cluster of the qcow2 images that are written: what the copy has of its own is whole ones. */
    private static final long OWN_UNIT = 64 << 10;

    /** Formats whose differencing disks QEMU does not read. */
    private static final Set<String> NO_CHILDREN_IN_QEMU = Set.of("vhd", "vhdx", "vdi");

    private final Path source;
    private final Path out;
    private final CopyOptions options;
    private final OpenedImage opened;
    private final DiskImage image;
    private final List<ChildImage> children;
    private final List<String> remarks = new ArrayList<>();

    private Copier(Path source, Path out, CopyOptions options, OpenedImage opened) throws IOException {
        this.source = source;
        this.out = out;
        this.options = options;
        this.opened = opened;
        this.image = opened.image();
        RunContext context = RunContext.ofOneImage();
        this.children = context.search().of(opened, List.of(), context.held()).children();
        remarks.addAll(opened.remarks());
        remarks.addAll(image.remarks());
        if (!children.isEmpty()) {
            remarks.add("Other images are based on this one (" + ParentRule.names(children) + "). Never put the copy in its place "
                    + "beneath them (rebase, or a new file under the old name): they may use what is free here, and the copy does "
                    + "not have it.");
        }
    }

    /** Copies. Never throws for what is wrong with the image or the place; then nothing of the copy is left. */
    public static CopyReport run(Path source, Path out, CopyOptions options, Progress progress) {
        ImageReport[] ended = new ImageReport[1];
        CopyReport report = Reclaimer.reporting(source, failure -> ended[0] = failure, () -> copy(source, out, options, progress));
        return report != null ? report : new CopyReport(ended[0], null);
    }

    private static CopyReport copy(Path source, Path out, CopyOptions options, Progress progress) throws IOException {
        long startNanos = System.nanoTime();
        DiskImages.Options access = new DiskImages.Options(DiskImages.Access.COPY, options.format(),
                options.allowedBackingDirectories());
        try (OpenedImage opened = DiskImages.open(source, access)) {
            return new Copier(source, out, options, opened).copy(progress, startNanos);
        }
    }

    private CopyReport copy(Progress progress, long startNanos) throws IOException {
        if (image.virtualSize() == 0) {
            throw new UnsupportedException("the disk has no bytes: there is nothing to copy");
        }
        List<ImageLayer> layers = image.layers();
        try (NewFile file = NewFile.begin(out, layers, options.force())) {
            List<SurveyedVolume> volumes = survey();
            ExtentSet free = ExtentSet.EMPTY;
            for (SurveyedVolume volume : volumes) {
                free = free.union(volume.free());
            }
            ImageLayer parent = options.keepChain() ? parent(layers) : null;
            ExtentSet own = parent == null ? ExtentSet.EMPTY : wholeUnits(image.ownRanges());
            ExtentSet stored = parent == null ? image.mayHoldData() : image.mayHoldData().intersect(own);
            ExtentSet wanted = stored.minus(free);
            long virtualSize = options.to().sizeFor(image.virtualSize());
            if (virtualSize != image.virtualSize()) {
                remarks.add("The copy's disk is " + (virtualSize - image.virtualSize()) + " bytes longer, for in "
                        + options.to().word() + " a disk is whole sectors of 512 bytes.");
            }
            WriteRequest request = new WriteRequest(virtualSize, file.target().getFileName().toString(), options.compress(),
                    parent == null ? null : new WriteRequest.Backing(nameOf(parent, file.target()), parent.format()), own,
                    image.sectorSize());
            if (image.sectorSize() != DEFAULT_SECTOR && !options.to().tellsSectorSize()) {
                remarks.add("The disk has logical sectors of " + image.sectorSize() + " bytes, and the copy cannot say so: attach "
                        + "it as such a disk, or its partitions are not found.");
            }
            long written;
            long hostBytes;
            long length;
            try (ImageWriter writer = options.to().writer(file.file(), request);
                    Writeback writeback = Writeback.of(file.temporary())) {
                written = new CopyRun(image.guest(), wanted, writer, writeback).run(progress);
                writer.finish();
                requireUnchanged();
                writeback.end();
                file.sync();
                hostBytes = hostBytes(file.temporary());
                length = Files.size(file.temporary());
                file.publish().ifPresent(remarks::add);
            } catch (DiskFormatException e) {
                throw e;
            } catch (IOException e) {
                throw file.explain(e, wanted.totalBytes());
            }
            CopyReport.Copy copy = new CopyReport.Copy(out.toString(), options.to().word(),
                    parent == null ? null : parent.path().toString(), virtualSize, hostBytes, length, written,
                    stored.totalBytes() - wanted.totalBytes(), Math.max(0, wanted.totalBytes() - written));
            return new CopyReport(report(volumes, stored, layers, startNanos), copy);
        }
    }

    private List<SurveyedVolume> survey() throws IOException {
        Survey.Result survey;
        try {
            survey = Survey.of(image.guest(), options.includes(), options.volumeOptions());
        } catch (DiskFormatException e) {
            remarks.add("No free space is left out, for the partition table cannot be believed: " + e.reason() + ".");
            return List.of();
        }
        for (String remark : survey.remarks()) {
            if (!remarks.contains(remark)) {
                remarks.add(remark);
            }
        }
        if (opened.savedMemory() == null) {
            return survey.volumes();
        }
        return survey.volumes().stream().map(volume -> volume.refused(opened.savedMemory())).toList();
    }

    private static ImageLayer parent(List<ImageLayer> layers) throws IOException {
        List<ImageLayer> parents = layers.stream().filter(layer -> layer.role().equals("backing")).toList();
        if (parents.size() > 1 && NO_CHILDREN_IN_QEMU.contains(parents.get(0).format())) {
            throw new UnsupportedException("the parent is a differencing " + parents.get(0).format() + " itself, which QEMU cannot "
                    + "read, so no qcow2 image can stand on it: copy without --keep-chain");
        }
        if (!parents.isEmpty()) {
            return parents.get(0);
        }
        throw new UnsupportedException("the image has no parent, so there is no chain to keep: copy it without --keep-chain");
    }

    /** @return the ranges as whole units, the last one only as far as the disk goes */
    private ExtentSet wholeUnits(ExtentSet ranges) {
        ExtentSet.Builder whole = ExtentSet.builder();
        for (Extent range : ranges) {
            long start = range.offset() / OWN_UNIT * OWN_UNIT;
            long end = Math.min(image.virtualSize(), (range.end() + OWN_UNIT - 1) / OWN_UNIT * OWN_UNIT);
            whole.add(start, end - start);
        }
        return whole.build();
    }

    /** @return the parent's name as the copy must give it: relative where both are in one directory, so that they can move */
    private static String nameOf(ImageLayer parent, Path copy) throws IOException {
        Path real = parent.path().toRealPath();
        if (!real.getParent().equals(copy.getParent())) {
            return real.toString();
        }
        String name = real.getFileName().toString();
        // Before a colon QEMU sees a protocol.
        return name.indexOf(':') < 0 ? name : "./" + name;
    }

    /** The locks bind only those who ask for them; this notices a writer that did not. */
    private void requireUnchanged() throws IOException {
        List<FileIdentity> before = opened.identitiesWhenOpened();
        List<FileIdentity> now = opened.identities();
        for (int i = 0; i < now.size(); i++) {
            if (!now.get(i).blockDevice() && !now.get(i).provesUnchangedSince(before.get(i))) {
                throw new UnsafeException("something wrote to the image while it was being copied, so the copy was dropped: "
                        + "find and stop it, then try again").in(source);
            }
        }
    }

    private static long hostBytes(Path file) throws IOException {
        try (OpenedImage copy = DiskImages.open(file, new DiskImages.Options(DiskImages.Access.INSPECT, "raw", List.of()))) {
            return copy.file().hostBytes();
        }
    }

    private ImageReport report(List<SurveyedVolume> volumes, ExtentSet stored, List<ImageLayer> layers, long startNanos)
            throws IOException {
        List<VolumeReport> reports = new ArrayList<>();
        for (SurveyedVolume volume : volumes) {
            long free = volume.free().totalBytes();
            long leftOut = volume.free().intersect(stored).totalBytes();
            List<VolumeReport.NotReclaimable> rest = new ArrayList<>(volume.notReclaimable());
            if (free > leftOut) {
                rest.add(new VolumeReport.NotReclaimable(free - leftOut, "not stored in the source"));
            }
            ExtentSet all = volume.allFree();
            reports.add(new VolumeReport(volume.index(), volume.offset(), volume.length(), volume.scheme(), volume.type(),
                    volume.label(), volume.refusal() != null, volume.refusal(), all.totalBytes(), leftOut, all.count(), rest,
                    volume.evidence(), volume.remarks()));
        }
        long hostBytes = image.hostBytes();
        return new ImageReport(source, image.format(), opened.formatProbed() ? "probed" : "fixed", image.virtualSize(),
                ImageReport.Verdict.COPIED, null, hostBytes, hostBytes, 0, 0, 0, Reclaimer.millisSince(startNanos), layers,
                reports, remarks, null, children);
    }
}
