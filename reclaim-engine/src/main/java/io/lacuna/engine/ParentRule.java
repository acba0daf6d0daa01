package io.lacuna.engine;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ImageLayer;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.VolumeOptions;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.diskimage.OpenedImage;
import io.lacuna.diskimage.Sighting;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What may be freed of an image that others are based on. A guest that runs on in an overlay uses blocks that its parent calls
 * free: it wrote their data before the snapshot, and the transaction that gives them to a file is in the overlay. So a volume
 * of a parent counts if it was cleanly unmounted or frozen at the snapshot. One with a pending journal, or an NTFS with an
 * erased one so that nothing tells, counts only if the caller says that the guest boots (which allows a replay) and names
 * all children, none of which runs, and then only with what each child leaves free as well.
 */
final class ParentRule implements Closeable {

    private static final int SHOWN_CHILDREN = 3;
    private static final String NTFS = "ntfs";

    private final OpenedImage opened;
    private final ReclaimOptions options;
    private final RunContext context;
    private final ChildSearch.Result found;
    /** Who reads the image itself; null for nobody. */
    private final String user;
    private final List<OpenedImage> childrenOpened = new ArrayList<>();
    private List<Survey.Result> childSurveys;

    private ParentRule(OpenedImage opened, ReclaimOptions options, RunContext context, ChildSearch.Result found, String user) {
        this.opened = opened;
        this.options = options;
        this.context = context;
        this.found = found;
        this.user = user;
    }

    /** @throws UnsafeException if the image has running children, and the mode is not the one that may run beneath them */
    static ParentRule of(OpenedImage opened, ReclaimOptions options, RunContext context) throws IOException {
        String user = opened.reader().orElse(null);
        if (user != null && options.purpose() == ReclaimOptions.Purpose.DRY_RUN && options.mode() != ReclaimMode.PUNCH) {
            throw new UnsafeException("the image is in use: " + user + "; shut the machine down or close the program first, or, "
                    + "if it is read only as the parent of running machines, say --mode punch, which changes no table of the "
                    + "image and is the only mode that may run beneath them");
        }
        return new ParentRule(opened, options, context, context.search().of(opened, options.children(), context.held()), user);
    }

    List<ChildImage> children() {
        return found.children();
    }

    /** In doubt it is one. */
    private boolean isParent() {
        return isKnownParent() || !found.doubts().isEmpty();
    }

    private boolean isKnownParent() {
        return !found.children().isEmpty() || user != null;
    }

    List<String> remarks() {
        List<String> remarks = new ArrayList<>();
        found.strangers().forEach(stranger -> remarks.add(stranger + "."));
        for (String doubt : found.doubts().subList(0, Math.min(SHOWN_CHILDREN, found.doubts().size()))) {
            remarks.add(doubt.substring(0, 1).toUpperCase(java.util.Locale.ROOT) + doubt.substring(1) + ".");
        }
        if (found.doubts().size() > SHOWN_CHILDREN) {
            remarks.add("The same holds for " + (found.doubts().size() - SHOWN_CHILDREN) + " more.");
        }
        if (!found.children().isEmpty()) {
            remarks.add("Other images are based on this one (" + names(found.children()) + "). Never start a guest on it itself, "
                    + "which would spoil them. Copies, checksums and comparisons that were made of it before differ afterwards, "
                    + "for free space reads as zeros.");
        }
        return remarks;
    }

    /** @return the first few, for a sentence */
    static String names(List<ChildImage> children) {
        StringBuilder names = new StringBuilder();
        for (int i = 0; i < Math.min(SHOWN_CHILDREN, children.size()); i++) {
            names.append(i == 0 ? "" : ", ").append(children.get(i).path());
        }
        return names + (children.size() > SHOWN_CHILDREN ? " and " + (children.size() - SHOWN_CHILDREN) + " more" : "");
    }

    /** @return the options to survey the image itself with */
    VolumeOptions volumeOptions() {
        VolumeOptions asked = options.volumeOptions();
        return isParent() ? optionsOfParent(asked.replayJournal()) : asked;
    }

    /** @param boots whether the disk is looked at as a guest that boots finds it; else as one that runs on does */
    private VolumeOptions optionsOfParent(boolean boots) {
        return new VolumeOptions(boots, options.volumeOptions().crossCheck(), !boots);
    }

    /**
     * @param survey what the image's own file systems say, with {@link #volumeOptions()}
     * @return the same with what the children forbid taken out
     */
    Survey.Result judge(Survey.Result survey) throws IOException {
        if (!isParent()) {
            return survey;
        }
        boolean boots = options.volumeOptions().replayJournal();
        boolean refused = survey.volumes().stream().anyMatch(volume -> volume.refusal() != null
                && (volume.type().startsWith("ext") || volume.type().equals(NTFS)));
        Survey.Result strict = boots ? survey(false) : survey;
        Survey.Result replayed = boots || !refused ? survey : survey(true);
        if (strict.volumes().size() != replayed.volumes().size()) {
            throw new IOException("the partition table changed while it was being read");
        }
        List<SurveyedVolume> judged = new ArrayList<>();
        for (int i = 0; i < strict.volumes().size(); i++) {
            judged.add(judge(strict.volumes().get(i), replayed.volumes().get(i)));
        }
        return new Survey.Result(judged, survey.remarks(), survey.doubt());
    }

    private Survey.Result survey(boolean boots) throws IOException {
        return Survey.of(opened.image().guest(), options.includes(), optionsOfParent(boots));
    }

