package io.lacuna.diskimage;

import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** An image that is open, with the locks that keep everybody else from changing it. Closing it lets go of all. */
public final class OpenedImage implements Closeable {

    private final DiskImage image;
    private final NativeFile file;
    private final List<FileIdentity> identitiesWhenOpened;
    private final boolean formatProbed;
    private final List<String> remarks;
    private final String savedMemory;
    private final LinkedFiles links;

    /** @param identity of the file, before its first byte was read */
    OpenedImage(DiskImage image, NativeFile file, FileIdentity identity, boolean formatProbed, List<String> remarks,
            String savedMemory, LinkedFiles links) throws IOException {
        this.image = image;
        this.file = file;
        this.formatProbed = formatProbed;
        this.remarks = List.copyOf(remarks);
        this.savedMemory = savedMemory;
        this.links = links;
        List<FileIdentity> identities = identities();
        identities.set(0, identity);
        this.identitiesWhenOpened = List.copyOf(identities);
    }

    /** @return the virtual disk */
    public DiskImage image() {
        return image;
    }

    /** @return the file or device that the image was opened by; closed with it */
    public HostFile file() {
        return file;
    }

    /** @return what identified each file that the disk is read from, the image's own first, when its lock had been taken */
    public List<FileIdentity> identitiesWhenOpened() {
        return identitiesWhenOpened;
    }

    /** @return what identifies each of these files at this moment */
    public List<FileIdentity> identities() throws IOException {
        List<FileIdentity> identities = new ArrayList<>(List.of(file.identity()));
        for (NativeFile linked : links.files()) {
            identities.add(linked.identity());
        }
        return identities;
    }

    /**
     * @return what a reader of the report should know about the host's part: other users, the host's file system; each a
     *     sentence. May grow while the image is planned.
     */
    public List<String> remarks() {
        return Stream.of(remarks, file.remarks(), links.remarks()).flatMap(List::stream).distinct().toList();
    }

    /** @return whether the format was told from the image's content, which a guest may have written, and not by the caller */
    public boolean formatProbed() {
        return formatProbed;
    }

    /**
     * @return the sign that the machine's memory is saved, in a sentence, where the image was opened to be copied; null if
     *     there is none
     */
    public String savedMemory() {
        return savedMemory;
    }

    /**
     * Asks the host now what {@link DiskImage#plan} will need to know of the image's file: for a thread that has nothing else to
     * do meanwhile. Nothing depends on it.
     */
    public void anticipatePlan() {
        file.anticipate();
    }

    @Override
    public void close() throws IOException {
        image.close();
    }
}
