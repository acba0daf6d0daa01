package io.lacuna.diskimage;

import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.FileIdentity;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Services;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.block.CompactionJournal;
import io.lacuna.diskimage.raw.RawFormat;
import io.lacuna.diskimage.undo.UndoRecorder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Pattern;

/** Opens disk images: takes the locks, looks for users, finds the format, follows the image's links as far as allowed. */
public final class DiskImages {

    private DiskImages() {
    }

    /** What an image is opened for. */
    public enum Access {
        /** To look at, beside anybody: read-only, no locks; a running user is only remarked. */
        INSPECT(Descriptor.Purpose.READ),
        /** To plan what a run would do: read-only, and refused where the run would be because somebody may write. */
        PLAN(Descriptor.Purpose.READ_STABLE),
        /**
         * To copy: as {@link #PLAN}, but where the memory of the machine is saved, that is no reason to refuse; the copy needs to
         * know it, though, for then nothing on the disk is free. See {@link OpenedImage#savedMemory()}.
         */
        COPY(Descriptor.Purpose.READ_STABLE),
        /** To write, alone. */
        WRITE(Descriptor.Purpose.WRITE);

        private final Descriptor.Purpose purpose;

        Access(Descriptor.Purpose purpose) {
            this.purpose = purpose;
        }

        Descriptor.Purpose purpose() {
            return purpose;
        }
    }

    /**
     * How to open an image.
     *
     * @param access for what
     * @param format name of the one format to read it as; null to tell it from the content
     * @param allowedBackingDirectories where the files that the image names may lie, besides its own directory
     * @param beneathReaders whether the run changes no table and no live byte, so that it may write beside programs that only
     *     read the image, as QEMU does with the parent of a running machine's disk
     * @param held what the run holds under locks already
     */
    public record Options(Access access, String format, List<Path> allowedBackingDirectories, boolean beneathReaders,
            HeldFiles held) {

        /** For a run of one image that may change all of it. */
        public Options(Access access, String format, List<Path> allowedBackingDirectories) {
            this(access, format, allowedBackingDirectories, false, new HeldFiles());
        }

        public Options {
            allowedBackingDirectories = List.copyOf(allowedBackingDirectories);
        }
    }

    /** How files of the formats that name other files are called. */
    private static final Map<String, List<String>> SUFFIXES = Map.of("qcow2", List.of("qcow2", "qcow"), "vmdk", List.of("vmdk"),
            "vhd", List.of("vhd", "avhd", "vpc"), "vhdx", List.of("vhdx", "avhdx"), "vdi", List.of("vdi"));

    /** Compiled only for a copy. */
    private static final class VmdkExtent {
        private static final Pattern NAME = Pattern.compile(".+-(?:flat|delta|sesparse|[sf]\\d{3,})\\.[^.]+");
    }

    /** @return the names of all formats that can be read, "raw" first */
    public static List<String> formatNames() {
        List<String> names = new ArrayList<>();
        for (DiskImageFormat format : formats()) {
            names.add(format.name());
        }
        names.sort(null);
        names.remove(RawFormat.NAME);
        names.add(0, RawFormat.NAME);
        return names;
    }

    /** Loads the formats and the native calls, which takes a while, so that a program can have it done beside other work. */
    public static void prepare() {
        formats();
        LinuxHost.load();
    }

    /**
     * Opens an image. Nothing is written, whatever it is opened for.
     *
     * @throws IllegalArgumentException if there is no format of the asked name
     * @throws DiskFormatException if the image must be refused: unknown or damaged, in use, a name in it that leads astray
     * @throws IOException if it cannot be opened or read
     */
    public static OpenedImage open(Path path, Options options) throws IOException {
        return open(path, options, null);
    }

    /**
     * As {@link #open(Path, Options)}, with a recorder between the image and its files that may be written.
     *
     * @param undo keeps what is overwritten or released; null for none
     */
    public static OpenedImage open(Path path, Options options, UndoRecorder undo) throws IOException {
        if (options.format() != null && !formatNames().contains(options.format())) {
            throw new IllegalArgumentException("no format is called '" + options.format() + "'; there are " + formatNames());
        }
        try {
            return openChecked(path, options, undo);
        } catch (DiskFormatException e) {
            throw e.in(path);
        }
    }

    /**
     * Opens a file or device to look at its bytes: read-only, without a lock, and where the system allows that without a trace in
     * its access time, which Java's own channels would leave.
     */
    public static HostFile look(Path path) throws IOException {
        return NativeFile.open(path, Descriptor.Purpose.READ);
    }