    private SurveyedVolume judge(SurveyedVolume strict, SurveyedVolume replayed) throws IOException {
        if (replayed.refusal() != null) {
            return strict;
        }
        if (strict.type().equals("swap")) {
            return strict.refused("swap area of an image that others " + (isKnownParent() ? "are" : "may be") + " based on: a "
                    + "guest that runs on in one of them, or wakes up there, may still need what it holds" + because());
        }
        if (strict.type().equals("gaps")) {
            return strict.refused("an image that is based on this one may have partitions there" + because());
        }
        if (strict.refusal() == null) {
            return strict;
        }
        String doubt = whyNotWithChildren();
        if (doubt != null) {
            return strict.refused((strict.type().equals(NTFS) ? strict.refusal() : "the file system was in use when the "
                    + "images that " + (isKnownParent() ? "are" : "may be") + " based on this one were made (its journal has "
                    + "changes that are still to be replayed), so their guests may use what it calls free") + ": " + doubt);
        }
        return leftFreeByAll(strict, replayed);
    }

    private String because() {
        return isKnownParent() ? "" : " (" + found.doubts().get(0) + ")";
    }

    /** @return why the children do not settle what is free; null if they do, so far */
    private String whyNotWithChildren() throws IOException {
        if (!isKnownParent()) {
            return found.doubts().get(0) + "; settle that first";
        }
        String how = "; shut all their guests down, then give --replay-journal, and every one of them with --children";
        if (options.children().isEmpty()) {
            return "not all of them are known" + how;
        }
        if (!found.doubts().isEmpty() || !found.strangers().isEmpty()) {
            return found.doubts().isEmpty() ? found.strangers().get(0) : found.doubts().get(0);
        }
        if (user != null) {
            return user + how;
        }
        for (ChildImage child : found.children()) {
            if (child.running()) {
                return child.path() + " is in use" + how;
            }
            if (!child.relation().equals(ChildImage.NAMED)) {
                return child.path() + " (" + child.relation() + ") was not named" + how;
            }
        }
        // Programs without QEMU's locks, too.
        List<Sighting.Holder> holders = opened.file().isBlockDevice() ? List.of() : Sighting.holders(opened.realPath());
        if (!holders.isEmpty()) {
            return holders.get(0).name() + " has this image open" + how;
        }
        return options.volumeOptions().replayJournal() ? null : "the replay of the journal was not allowed" + how;
    }

    private SurveyedVolume leftFreeByAll(SurveyedVolume strict, SurveyedVolume replayed) throws IOException {
        ExtentSet free = replayed.free();
        List<Survey.Result> surveys;
        try {
            surveys = surveyChildren();
        } catch (DiskFormatException e) {
            return strict.refused("an image that is based on this one cannot be read, and may use what this one calls free: "
                    + e.getMessage());
        }
        for (int i = 0; i < surveys.size(); i++) {
            SurveyedVolume same = null;
            String refusal = null;
            for (SurveyedVolume volume : surveys.get(i).volumes()) {
                boolean apart = volume.offset() >= replayed.offset() + replayed.length()
                        || volume.offset() + volume.length() <= replayed.offset();
                if (apart) {
                    continue;
                }
                refusal = volume.offset() != replayed.offset() || same != null ? "its partitions are others" : volume.refusal();
                same = volume;
                if (refusal != null) {
                    break;
                }
            }
            if (same == null || refusal != null) {
                return strict.refused("what is free in " + found.children().get(i).path() + ", which is based on this image, "
                        + "cannot be told: " + (same == null ? "it has no such volume" : refusal));
            }
            free = free.intersect(same.free());
        }
        List<String> evidence = new ArrayList<>(replayed.evidence());
        evidence.add("free in every image that is based on this one as well (" + names(found.children()) + ")");
        return new SurveyedVolume(replayed.index(), replayed.offset(), replayed.length(), replayed.scheme(), replayed.type(),
                replayed.label(), free, null, evidence, replayed.remarks());
    }

    /** Opens the children read-only, under locks that are kept as long as the parent's, and reads what is free in each. */
    private List<Survey.Result> surveyChildren() throws IOException {
        if (childSurveys != null) {
            return childSurveys;
        }
        List<Survey.Result> surveys = new ArrayList<>();
        List<Path> trees = new ArrayList<>(options.allowedBackingDirectories());
        trees.add(opened.realPath().getParent());
        for (ChildImage child : found.children()) {
            trees.add(child.path().getParent());
        }
        DiskImages.Access access = options.purpose() == ReclaimOptions.Purpose.INSPECT ? DiskImages.Access.INSPECT
                : DiskImages.Access.PLAN;
        for (ChildImage child : found.children()) {
            OpenedImage opening = DiskImages.open(child.path(),
                    new DiskImages.Options(access, null, trees, false, context.held()));
            childrenOpened.add(opening);
            requireBasedOnThis(child.path(), opening.image());
            surveys.add(Survey.of(opening.image().guest(), java.util.Set.of(), options.volumeOptions()));
        }
        childSurveys = surveys;
        return surveys;
    }

    private void requireBasedOnThis(Path path, DiskImage child) throws IOException {
        for (ImageLayer layer : child.layers()) {
            if (layer.role().equals("backing") && Files.isSameFile(layer.path(), opened.realPath())) {
                return;
            }
        }
        throw new UnsafeException(path + " is not based on this image any more: run again");
    }

    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (OpenedImage child : childrenOpened) {
            try {
                child.close();
            } catch (IOException e) {
                failure = failure == null ? e : failure;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }
}
