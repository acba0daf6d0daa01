package io.lacuna.engine;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FileSystem;
import io.lacuna.blockio.FileSystemProbe;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.partition.Partition;
import io.lacuna.partition.PartitionTable;
import io.lacuna.partition.VolumeSignature;
import io.lacuna.partition.VolumeSignatures;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * Finds the volumes of a disk and reads the free space of each. Decides what must be left alone: a volume in doubt is
 * refused with its reason, and a sign of saved memory refuses them all.
 */
final class Survey {

    /** Ours: what is left alone anyway is looked through that often; a table with more of that is wrong as a whole. */
    private static final int MAX_LOOKS = 128;

    /** Kinds of partitions that hold none, so that nothing can be told by them. */
    private static final Set<String> WITHOUT_FILE_SYSTEM = Set.of("BIOS boot", "Microsoft reserved");

    private final BlockSource disk;
    private final PartitionTable table;
    private final Set<ReclaimOptions.Include> includes;
    private final VolumeOptions volumeOptions;
    private final List<SurveyedVolume> volumes = new ArrayList<>();
    /** Why nothing on the whole disk may change; null as long as nothing speaks against it. */
    private String machineDoubt;
    /** Where on the disk the signatures stand that belong to a volume. */
    private final Set<Long> volumeSignatures = new HashSet<>();
    private final VerityTrees verity = new VerityTrees();
    /** Bytes of each file system that is believed, by its volume's offset on the disk. */
    private final Map<Long, Long> fileSystemLengths = new HashMap<>();
    /** Offsets of the swap areas that may go. */
    private final Set<Long> swapAreas = new HashSet<>();
    private int looks;
    /** A volume whose file system could not be believed, so that it may reach past its partition; null if there is none. */
    private SurveyedVolume boundless;

    private Survey(BlockSource disk, PartitionTable table, Set<ReclaimOptions.Include> includes, VolumeOptions volumeOptions) {
        this.disk = disk;
        this.table = table;
        this.includes = includes;
        this.volumeOptions = volumeOptions;
    }

    /**
     * @param volumes in the order of the table; with the doubt of the whole machine worked in
     * @param remarks about the partition table
     * @param doubt why nothing on the whole disk may change, whatever its volumes are; null if nothing speaks against it
     */
    record Result(List<SurveyedVolume> volumes, List<String> remarks, String doubt) {
    }

    /**
     * @throws DiskFormatException if no partition table can be trusted
     * @throws IOException if the disk cannot be read
     */
    static Result of(BlockSource disk, Set<ReclaimOptions.Include> includes, VolumeOptions volumeOptions) throws IOException {
        Survey survey = new Survey(disk, PartitionTable.read(disk), includes, volumeOptions);
        String doubt = survey.run();
        return new Result(survey.volumes, survey.table.remarks(), doubt);
    }

    private String run() throws IOException {
        for (Partition partition : table.partitions()) {
            volumes.add(survey(partition));
        }
        volumes.replaceAll(volume -> volume.refusal() != null || !verity.covers(volume.length())
                && !verity.covers(fileSystemLengths.getOrDefault(volume.offset(), -1L)) ? volume
                : volume.refused("a dm-verity hash tree on another partition seems to cover it, free blocks too: leave it as it "
                + "is"));
        if (includes.contains(ReclaimOptions.Include.SWAP) && !volumeOptions.replayJournal()) {
            keepSwapThatMayBeInUse();
        }
        if (includes.contains(ReclaimOptions.Include.GAPS)) {
            addGaps();
        }
        String doubt = machineDoubt != null ? machineDoubt : diskDoubt();
        if (doubt != null) {
            volumes.replaceAll(volume -> volume.refused(doubt));
        }
        return doubt;
    }

    /** A guest whose memory was saved elsewhere, unseen, resumes with its swap; it would have left its file systems open, too. */
    private void keepSwapThatMayBeInUse() {
        SurveyedVolume inDoubt = null;
        for (int i = 0; i < volumes.size(); i++) {
            SurveyedVolume volume = volumes.get(i);
            boolean tellsNothing = volume.type().equals("swap") || volume.type().equals("vfat")
                    || WITHOUT_FILE_SYSTEM.contains(table.partitions().get(i).typeName());
            inDoubt = inDoubt == null && volume.refusal() != null && !tellsNothing ? volume : inDoubt;
        }
        if (inDoubt == null && !fileSystemLengths.isEmpty()) {
            return;
        }
        String why = inDoubt != null ? "whether volume " + inDoubt.index() + " of this disk was left cleanly is not known"
                : "no file system of this disk tells that its guest was shut down";
        volumes.replaceAll(volume -> !swapAreas.contains(volume.offset()) ? volume : volume.refused("swap area: " + why
                + ", so that a guest may resume and need it; give --replay-journal as your word that it boots"));
    }

