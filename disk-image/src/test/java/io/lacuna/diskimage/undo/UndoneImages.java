package io.lacuna.diskimage.undo;

import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.DiskImageFormat;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.ServiceLoader;
import org.junit.jupiter.api.Assertions;

/** A small image of any format, made by QEMU, with free ranges that take whole blocks and parts of some. */
record UndoneImages(Path image, DiskImageFormat format, byte[] content, ExtentSet free) {

    private static final int MIB = 1 << 20;

    static UndoneImages make(Path directory, String kind) throws IOException {
        String name = kind.split(" ")[0];
        // Blocks of VHD measure 2 MiB, those of VHDX and VDI 1 MiB, grains and clusters are small.
        int unit = name.equals("vpc") ? 2 * MIB : name.equals("vhdx") || name.equals("vdi") ? MIB : MIB / 16;
        int units = name.equals("qcow2") || name.equals("vmdk") || name.equals("raw") ? 16 : 5;
        byte[] content = new byte[unit * units];
        Random random = new Random(5);
        // Not much data in large blocks, so that a test of many states is quick; a third of each unit is zeros.
        for (int i = 0; i < content.length; i += 512) {
            if (i % unit < 2 * unit / 3 && (unit < MIB || i / 512 % 16 == 0)) {
                for (int k = i; k < i + 512; k++) {
                    content[k] = (byte) (1 + random.nextInt(255));
                }
            }
        }
        Path raw = Files.write(directory.resolve("model.raw"), content);
        Path image = directory.resolve("image." + name);
        String options = switch (name) {
            case "vhdx" -> "-o block_size=1M";
            case "qcow2" -> "-o cluster_size=4k" + (kind.endsWith("v2") ? ",compat=0.10" : "");
            case "vpc" -> "-o force_size=on";
            default -> "";
        };
        Tools.shell("qemu-img convert -q -f raw -O " + name + " " + options + " \"$1\" \"$2\"", raw, image);
        if (kind.endsWith("snapshot")) {
            Tools.shell("qemu-img snapshot -c one \"$1\"; qemu-io -f qcow2 -c 'write -P 5 100k 300k' \"$1\" > /dev/null\n"
                    + "qemu-img convert -f qcow2 -O raw \"$1\" \"$2\"", image, raw);
            content = Files.readAllBytes(raw);
        }
        Files.delete(raw);
        ExtentSet free = ExtentSet.builder().add(0, unit + unit / 2).add(2L * unit, unit)
                .add(3L * unit + 8192, 4096 * 3).build();
        return new UndoneImages(image, format(name.equals("vpc") ? "vhd" : name), content, free);
    }

    private static DiskImageFormat format(String name) {
        for (DiskImageFormat format : ServiceLoader.load(DiskImageFormat.class)) {
            if (format.name().equals(name)) {
                return format;
            }
        }
        throw new AssertionError(name);
    }

    DiskImage open(HostFile file) throws IOException {
        return format.open(file, new NearbyLinks(image.getParent(), format, true));
    }

    DeallocationRequest request(ReclaimMode mode) {
        return new DeallocationRequest(free, mode, 0, 0, false);
    }

    RunFacts facts(DiskImage disk) {
        return new RunFacts("test", disk.format(), disk.virtualSize(), 0, false);
    }

    /** The image opens, and what is not free reads as ever. */
    void assertLive(byte[] bytes, String where) throws IOException {
        try (DiskImage disk = open(new MemoryHostFile(image, bytes.clone()))) {
            ExtentSet live = ExtentSet.ofRange(0, content.length).minus(free);
            for (Extent range : live) {
                ByteBuffer now = ByteBuffer.allocate((int) range.length());
                disk.guest().read(range.offset(), now);
                int difference = now.flip().mismatch(ByteBuffer.wrap(content, (int) range.offset(), (int) range.length()));
                Assertions.assertEquals(-1, difference, () -> where + ": live byte " + (range.offset() + difference));
            }
        }
    }
}
