package io.lacuna.diskimage.write;

import io.lacuna.blockio.DiskFormatException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.util.List;
import java.util.Locale;

/** The formats that can be written. */
public enum OutputFormat {

    RAW("raw", false, "raw", "img", "dd"),
    QCOW2("qcow2", true, "qcow2", "qcow"),
    VHD("vhd", false, "vhd", "vpc"),
    VHDX("vhdx", false, "vhdx"),
    VMDK("vmdk", false, "vmdk"),
    /** VMDK, streamOptimized. */
    VMDK_STREAM("vmdk-stream", true),
    VDI("vdi", false, "vdi");

    private static final int SECTOR = 512;

    private final String word;
    private final boolean canCompress;
    private final List<String> suffixes;

    OutputFormat(String word, boolean canCompress, String... suffixes) {
        this.word = word;
        this.canCompress = canCompress;
        this.suffixes = List.of(suffixes);
    }

    /** @return the name that the command line and the reports use */
    public String word() {
        return word;
    }

    /** @return whether blocks may be compressed; in {@link #VMDK_STREAM} they always are */
    public boolean canCompress() {
        return canCompress;
    }

    /** @return whether an image of this format can be written on top of a parent */
    public boolean canHaveParent() {
        return this == QCOW2;
    }

    /** @return the size of the disk that an image of this format has for a disk of this size: whole sectors but for raw */
    public long sizeFor(long virtualSize) {
        return this == RAW ? virtualSize : BlockWriter.up(virtualSize, SECTOR);
    }

    /** @return the format that a file of this name is expected to have; null if the name tells nothing */
    public static OutputFormat ofFileName(String name) {
        String suffix = name.substring(name.lastIndexOf('.') + 1).toLowerCase(Locale.ROOT);
        for (OutputFormat format : values()) {
            if (format.suffixes.contains(suffix)) {
                return format;
            }
        }
        return null;
    }

    /** @return whether the image itself tells how large the disk's logical sectors are */
    public boolean tellsSectorSize() {
        return this == VHDX;
    }

    /**
     * Begins an image.
     *
     * @param file empty; stays the caller's
     * @throws DiskFormatException if the format cannot hold such a disk
     */
    public ImageWriter writer(RandomAccessFile file, WriteRequest request) throws IOException {
        if (request.virtualSize() <= 0 || request.virtualSize() != sizeFor(request.virtualSize())) {
            throw new IllegalArgumentException("a disk of " + request.virtualSize() + " bytes");
        }
        OutputFile output = new OutputFile(file);
        return switch (this) {
            case RAW -> new RawWriter(output, request.virtualSize());
            case QCOW2 -> new Qcow2Writer(output, request);
            case VHD -> new VhdWriter(output, request.virtualSize());
            case VHDX -> new VhdxWriter(output, request.virtualSize(), request.sectorSize());
            case VMDK -> new VmdkSparseWriter(output, request);
            case VMDK_STREAM -> new VmdkStreamWriter(output, request);
            case VDI -> new VdiWriter(output, request.virtualSize());
        };
    }
}
