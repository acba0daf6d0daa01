package io.lacuna.blockio;

import java.io.IOException;
import java.nio.file.Path;

/**
 * What bytes on a disk can be guilty of. The parser that throws it knows the offset; whoever opened the file adds the
 * path with {@link #in(Path)}.
 */
public abstract sealed class DiskFormatException extends IOException
        permits CorruptException, UnsupportedException, UnsafeException {

    private static final long serialVersionUID = 1L;

    private final String what;
    private final long offset;
    private final String expected;
    private final String found;
    private String path;

    DiskFormatException(String what, long offset, String expected, String found) {
        super(what);
        this.what = what;
        this.offset = offset;
        this.expected = expected;
        this.found = found;
    }

    /** @return what the bytes were read as, or the whole sentence where no single field is to blame */
    public final String what() {
        return what;
    }

    /** @return byte in the source that was being read (file, virtual disk or volume); -1 where no single place is to blame */
    public final long offset() {
        return offset;
    }

    /** @return what would have been right; null where {@link #what()} says it all */
    public final String expected() {
        return expected;
    }

    /** @return what is there; null where {@link #what()} says it all */
    public final String found() {
        return found;
    }

    /** @return the file the bytes are from; null as long as nobody said */
    public final String path() {
        return path;
    }

    /** Names the file, unless one is named already. @return this */
    public final DiskFormatException in(Path file) {
        if (path == null) {
            path = file.toString();
        }
        return this;
    }

    /** @return the sentence without the path, for a report that names the image already */
    public final String reason() {
        StringBuilder text = new StringBuilder(what);
        if (offset >= 0) {
            text.append(" @0x").append(Long.toHexString(offset));
        }
        if (expected != null) {
            text.append(": expected ").append(expected);
        }
        if (found != null) {
            text.append(expected == null ? ": found " : ", found ").append(found);
        }
        return text.toString();
    }

    /** @return path, what, offset, expected and found in one line */
    @Override
    public final String getMessage() {
        return path == null ? reason() : path + ": " + reason();
    }
}
