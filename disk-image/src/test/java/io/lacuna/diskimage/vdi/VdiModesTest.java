package io.lacuna.diskimage.vdi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Images by QEMU and in VirtualBox's layout, in every mode; QEMU reads, checks and writes them afterwards. */
class VdiModesTest {

    private static final int MIB = 1 << 20;
    /** Whole blocks, parts of blocks, odd ends. */
    private static final ExtentSet FREE = VdiImages.kib(0, 1024, 1300, 1500, 2047, 4097, 5120, 7168, 7500, 7501, 9000, 10240);

    @TempDir
    Path directory;

    private Path image;

    static Stream<Arguments> cases() {
        return Stream.of("qemu", "virtualbox", "holes", "large counter", "fixed", "differencing").flatMap(kind ->
                Stream.of(ReclaimMode.values()).map(mode -> Arguments.of(kind, mode)));
    }

    private void make(String kind) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        image = directory.resolve("image.vdi");
        VdiBuilder builder = VdiBuilder.of(MIB, 10 * MIB - 10240, 3, 1, 9, 0, VdiBuilder.FREE, 7, 8, 2, 4, 5).likeVirtualBox();
        builder.slots = 10;
        builder.allocated = 10;
        switch (kind) {
            case "qemu", "fixed" -> {
                byte[] bytes = new byte[10 * MIB];
                new Random(3).nextBytes(bytes);
                Files.write(directory.resolve("model.raw"), bytes);
                Tools.shell("cd \"$1\"; qemu-img convert -f raw -O vdi " + (kind.equals("fixed") ? "-o static=on" : "")
                        + " model.raw image.vdi", directory);
            }
            case "virtualbox" -> {
                builder.map = new long[] {3, 1, 9, 0, 6, 7, 8, 2, 4, 5};
                builder.write(image);
            }
            case "holes" -> builder.write(image);
            case "large counter" -> {
                builder.map[2] = 23;
                builder.slots = 26;
                builder.allocated = 25;
                builder.write(image);
            }
            case "differencing" -> {
                VdiBuilder base = VdiBuilder.of(MIB, 10 * MIB - 10240, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9).likeVirtualBox();
                base.write(directory.resolve("base.vdi"));
                builder.childOf(base).write(image);
            }
            default -> throw new IllegalArgumentException(kind);
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void keepsLiveBytesAndGivesTheRestBack(String kind, ReclaimMode mode) throws IOException {
        make(kind);
        ExtentSet free = FREE.intersect(ExtentSet.ofRange(0, kind.equals("qemu") || kind.equals("fixed") ? 10L * MIB
                : 10L * MIB - 10240));
        byte[] fileBefore = Files.readAllBytes(image);
        byte[] before;
        byte[] after;
        Deallocation plan;
        long fallen;
        try (DiskImage disk = VdiImages.open(image, true)) {
            before = VdiImages.guest(disk);
            long hostBefore = disk.hostBytes();
            plan = disk.plan(VdiImages.request(mode, free));
            assertArrayEquals(fileBefore, Files.readAllBytes(image), "a plan writes nothing");
            VdiImages.assertAccounts(plan, free);
            disk.apply(plan, Progress.NONE);
            fallen = hostBefore - disk.hostBytes();
            after = VdiImages.guest(disk);
            assertTrue(disk.plan(VdiImages.request(mode, free)).isEmpty(), "a second run finds nothing");
        }
        VdiImages.assertLive(before, after, free, plan.reclaimable(), kind);
        assertEquals(plan.plannedBytes(), fallen, 16384, "what was planned is released");
        assertTrue(plan.reclaimable().totalBytes() > free.totalBytes() - 2 * MIB, "most goes: " + plan.retained());
        byte[] fileAfter = Files.readAllBytes(image);
        assertArrayEquals(VdiImages.properties(fileBefore), VdiImages.properties(fileAfter), "properties outlive the run");
        assertFalse(Files.exists(directory.resolve("image.vdi.lacuna-journal")), "no journal is left");
        try (DiskImage disk = VdiImages.open(image, false)) {
            assertTrue(disk.plan(VdiImages.request(mode, free)).isEmpty(), "nor does it after opening anew");
        }
        if (mode == ReclaimMode.PUNCH || kind.equals("fixed")) {
            assertEquals(fileBefore.length, fileAfter.length);
            assertFalse(plan.changesTables());
            assertEquals(mode != ReclaimMode.PUNCH, plan.remarks().stream().anyMatch(remark -> remark.contains("fixed VDI")));
        } else {
            VdiImages.assertWithoutHoles(fileAfter);
            assertTrue(plan.changesTables());
        }
        if (!kind.equals("differencing")) {
            assertQemuAgrees(kind, mode, after);
        }
    }

    private void assertQemuAgrees(String kind, ReclaimMode mode, byte[] content) throws IOException {
        assertArrayEquals(content, VdiImages.qemu(image), "QEMU reads the same");
        boolean sound = mode != ReclaimMode.PUNCH || kind.equals("qemu") || kind.equals("virtualbox") || kind.equals("fixed");
        if (!sound) {
            return;
        }
        assertEquals(0, Tools.run("qemu-img", "check", "-f", "vdi", image.toString()).status());
        long length = Files.size(image);
        Tools.shell("qemu-io -f vdi -c 'write -P 7 5M 900k' -c 'write -P 9 1310k 100k' \"$1\" > /dev/null", image);
        java.util.Arrays.fill(content, 5 * MIB, 5 * MIB + 900 * 1024, (byte) 7);
        java.util.Arrays.fill(content, 1310 * 1024, 1410 * 1024, (byte) 9);
        assertArrayEquals(content, VdiImages.qemu(image), "what QEMU writes afterwards stays");
        assertEquals(0, Tools.run("qemu-img", "check", "-f", "vdi", image.toString()).status());
        boolean unmapped = mode != ReclaimMode.PUNCH && !kind.equals("fixed");
        assertEquals(unmapped ? length + MIB : length, Files.size(image), "a block that was unmapped comes back at the end");
    }
}
