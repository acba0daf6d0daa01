package io.lacuna.diskimage.vmdk;

import static io.lacuna.diskimage.vmdk.Vmdks.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Gives ranges back in images of every kind that qemu-img makes, in every mode, and lets QEMU judge. */
class VmdkDeallocationTest {

    private static final int SIZE = 6 << 20;
    /** Aligned and not, small and large, at both ends; in KiB. */
    private static final ExtentSet FREE = kib(0, 100, 300, 301, 512, 1024, 1500, 1540, 1541, 1545, 2047, 4100, 5000, 6144);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    @BeforeEach
    void tools() {
        Tools.require("qemu-img", "qemu-io", "filefrag", "fallocate");
    }

    static Stream<Arguments> kinds() {
        return Stream.of("subformat=monolithicSparse", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse",
                "subformat=twoGbMaxExtentFlat", "zeroed_grain=on")
                .flatMap(kind -> Arrays.stream(ReclaimMode.values()).map(mode -> Arguments.of(kind, mode)));
    }

    private Path image(String options) throws IOException {
        Path raw = Vmdks.pattern(directory.resolve("model.raw"), SIZE, 1);
        Path image = directory.resolve("image.vmdk");
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", options, raw.toString(), image.toString());
        return image;
    }

    private List<Path> sparseFiles() throws IOException {
        try (var files = Files.list(directory)) {
            return files.filter(file -> {
                try {
                    return Files.size(file) > 512 && Vmdks.field(file, 0, 4) == 0x564D444BL;
                } catch (IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            }).toList();
        }
    }

    private void assertStructures() throws IOException {
        for (Path file : sparseFiles()) {
            Vmdks.assertStructure(file);
        }
        Path image = directory.resolve("image.vmdk");
        Tools.ok("qemu-img", "check", "-f", "vmdk", image.toString());
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void givesBackWhatIsFree(String options, ReclaimMode mode) throws IOException {
        Path image = image(options);
        boolean flat = options.contains("Flat");
        long length = totalLength();
        Deallocation plan = Vmdks.run(image, Vmdks.request(mode, FREE));
        assertTrue(plan.plannedBytes() >= FREE.totalBytes() * 85 / 100, () -> plan.plannedBytes() + " of " + FREE.totalBytes());
        assertEquals(!flat && mode != ReclaimMode.PUNCH, plan.changesTables());
        assertEquals(flat && mode != ReclaimMode.PUNCH, plan.remarks().stream().anyMatch(remark -> remark.contains("flat VMDK")));
        assertStructures();
        if (!flat && mode == ReclaimMode.COMPACT) {
            assertTrue(totalLength() <= length - FREE.inwardTo(65536).totalBytes(), () -> "shorter than " + length);
        } else {
            assertEquals(length, totalLength());
        }
        // And the disk still works.
        byte[] before = Vmdks.content(image);
        Vmdks.pattern(directory.resolve("new"), 2 << 20, 2);
        Tools.ok("qemu-io", "-f", "vmdk", "-c", "write -s " + directory.resolve("new") + " 1M 2M", image.toString());
        System.arraycopy(Vmdks.pattern(2 << 20, 2), 0, before, 1 << 20, 2 << 20);
        assertArrayEquals(before, Vmdks.content(image));
        assertEquals(mode == ReclaimMode.PUNCH || flat, totalLength() == length, "grows only where blocks were unmapped");
        assertStructures();
    }

    private long totalLength() throws IOException {
        long sum = 0;
        try (var files = Files.list(directory)) {
            for (Path file : files.filter(one -> one.toString().endsWith(".vmdk")).toList()) {
                sum += Files.size(file);
            }
        }
        return sum;
    }

    @ParameterizedTest
    @MethodSource("kinds")
    void givesAllBack(String options, ReclaimMode mode) throws IOException {
        Path image = image(options);
        Deallocation plan = Vmdks.run(image, Vmdks.request(mode, ExtentSet.ofRange(0, SIZE)));
        assertEquals(SIZE, plan.reclaimable().totalBytes());
        assertStructures();
        if (mode == ReclaimMode.COMPACT && !options.contains("Flat")) {
            assertTrue(totalLength() < 256 << 10, () -> "nothing but tables: " + plan.remarks());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"PUNCH", "DEALLOCATE", "COMPACT"})
    void filesOfTwoGigabytes(ReclaimMode mode) throws IOException {
        Path image = directory.resolve("image.vmdk");
        Tools.ok("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", image.toString(), "4097M");
        Tools.ok("qemu-io", "-f", "vmdk", "-c", "write -P 1 2146435072 2M", "-c", "write -P 2 1M 1M", "-c", "write -P 3 4096M 1M",
                image.toString());
        ExtentSet free = ExtentSet.builder().add(2146435072L + 4096, (2 << 20) - 4096).add(1 << 20, 512 << 10).build();
        try (var disk = Vmdks.open(image, true)) {
            Deallocation plan = disk.plan(Vmdks.request(mode, free));
            Vmdks.assertAccounts(plan, free);
            assertEquals(free, plan.reclaimable());
            disk.apply(plan, io.lacuna.blockio.Progress.NONE);
            assertTrue(disk.plan(Vmdks.request(mode, free)).isEmpty());
        }
        for (String read : List.of("read -P 1 2146435072 4k", "read -P 0 2146439168 2093056", "read -P 0 1M 512k",
                "read -P 2 1536k 512k",
                "read -P 3 4096M 1M")) {
            Tools.Result result = Tools.run("qemu-io", "-f", "vmdk", "-c", read, image.toString());
            assertFalse(result.output().contains("failed"), result::output);
        }
        assertStructures();
    }

    @ParameterizedTest
    @MethodSource("children")
    void parentsNeverShineThrough(String options, ReclaimMode mode) throws IOException {
        Vmdks.pattern(directory.resolve("model.raw"), SIZE, 7);
        Path image = directory.resolve("image.vmdk");
        Tools.shell("cd \"$1\"; qemu-img convert -f raw -O vmdk model.raw base.vmdk\n"
                + "qemu-img create -q -f vmdk -o $2 -b base.vmdk -F vmdk image.vmdk", directory, options);
        Vmdks.pattern(directory.resolve("new"), SIZE, 8);
        Tools.ok("qemu-io", "-f", "vmdk", "-c", "write -s " + directory.resolve("new") + " 0 4M", "-c",
                "write -s " + directory.resolve("new") + " 5M 1M", image.toString());
        byte[] base = Files.readAllBytes(directory.resolve("base.vmdk"));
        Deallocation plan = Vmdks.run(image, Vmdks.request(mode, FREE));
        assertTrue(plan.plannedBytes() > 3 << 20);
        boolean zeroes = options.contains("zeroed_grain=on");
        if (mode == ReclaimMode.DEALLOCATE) {
            assertEquals(zeroes, plan.changesTables(), "a child that cannot say zeros is punched");
            assertEquals(zeroes ? 1 : 128, Vmdks.entry(sparseChild(), false, 0), "entry of a grain that is free");
        }
        assertArrayEquals(base, Files.readAllBytes(directory.resolve("base.vmdk")), "nobody writes to the parent");
        assertStructures();
    }

    private Path sparseChild() throws IOException {
        return sparseFiles().stream().filter(file -> !file.endsWith("base.vmdk")).findFirst().orElseThrow();
    }

    static Stream<Arguments> children() {
        return Stream.of("zeroed_grain=off", "zeroed_grain=on", "subformat=twoGbMaxExtentSparse,zeroed_grain=on")
                .flatMap(kind -> Arrays.stream(ReclaimMode.values()).map(mode -> Arguments.of(kind, mode)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"cowd", "cowd-child", "sesparse", "sesparse-child"})
    void formatsOfEsxArePunched(String kind) throws IOException {
        Path image = EsxImages.make(directory, kind);
        byte[] before = Vmdks.content(image);
        ExtentSet free = kib(0, 1024, 2001, 5003);
        try (var disk = Vmdks.open(image, true)) {
            for (ReclaimMode mode : ReclaimMode.values()) {
                Deallocation plan = disk.plan(Vmdks.request(mode, free));
                assertFalse(plan.changesTables());
                Vmdks.assertAccounts(plan, free);
                assertEquals(mode != ReclaimMode.PUNCH, plan.isEmpty());
                disk.apply(plan, io.lacuna.blockio.Progress.NONE);
                Vmdks.assertLive(before, Vmdks.content(image), free, plan.reclaimable());
                if (mode == ReclaimMode.PUNCH) {
                    assertTrue(plan.plannedBytes() > 2 << 20, () -> plan.plannedBytes() + " planned");
                }
            }
        }
    }

    /** There the entry would be 1, which says that the grain is zeros. */
    @Test
    void noGrainMovesToTheSectorBehindTheHeader() throws IOException {
        Path image = SmallGrains.make(directory.resolve("image.vmdk"), 9, 0, true);
        byte[] before = Vmdks.content(image);
        ExtentSet free = kib(4, 30, 64, 100, 101, 103);
        try (var disk = Vmdks.open(image, true)) {
            Deallocation plan = disk.plan(Vmdks.request(ReclaimMode.COMPACT, free));
            assertTrue(plan.changesTables());
            disk.apply(plan, io.lacuna.blockio.Progress.NONE);
            Vmdks.assertLive(before, Vmdks.content(image), free, plan.reclaimable());
        }
        Vmdks.assertStructure(directory.resolve("extent.vmdk"));
    }

    /** QEMU does not write to seSparse. */
    @ParameterizedTest
    @ValueSource(strings = {"cowd", "cowd-child"})
    void whatIsWrittenToPunchedGrainsOfCowdLandsInPlace(String kind) throws IOException {
        Path image = EsxImages.make(directory, kind);
        Path file = directory.resolve("image-delta.vmdk");
        long length = Files.size(file);
        Vmdks.run(image, Vmdks.request(ReclaimMode.DEALLOCATE, kib(1024, 2048)));
        byte[] expected = Vmdks.content(image);
        // Six grains that the image stores, between two that it does not.
        Tools.shell("cd \"$1\"; qemu-io -f vmdk -c 'write -P 7 1024k 24k' image.vmdk > /dev/null", directory);
        Arrays.fill(expected, 1 << 20, (1 << 20) + (24 << 10), (byte) 7);
        assertArrayEquals(expected, Vmdks.content(image));
        assertEquals(length, Files.size(file));
    }

    @Test
    void grainsOfOtherSizesAndPlaces() throws IOException {
        // Grains of 4 KiB, moved by one sector, so that no grain begins at a host block: made from QEMU's by hand.
        Path image = SmallGrains.make(directory.resolve("image.vmdk"), 1, false);
        byte[] before = Vmdks.content(image);
        ExtentSet free = kib(4, 30, 64, 100, 101, 103);
        for (ReclaimMode mode : List.of(ReclaimMode.PUNCH, ReclaimMode.DEALLOCATE, ReclaimMode.COMPACT)) {
            try (var disk = Vmdks.open(image, true)) {
                Deallocation plan = disk.plan(Vmdks.request(mode, free));
                Vmdks.assertAccounts(plan, free);
                disk.apply(plan, io.lacuna.blockio.Progress.NONE);
                Vmdks.assertLive(before, Vmdks.content(image), free, plan.reclaimable());
            }
            Vmdks.assertStructure(image);
        }
    }
}
