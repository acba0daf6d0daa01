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
    private final FileIdentity identity;
    private final boolean formatProbed;
    private final List<String> remarks;
    private final LinkedFiles links;

    OpenedImage(DiskImage image, NativeFile file, FileIdentity identity, boolean formatProbed, List<String> remarks,
            LinkedFiles links) {
        this.image = image;
        this.file = file;
        this.identity = identity;
        this.formatProbed = formatProbed;
        this.remarks = List.copyOf(remarks);
        this.links = links;
    }

    /** @return the virtual disk */
    public DiskImage image() {
        return image;
    }

    /** @return the file or device that the image was opened by; closed with it */
    public HostFile file() {
        return file;
    }

    /**
     * @return what the image's own file, then its data files and parents were after the locks were taken and before their first
     *     byte was read
     */
    public List<FileIdentity> identities() {
        return Stream.concat(Stream.of(identity), links.identities().stream()).toList();
    }

    /** @return what the same files are at this moment */
    public List<FileIdentity> identitiesNow() throws IOException {
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

    @Override
    public void close() throws IOException {
        image.close();
    }
}