    /**
     * A disk that is as a whole a member of a RAID, or a file system, and has a partition table all the same. What stands at the
     * end of the disk may lie inside the last partition, but then at a place where that partition's own would not be.
     */
    private String diskDoubt() throws IOException {
        if (table.scheme().equals("none")) {
            return null;
        }
        for (FileSystemProbe probe : FileSystems.probes()) {
            Optional<String> type = probe.recognise(disk);
            if (type.isPresent() && table.partitions().stream().noneMatch(partition -> partition.offset() == 0)) {
                return "the disk has a partition table and the signature of " + type.get() + " as a whole disk would have: one of "
                        + "them must be stale; wipe the stale one in the guest (wipefs)";
            }
        }
        for (VolumeSignature signature : VolumeSignatures.scan(disk)) {
            if (!volumeSignatures.contains(signature.offset()) && !isOfAPartition(signature.offset())) {
                return "the disk has a partition table and, belonging to no partition, the signature of "
                        + signature.description() + ": its partitions may not be what they seem";
            }
        }
        return null;
    }

    /** Some volumes have a signature in several places, of which the first one was noted. */
    private boolean isOfAPartition(long offset) throws IOException {
        for (Partition partition : table.partitions()) {
            long start = offset - partition.offset();
            if (partition.refusal().isEmpty() && start >= 0 && start < partition.length()
                    && VolumeSignatures.places(disk.window(partition.offset(), partition.length())).contains(start)) {
                return true;
            }
        }
        return false;
    }

    private SurveyedVolume survey(Partition partition) throws IOException {
        if (partition.refusal().isPresent()) {
            lookForSavedMemory(partition);
            return skipped(partition, partition.typeName(), partition.refusal().get());
        }
        BlockSource volume = disk.window(partition.offset(), partition.length());
        List<VolumeSignature> signatures = table.scheme().equals("none") ? VolumeSignatures.scan(volume)
                : VolumeSignatures.scanPartition(volume);
        List<FileSystemProbe> probes = new ArrayList<>();
        List<String> names = new ArrayList<>();
        for (FileSystemProbe probe : FileSystems.probes()) {
            Optional<String> type = probe.recognise(volume);
            if (type.isPresent()) {
                probes.add(probe);
                names.add(type.get());
            }
        }
        for (VolumeSignature signature : signatures) {
            names.add(signature.name());
            volumeSignatures.add(partition.offset() + signature.offset());
            noteSavedMemory(signature);
            verity.note(signature, volume);
        }
        if (names.isEmpty()) {
            return skipped(partition, "unknown", "no known signature of a file system: what it holds cannot be told");
        }
        if (names.size() > 1) {
            for (FileSystemProbe probe : probes) {
                lookForSavedMemory(probe, volume);
            }
            boundless = skipped(partition, names.get(0), "the signatures of " + String.join(" and ", names)
                    + " stand on one volume, and one of them must be stale; wipe the stale one in the guest (wipefs)");
            return boundless;
        }
        if (probes.isEmpty()) {
            return surveyForeign(partition, signatures.get(0));
        }
        return surveyFileSystem(partition, probes.get(0), names.get(0), volume);
    }

    private void noteSavedMemory(VolumeSignature signature) {
        if (signature.kind() == VolumeSignature.Kind.SAVED_MEMORY) {
            machineDoubt = "a volume of this disk holds the saved memory of a hibernated guest (" + signature.description()
                    + "): start the guest and shut it down fully, then try again";
        }
    }