    private static OpenedImage openChecked(Path path, Options options, UndoRecorder undo) throws IOException {
        NativeFile file = NativeFile.open(path, options.access().purpose());
        boolean opened = false;
        try {
            List<String> remarks = HostGuard.ofImage(file, options);
            FileIdentity identity = file.identity();
            DiskImageFormat format = options.format() == null ? probe(file) : named(options.format(), file);
            LinkedFiles links = LinkedFiles.of(file, believed(file, format.name(), options), undo);
            String savedMemory = options.access() == Access.COPY ? HostGuard.savedMemory(file, remarks) : null;
            DiskImage image = format.open(undo == null ? file : undo.wrap(file), links);
            opened = true;
            return opened(image, file, identity, options, remarks, savedMemory, links);
        } finally {
            if (!opened) {
                file.close();
            }
        }
    }

    /**
     * Who names a file as its format does says what it is, as with --format. That counts for a copy, which writes to nothing that
     * the image names.
     */
    private static Options believed(NativeFile file, String format, Options options) {
        String name = file.path().getFileName().toString().toLowerCase(Locale.ROOT);
        // A flat extent of a VMDK is a raw disk, whatever it is called.
        boolean named = SUFFIXES.getOrDefault(format, List.of()).contains(name.substring(name.lastIndexOf('.') + 1))
                && !VmdkExtent.NAME.matcher(name).matches();
        return options.format() != null || options.access() != Access.COPY || !named ? options
                : new Options(options.access(), format, options.allowedBackingDirectories(), options.beneathReaders(),
                options.held());
    }

    private static OpenedImage opened(DiskImage image, NativeFile file, FileIdentity identity, Options options,
            List<String> remarks, String savedMemory, LinkedFiles links) throws IOException {
        try {
            String cutRun = file.isBlockDevice() ? null
                    : CompactionJournal.of(file, image.format(), image.virtualSize()).notice();
            List<String> all = new ArrayList<>(remarks);
            if (cutRun != null) {
                all.add(cutRun);
            }
            return new OpenedImage(image, file, identity, options, all, savedMemory, links);
        } catch (IOException | RuntimeException e) {
            image.close();
            throw e;
        }
    }

    /**
     * Opens a file of an image for writing, alone, with the locks and checks of a run, but without a look at what is in it.
     *
     * @param own whether it is the file that the image is opened by; false for one that holds a part of its data
     * @param remarks receives what a reader of the report should know, each a sentence
     * @throws DiskFormatException if it must be refused because it is in use
     */
    public static HostFile openFile(Path path, boolean own, List<String> remarks) throws IOException {
        NativeFile file = NativeFile.open(path, Access.WRITE.purpose());
        boolean usable = false;
        try {
            Options options = new Options(Access.WRITE, null, List.of());
            remarks.addAll(own ? HostGuard.ofImage(file, options) : HostGuard.ofDataFile(file, options));
            usable = true;
            return file;
        } catch (DiskFormatException e) {
            throw e.in(path);
        } finally {
            if (!usable) {
                file.close();
            }
        }
    }

    /** @return the reader of this name, if the file is for it */
    static DiskImageFormat named(String name, HostFile file) throws IOException {
        for (DiskImageFormat format : formats()) {
            if (format.name().equals(name)) {
                if (!format.recognises(file)) {
                    throw new UnsupportedException("this is not a " + name + " image: its signature is missing");
                }
                return format;
            }
        }
        throw new UnsupportedException("Lacuna has no reader for the format '" + name + "'; it reads " + formatNames());
    }

    private static DiskImageFormat probe(HostFile file) throws IOException {
        DiskImageFormat raw = null;
        for (DiskImageFormat format : formats()) {
            if (format.name().equals(RawFormat.NAME)) {
                raw = format;
            } else if (format.recognises(file)) {
                return format;
            }
        }
        ForeignFormats.refuse(file);
        return raw;
    }

    static List<DiskImageFormat> formats() {
        return Formats.ALL;
    }

    /** Opens one file of a chain in its recorded format; closes the file if that fails. */
    static DiskImage openAs(String format, NativeFile file, LinkedFiles links) throws IOException {
        boolean opened = false;
        try {
            // The name that QEMU records for VHD is that of the program it came from.
            DiskImage image = named(format.equals("vpc") ? "vhd" : format, file).open(file, links);
            opened = true;
            return image;
        } catch (DiskFormatException e) {
            throw e.in(file.path());
        } finally {
            if (!opened) {
                file.close();
            }
        }
    }

    /** Found once: the service files are read from the class path. */
    private static final class Formats {
        private static final List<DiskImageFormat> ALL = Services.of(DiskImageFormat.class);
    }
}
