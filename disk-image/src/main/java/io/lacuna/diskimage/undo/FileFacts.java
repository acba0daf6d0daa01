package io.lacuna.diskimage.undo;

import io.lacuna.blockio.FileIdentity;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * One of the image's files before the run. As payload: the path as a file URI, for this tells the bytes of any name, whatever the
 * locale; then u64 device, inode, size, mtime, ctime, and 1 for a block device, else 0.
 *
 * @param path where it was, all symbolic links followed
 */
public record FileFacts(Path path, FileIdentity before) {

    ByteBuffer encode() {
        return Payload.of(path.toUri().toString(), before.device(), before.inode(), before.size(), before.modifiedNanos(),
                before.changedNanos(), before.blockDevice() ? 1L : 0L);
    }

    static FileFacts parse(ByteBuffer payload) {
        URI uri = URI.create(Payload.text(payload));
        if (!"file".equals(uri.getScheme())) {
            throw new IllegalArgumentException("not a file: " + uri);
        }
        FileIdentity before = new FileIdentity(payload.getLong(), payload.getLong(), payload.getLong(), payload.getLong(),
                payload.getLong(), payload.getLong() != 0);
        if (before.size() < 0) {
            throw new IllegalArgumentException("size " + before.size());
        }
        return new FileFacts(Path.of(uri), before);
    }
}
