package io.lacuna.blockio;

/**
 * Tells whether a file is the same and unchanged since a plan was made.
 *
 * @param device device number of the host file system (major in the upper, minor in the lower 32 bits)
 * @param inode inode number
 * @param size bytes
 * @param modifiedNanos mtime, nanoseconds since 1970
 * @param changedNanos ctime, nanoseconds since 1970
 * @param blockDevice true for a block device, whose content leaves no trace in any of these: never the same
 */
public record FileIdentity(long device, long inode, long size, long modifiedNanos, long changedNanos,
        boolean blockDevice) {

    /** @return whether a plan made at the other moment still holds now */
    public boolean provesUnchangedSince(FileIdentity other) {
        // Not by the record's own equals, which takes the JVM ten milliseconds to make, at the first call of every run.
        return !blockDevice && !other.blockDevice && device == other.device && inode == other.inode && size == other.size
                && modifiedNanos == other.modifiedNanos && changedNanos == other.changedNanos;
    }
}
