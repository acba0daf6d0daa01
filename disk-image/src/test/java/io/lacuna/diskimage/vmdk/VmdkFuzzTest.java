package io.lacuna.diskimage.vmdk;

import com.code_intelligence.jazzer.junit.FuzzTest;
import io.lacuna.diskimage.ImageFuzz;
import io.lacuna.fixtures.FuzzedImages;
import io.lacuna.fixtures.KeptInputs;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** VMDK: descriptors, sparse headers of all kinds, grain directories and tables, packed grains. */
class VmdkFuzzTest {

    private static final FuzzedImages IMAGES = new FuzzedImages();
    /** For each image the other file that belongs to it, or null, and whether that one is the damaged one. */
    private static final List<byte[]> OTHERS = new ArrayList<>();
    private static final int FIRST_OF_DATA = 4;
    private static final int KINDS = 2;

    @TempDir(factory = MemoryTempDir.class)
    static Path directory;

    @BeforeAll
    static void make() throws IOException {
        byte[] sparse = Files.readAllBytes(SmallGrains.make(directory.resolve("image.vmdk"), 0, true));
        add(sparse, null, 0, 80, 512, 400, 4 * 512, 16, 5 * 512, 16, 8 * 512, 200, 12 * 512, 200, 0, 65535);
        Tools.require("qemu-img");
        Tools.shell("cd \"$1\"; qemu-img convert -f vmdk -O vmdk -o subformat=streamOptimized image.vmdk packed.vmdk", directory);
        add(Files.readAllBytes(directory.resolve("packed.vmdk")), null);
        List<byte[]> data = new ArrayList<>();
        List<byte[]> descriptors = new ArrayList<>();
        for (String kind : new String[] {"cowd", "sesparse"}) {
            descriptors.add(Files.readAllBytes(EsxImages.make(directory, kind)));
            data.add(Files.readAllBytes(directory.resolve(kind.equals("cowd") ? "image-delta.vmdk" : "image-sesparse.vmdk")));
        }
        for (int i = 0; i < KINDS; i++) {
            add(descriptors.get(i), data.get(i));
        }
        add(data.get(0), descriptors.get(0), 0, 64, 4 * 512, 64, 8 * 512, 4096);
        add(data.get(1), descriptors.get(1), 0, 256, 512, 16, 64 * 512, 512, 80 * 512, 64, 128 * 512, 4096, 200 * 512, 64);
        IMAGES.addCorpus(directory, image -> { }, "SecurityRonin-vmdk-forensic/ms3-win.vmdk",
                "SecurityRonin-vmdk-forensic/stream_opt.vmdk",
                "vmdk-rs/monolithicSparse.vmdk", "vmdk-rs/streamOptimizedWithMarkers.vmdk", "go-vmdk-parser/vmdk-monolith.img",
                "qemu-iotests/iotest-version3.vmdk.bz2");
    }

    private static void add(byte[] image, byte[] other, int... regions) {
        IMAGES.add(image, regions);
        OTHERS.add(other);
    }

    @TestFactory
    Stream<DynamicTest> keptInputs() throws IOException {
        return KeptInputs.of(VmdkFuzzTest.class, "images", this::images);
    }

    @Tag("fuzz")
    @FuzzTest
    void images(byte[] input) {
        ImageFuzz fuzz = new ImageFuzz(Vmdks.FORMAT, directory, null);
        IMAGES.check(input, (image, number, options) -> {
            byte[] other = number < OTHERS.size() ? OTHERS.get(number) : null;
            boolean data = number >= FIRST_OF_DATA && number < FIRST_OF_DATA + KINDS;
            fuzz.read(data ? other : image, data ? image : other, options);
        });
    }
}
