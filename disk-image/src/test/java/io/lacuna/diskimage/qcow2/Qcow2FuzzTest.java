package io.lacuna.diskimage.qcow2;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.diskimage.ImageFuzz;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** qcow2: header, extensions, both levels of tables, refcounts, snapshots, bitmaps, compressed clusters. */
class Qcow2FuzzTest {

    private static final FuzzedImages IMAGES = new FuzzedImages();

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Images.pattern(directory.resolve("model.raw"), 160 << 10, 3);
        for (String options : new String[] {"cluster_size=4k", "cluster_size=4k,extended_l2=off,lazy_refcounts=on,refcount_bits=1",
            "cluster_size=16k,extended_l2=on", "cluster_size=64k,compression_type=zstd"}) {
            boolean snapshot = !options.contains("refcount_bits");
            Tools.shell("cd \"$1\"; qemu-img convert -c -f raw -O qcow2 -o \"$2\" model.raw image.qcow2\n"
                    + (snapshot ? "qemu-img snapshot -c one image.qcow2; qemu-img bitmap --add -g 4k image.qcow2 dirty\n" : "")
                    + "qemu-io -f qcow2 -c 'write -P 1 20k 60k' -c 'write -z 90k 10k' image.qcow2", directory, options);
            IMAGES.add(Files.readAllBytes(directory.resolve("image.qcow2")));
        }
        IMAGES.addCorpus(directory, image -> { }, "qemu-iotests/afl5.img.bz2", "dfvfs/ext2.qcow2",
                "kubevirt-cdi/fs-overhead.qcow2", "kubevirt-cdi/cirros-snapshot1.qcow2");
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(Qcow2FuzzTest.class, "images", this::images);
    }

    @Tag("fuzz")
    @FuzzTest
    void images(byte[] input) {
        ImageFuzz fuzz = new ImageFuzz(Images.FORMAT, directory, null);
        IMAGES.check(input, (image, number, options) -> fuzz.read(image, null, options));
    }
}
