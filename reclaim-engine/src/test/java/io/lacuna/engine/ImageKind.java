package io.lacuna.engine;

import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The kinds of images that QEMU makes, each with what its format lets a run do, and with its independent readers. */
enum ImageKind {

    RAW("raw", "", null, Growth.IN_PLACE, Growth.IN_PLACE),
    QCOW2("qcow2", "", "qcowmount", Growth.REUSES, Growth.APPENDS),
    QCOW2_V2("qcow2", "compat=0.10", "qcowmount", Growth.REUSES, Growth.APPENDS),
    QCOW2_DATA_FILE("qcow2", "data_file=disk.bin", null, Growth.IN_PLACE, Growth.IN_PLACE),
    QCOW2_OVERLAY("qcow2", "overlay", null, Growth.REUSES, Growth.APPENDS),
    VHD("vpc", "force_size=on", "vhdimount", Growth.APPENDS, Growth.APPENDS),
    VHD_FIXED("vpc", "subformat=fixed,force_size=on", "vhdimount", Growth.IN_PLACE, Growth.IN_PLACE),
    VHDX("vhdx", "block_size=1M", "vhdimount", Growth.APPENDS, Growth.APPENDS),
    VHDX_FIXED("vhdx", "subformat=fixed,block_size=1M", "vhdimount", Growth.IN_PLACE, Growth.IN_PLACE),
    VMDK("vmdk", "subformat=monolithicSparse", "vmdkmount", Growth.APPENDS, Growth.APPENDS),
    VMDK_MANY_FILES("vmdk", "subformat=twoGbMaxExtentSparse", "vmdkmount", Growth.APPENDS, Growth.APPENDS),
    /** libvmdk of 2020 says "Unsupported disk type" of it, whoever made it; it does read such extents in more than one file. */
    VMDK_FLAT("vmdk", "subformat=monolithicFlat", null, Growth.IN_PLACE, Growth.IN_PLACE),
    VMDK_FLAT_MANY_FILES("vmdk", "subformat=twoGbMaxExtentFlat", "vmdkmount", Growth.IN_PLACE, Growth.IN_PLACE),
    VMDK_CHILD("vmdk", "overlay", null, Growth.IN_PLACE, Growth.IN_PLACE),
    VMDK_CHILD_WITH_ZEROED_GRAINS("vmdk", "overlay,zeroed_grain=on", null, Growth.APPENDS, Growth.APPENDS),
    VDI("vdi", "", null, Growth.APPENDS, Growth.APPENDS),
    VDI_FIXED("vdi", "static=on", null, Growth.IN_PLACE, Growth.IN_PLACE);

    /** What becomes of the files' length when the guest writes again to what was free. */
    enum Growth {
        /** What was freed keeps its place in the file: nothing grows. */
        IN_PLACE,
        /** QEMU takes other places that were freed in the file: nothing grows while there are some. */
        REUSES,
        /** QEMU takes new places at the end: the file grows by what is written. */
        APPENDS
    }

    private static final long HOST_BLOCK = 4096;

    final String driver;
    final String options;
    /** Mounts the disk as a file, through a library that is neither QEMU's nor ours; null if there is none. */
    final String reader;
    private final Growth afterDeallocate;
    private final Growth afterCompact;

    ImageKind(String driver, String options, String reader, Growth afterDeallocate, Growth afterCompact) {
        this.driver = driver;
        this.options = options;
        this.reader = reader;
        this.afterDeallocate = afterDeallocate;
        this.afterCompact = afterCompact;
    }

    /** @return those that blocks move in, so that the file becomes shorter */
    static Stream<ImageKind> compactable() {
        return Stream.of(QCOW2, VHD, VHDX, VMDK, VMDK_MANY_FILES, VDI);
    }

    Growth growthAfter(ReclaimMode mode) {
        return switch (mode) {
            case PUNCH -> Growth.IN_PLACE;
            case DEALLOCATE -> afterDeallocate;
            case COMPACT -> afterCompact;
        };
    }

    /** @return whether nothing but holes gives back anything, in any mode */
    boolean isPunchOnly() {
        return afterDeallocate == Growth.IN_PLACE;
    }