    /** A partition that is left alone unseen may still hold what speaks against all the others. */
    private void lookForSavedMemory(Partition partition) throws IOException {
        if (partition.offset() >= disk.size() || partition.length() <= 0) {
            return;
        }
        if (++looks > MAX_LOOKS) {
            machineDoubt = "the partition table has more than " + MAX_LOOKS + " entries that contradict each other or the disk: "
                    + "repair it in the guest";
            return;
        }
        BlockSource volume = disk.window(partition.offset(), Math.min(partition.length(), disk.size() - partition.offset()));
        VolumeSignatures.scan(volume).forEach(this::noteSavedMemory);
        for (FileSystemProbe probe : FileSystems.probes()) {
            if (probe.recognise(volume).isPresent()) {
                lookForSavedMemory(probe, volume);
            }
        }
    }

    private void lookForSavedMemory(FileSystemProbe probe, BlockSource volume) throws IOException {
        try {
            probe.open(volume, volumeOptions).freeSpace();
        } catch (UnsafeException e) {
            noteDoubt(e);
        } catch (DiskFormatException e) {
            // The volume is left alone in any case, for another reason.
        }
    }

    private void noteDoubt(UnsafeException e) {
        if (e.scope() == UnsafeException.Scope.MACHINE) {
            machineDoubt = e.reason();
        }
    }

    private SurveyedVolume surveyForeign(Partition partition, VolumeSignature signature) {
        long areaEnd = Math.min(signature.areaLength(), partition.length());
        if (signature.kind() == VolumeSignature.Kind.SWAP && includes.contains(ReclaimOptions.Include.SWAP)
                && areaEnd > signature.headerLength()) {
            swapAreas.add(partition.offset());
            ExtentSet free = ExtentSet.ofRange(partition.offset() + signature.headerLength(), areaEnd - signature.headerLength());
            return new SurveyedVolume(partition.index(), partition.offset(), partition.length(), table.scheme(),
                    signature.name(), "", free, null, List.of("swap area without a saved memory image"), List.of());
        }
        return skipped(partition, signature.name(), signature.kind() == VolumeSignature.Kind.SWAP
                ? "swap area: left alone unless --include swap is given"
                : signature.description() + ": recognised, but its free space cannot be read");
    }

    private SurveyedVolume surveyFileSystem(Partition partition, FileSystemProbe probe, String type, BlockSource volume)
            throws IOException {
        try {
            FileSystem fileSystem = probe.open(volume, volumeOptions);
            FreeSpace space = fileSystem.freeSpace();
            Extent ownRange = new Extent(0, Math.max(1, Math.min(fileSystem.length(), volume.size())));
            if (fileSystem.length() > volume.size() || !space.free().minus(ExtentSet.of(ownRange)).isEmpty()) {
                boundless = skipped(partition, fileSystem.type(), "its free space reaches past its own end ("
                        + fileSystem.length() + " of " + volume.size() + " bytes)");
                return boundless;
            }
            fileSystemLengths.put(partition.offset(), fileSystem.length());
            return new SurveyedVolume(partition.index(), partition.offset(), partition.length(), table.scheme(),
                    fileSystem.type(), fileSystem.label(), space.free().shift(partition.offset()), null, space.evidence(),
                    space.remarks(), kept(space, partition));
        } catch (UnsafeException e) {
            noteDoubt(e);
            return skipped(partition, type, e.reason());
        } catch (DiskFormatException e) {
            boundless = skipped(partition, type, e.reason());
            return boundless;
        }
    }

    private static List<FreeSpace.Kept> kept(FreeSpace space, Partition partition) {
        return space.kept().stream().filter(reason -> !reason.bytes().isEmpty())
                .map(reason -> new FreeSpace.Kept(reason.why(), reason.bytes().shift(partition.offset()))).toList();
    }

    private SurveyedVolume skipped(Partition partition, String type, String reason) {
        return new SurveyedVolume(partition.index(), partition.offset(), partition.length(), table.scheme(), type, "",
                ExtentSet.EMPTY, reason, List.of(), List.of());
    }

    private void addGaps() {
        ExtentSet gaps = table.gaps();
        if (!gaps.isEmpty()) {
            long start = gaps.start(0);
            SurveyedVolume found = new SurveyedVolume(0, start, gaps.end(gaps.count() - 1) - start, table.scheme(), "gaps", "",
                    gaps, null, List.of("between partitions"), List.of());
            volumes.add(boundless == null ? found : found.refused("the file system of volume " + boundless.index()
                    + " cannot be believed and may reach past its partition, into what looks unused; repair it first"));
        }
    }
}
