package io.lacuna.fs.ntfs;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.FreeSpace;
import io.lacuna.fixtures.FileSource;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Real NTFS volumes, made with NTFS-3G's programs. */
final class NtfsVolumes {

    private static byte[] small;

    private NtfsVolumes() {
    }

    /** Makes a volume. @param options of mkntfs */
    static Path make(Path directory, long size, String options) throws IOException {
        Tools.require("mkntfs");
        Path image = Files.createTempFile(directory, "ntfs", ".img");
        Tools.shell("truncate -s \"$2\" \"$1\"; mkntfs -F -f -q -p 0 -H 255 -S 63 " + options + " \"$1\"", image, size);
        return image;
    }

    /** Runs a script inside the mounted volume. */
    static void write(Path image, String script) {
        Tools.require("ntfs-3g");
        Tools.shell("""
                mnt=$(mktemp -d)
                ntfs-3g "$1" "$mnt"
                trap 'cd /; umount "$mnt"; rmdir "$mnt"' EXIT
                cd "$mnt"
                """ + script, image);
    }

    /** A volume of 4 MiB with clusters of 4096 bytes, some files, some of them deleted, and a clean Windows journal. */
    static synchronized NtfsEditor small() throws IOException {
        if (small == null) {
            Path directory = Files.createTempDirectory("lacuna-ntfs");
            Path image = make(directory, 4 << 20, "-s 512 -c 4096 -L Lacuna");
            write(image, """
                    for i in $(seq 40); do head -c $((i * 500)) /dev/urandom > "file number $i"; done
                    rm *[02468]
                    """);
            small = new NtfsEditor(Files.readAllBytes(image)).cleanLog().bytes;
            Files.delete(image);
            Files.delete(directory);
        }
        return new NtfsEditor(small);
    }

    static FreeSpace freeSpace(Path image) throws IOException {
        try (FileSource source = new FileSource(image)) {
            return freeSpace(source);
        }
    }

    static FreeSpace freeSpace(BlockSource volume) throws IOException {
        return new NtfsProbe().open(volume).freeSpace();
    }

    /** What ntfscat reads as $Bitmap, and what follows from it for so many clusters. */
    static ExtentSet freeByNtfscat(Path image, int clusterSize, long clusters) throws IOException {
        Tools.require("ntfscat");
        Path output = Files.createTempFile("lacuna-ntfs", ".bitmap");
        try {
            Tools.shell("ntfscat -q -i 6 \"$1\" > \"$2\"", image, output);
            return freeIn(Files.readAllBytes(output), clusterSize, clusters);
        } finally {
            Files.delete(output);
        }
    }

    /** The slow and plain way to read a bitmap. */
    static ExtentSet freeIn(byte[] bitmap, int clusterSize, long clusters) {
        ExtentSet.Builder free = ExtentSet.builder();
        for (long cluster = 0; cluster < clusters; cluster++) {
            if ((bitmap[(int) (cluster / 8)] >> cluster % 8 & 1) == 0) {
                free.add(cluster * clusterSize, clusterSize);
            }
        }
        return free.build();
    }
}
