package io.lacuna.engine;

import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.VolumeOptions;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** What a run may do, and how. Immutable; made by {@link #builder()}. */
public final class ReclaimOptions {

    /** What the image is opened for. */
    public enum Purpose {
        /** Look only: nothing is locked, so the figures of a disk in use are those of a moment. */
        INSPECT,
        /** Compute what a run would do, under locks that keep writers out; nothing is written. */
        DRY_RUN,
        /** Give the space back. */
        RECLAIM
    }

    /** Free space that belongs to no file system. */
    public enum Include {
        /** Space between partitions, never that before the first one. */
        GAPS,
        /** The content of swap areas behind their header, which a guest that was shut down does not need. */
        SWAP
    }

    /** What is compared before and after. */
    public enum Verify {
        NONE,
        /** A SHA-256 over all bytes that the run does not discard. */
        LIVE
    }

    /** Bytes of the largest granularity, 1 TiB: no host has one that large, and sums with it do not overflow. */
    public static final long MAX_GRANULARITY = 1L << 40;

    private final Purpose purpose;
    private final ReclaimMode mode;
    private final long granularity;
    private final long minExtent;
    private final String format;
    private final List<Path> allowedBackingDirectories;
    private final Set<Include> includes;
    private final VolumeOptions volumeOptions;
    private final boolean zeroes;
    private final Path undo;
    private final Verify verify;
    private final boolean listDiscarded;
    private final List<Path> children;

    private ReclaimOptions(Builder builder) {
        purpose = builder.purpose;
        mode = builder.mode;
        granularity = builder.granularity;
        minExtent = builder.minExtent;
        format = builder.format;
        allowedBackingDirectories = List.copyOf(builder.allowedBackingDirectories);
        includes = Set.copyOf(builder.includes);
        volumeOptions = builder.volumeOptions;
        zeroes = builder.zeroes;
        undo = builder.undo;
        verify = builder.verify;
        listDiscarded = builder.listDiscarded;
        children = List.copyOf(builder.children);
    }

    public static Builder builder() {
        return new Builder();
    }

    public Purpose purpose() {
        return purpose;
    }

    public ReclaimMode mode() {
        return mode;
    }

    /** @return bytes a hole must be a multiple of; 0 for what the host can do */
    public long granularity() {
        return granularity;
    }

    /** @return bytes; shorter free ranges stay */
    public long minExtent() {
        return minExtent;
    }

    /** @return the image's format; null to look for its signature */
    public String format() {
        return format;
    }

    public List<Path> allowedBackingDirectories() {
        return allowedBackingDirectories;
    }

    public Set<Include> includes() {
        return includes;
    }

    /** @return what the caller vouches for, and the proof he asks for */
    public VolumeOptions volumeOptions() {
        return volumeOptions;
    }

    /**
     * @return whether blocks go, too, that hold nothing but zeros, be they in use or not: in volumes that are skipped and between
     *     volumes as well, for they read the same afterwards
     */
    public boolean zeroes() {
        return zeroes;
    }

    /** @return where to keep what a run discards: a new file, or a directory for such files; null for nowhere */
    public Path undo() {
        return undo;
    }

    public Verify verify() {
        return verify;
    }

    /** @return whether the report lists what is discarded range by range, which takes 16 bytes of memory each */
    public boolean listDiscarded() {
        return listDiscarded;
    }

    /** @return what the caller says is based on the images: files, and directories to search */
    public List<Path> children() {
        return children;
    }

    /** Starts as a real run in the default mode on everything the host can release. */
    public static final class Builder {
        private Purpose purpose = Purpose.RECLAIM;
        private ReclaimMode mode = ReclaimMode.DEALLOCATE;
        private long granularity;
        private long minExtent;
        private String format;
        private List<Path> allowedBackingDirectories = List.of();
        private Set<Include> includes = Set.of();
        private VolumeOptions volumeOptions = VolumeOptions.NONE;
        private boolean zeroes;
        private Path undo;
        private Verify verify = Verify.NONE;
        private boolean listDiscarded;
        private List<Path> children = List.of();

        private Builder() {
        }

        public Builder purpose(Purpose value) {
            purpose = value;
            return this;
        }

        public Builder mode(ReclaimMode value) {
            mode = value;
            return this;
        }

        /** @param bytes a multiple of 512 up to {@link #MAX_GRANULARITY}, or 0 for what the host can do */
        public Builder granularity(long bytes) {
            if (bytes < 0 || bytes % 512 != 0 || bytes > MAX_GRANULARITY) {
                throw new IllegalArgumentException("granularity " + bytes + " is not a multiple of 512 up to 1 TiB");
            }
            granularity = bytes;
            return this;
        }

        /** @param bytes 0 or more */
        public Builder minExtent(long bytes) {
            if (bytes < 0) {
                throw new IllegalArgumentException("negative minimum extent " + bytes);
            }
            minExtent = bytes;
            return this;
        }

        /** @param name "raw", "qcow2", …; null to look for a signature */
        public Builder format(String name) {
            format = name;
            return this;
        }

        /** @param directories where parents and data files may lie besides the image's own directory */
        public Builder allowedBackingDirectories(List<Path> directories) {
            allowedBackingDirectories = directories;
            return this;
        }

        public Builder includes(Set<Include> values) {
            includes = values;
            return this;
        }

        public Builder volumeOptions(VolumeOptions value) {
            volumeOptions = value;
            return this;
        }

        /** @param value whether blocks of zeros go, too; what the image stores is read for it */
        public Builder zeroes(boolean value) {
            zeroes = value;
            return this;
        }

        /** @param place a new file, or a directory for such files; null to keep nothing */
        public Builder undo(Path place) {
            undo = place;
            return this;
        }

        public Builder verify(Verify value) {
            verify = value;
            return this;
        }

        /** @param value whether to list what is discarded also without {@link Verify#LIVE}, which does so anyway */
        public Builder listDiscarded(boolean value) {
            listDiscarded = value;
            return this;
        }

        /** @param paths all that is based on the images: files, and directories to search. Empty to look for them */
        public Builder children(List<Path> paths) {
            children = paths;
            return this;
        }

        public ReclaimOptions build() {
            return new ReclaimOptions(this);
        }
    }
}