    /**
     * What must read as zeros after a run: of the free space all but edges that share a block of the host with live bytes. Where
     * blocks do not begin with the host's, these edges are at each block of the format.
     */
    ExtentSet zeroed(ExtentSet free) {
        ExtentSet whole = free.inwardTo(65536);
        if (!driver.equals("vpc") && !driver.equals("vdi")) {
            return whole;
        }
        ExtentSet.Builder edges = ExtentSet.builder();
        for (Extent range : whole) {
            edges.add(Math.max(0, range.offset() - HOST_BLOCK), 2 * HOST_BLOCK).add(range.end() - HOST_BLOCK, HOST_BLOCK);
            for (long at = range.offset() / blockSize() * blockSize(); at < range.end(); at += blockSize()) {
                edges.add(Math.max(0, at - HOST_BLOCK), 2 * HOST_BLOCK);
            }
        }
        return whole.minus(edges.build());
    }

    /** @return bytes of the format's block, as QEMU makes it */
    long blockSize() {
        return switch (driver) {
            case "qcow2", "vmdk" -> 64 << 10;
            case "vpc" -> 2 << 20;
            default -> 1 << 20;
        };
    }

    /** @return Lacuna's word for the format */
    String format() {
        return driver.equals("vpc") ? "vhd" : driver;
    }

    /** Makes an image that stores all that the disk stores. @return the file to name */
    Path make(GuestDisk disk, Path directory) {
        Path image = directory.resolve("disk." + format());
        if (options.startsWith("overlay")) {
            String more = options.replaceFirst("overlay,?", "");
            Tools.shell("cd \"$2\"; size=$(stat -c %s \"$1\"); qemu-img create -q -f $4 base.$4 $size\n"
                    + "qemu-io -f $4 -c \"write -P 0xBA 0 $size\" base.$4 > /dev/null\n"
                    + "qemu-img create -q -f $4 -b base.$4 -F $4 ${5:+-o} $5 \"$3\"\n"
                    + "qemu-io -f $4 -c \"write -s $1 0 $size\" \"$3\" > /dev/null", disk.file(), directory, image, driver, more);
        } else {
            Tools.shell("cd \"$2\"; qemu-img convert -q -f raw -O $4 ${5:+-o} $5 \"$1\" \"$3\"", disk.file(), directory, image,
                    driver,
                    options);
        }
        Tools.shell("sync -f \"$1\"", image);
        return image;
    }

    /** @return how to open it */
    ReclaimOptions.Builder reclaim(ReclaimMode mode) {
        ReclaimOptions.Builder builder = ReclaimOptions.builder().mode(mode);
        // A data file is written to only if somebody says that it belongs to the image.
        return this == QCOW2_DATA_FILE ? builder.format("qcow2") : builder;
    }

    /** @return the disk as QEMU reads it */
    Path byQemu(Path image, Path directory) throws IOException {
        Path raw = Files.createTempFile(directory, "by-qemu", ".raw");
        Tools.shell("cd \"$4\"; qemu-img convert -f $3 -O raw \"$1\" \"$2\"", image, raw, driver, image.getParent());
        return raw;
    }

    /** @return the disk as the second reader reads it */
    Path byReader(Path image, Path directory) throws IOException {
        Tools.require(reader, "fusermount3");
        Tools.requireFuse();
        Path raw = Files.createTempFile(directory, "by-reader", ".raw");
        Path mount = Files.createTempDirectory(directory, "mount");
        Tools.shell("$1 \"$2\" \"$3\" > /dev/null; trap 'fusermount3 -u -z \"$3\"' EXIT\n"
                + "cp --sparse=always \"$(ls -d \"$3\"/* | sort -V | tail -1)\" \"$4\"", reader, image, mount, raw);
        return raw;
    }

    /** The format's own check, where QEMU has one. */
    void check(Path image) {
        if (!List.of("raw", "vpc").contains(driver) && !options.contains("Flat")) {
            Tools.shell("cd \"$3\"; qemu-img check -q -f $2 \"$1\"", image, driver, image.getParent());
        }
    }

    /** @return bytes that the image's files are long, all together */
    static long length(Path image) {
        return sum("%s", image);
    }

    /** @return bytes that the host stores of them */
    static long hostBytes(Path image) {
        return 512 * sum("%b", image);
    }

    private static long sum(String what, Path image) {
        return Long.parseLong(Tools.shell("sync -f \"$1\"; cd \"$(dirname \"$1\")\"; { stat -c $2 disk* base* 2> /dev/null || "
                + "true; } | awk '{ sum += $1 } END { printf \"%d\", sum }'", image, what));
    }
}
