package io.lacuna.diskimage.vhd;

import static io.lacuna.diskimage.vhd.Runs.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.BitSet;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Gives ranges back in images of every kind in every mode, and lets QEMU and libvhdi judge. */
class VhdDeallocationTest {

    private static final int SIZE = 14 << 20;
    /** Whole blocks of 2 MiB at the start, in the middle and at the end, and parts of others. */
    private static final ExtentSet FREE = kib(0, 2100, 3000, 3001, 4099, 4103, 6144, 8192, 9000, 9100, 12288, 14336);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    @BeforeEach
    void tools() {
        Tools.require("qemu-img", "qemu-io", "filefrag", "fallocate");
    }

    private Path image(String options) throws IOException {
        Path raw = Files.write(directory.resolve("model.raw"), VhdMaker.pattern(SIZE, 1));
        Path image = directory.resolve("image.vhd");
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", options, raw.toString(), image.toString());
        return image;
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {"subformat=dynamic|PUNCH", "subformat=dynamic|DEALLOCATE", "subformat=dynamic|COMPACT",
        "subformat=dynamic,force_size=on|PUNCH", "subformat=dynamic,force_size=on|DEALLOCATE",
        "subformat=dynamic,force_size=on|COMPACT", "subformat=fixed|PUNCH", "subformat=fixed|DEALLOCATE",
        "subformat=fixed,force_size=on|COMPACT"})
    void keepsLiveBytesAndWorksOn(String options, ReclaimMode mode) throws IOException {
        Path image = image(options);
        long length = Files.size(image);
        Deallocation plan = Runs.run(image, mode, FREE);
        assertTrue(plan.reclaimable().totalBytes() > FREE.totalBytes() - 100_000, () -> "stays: " + plan.retained());
        boolean fixed = options.contains("fixed");
        long blocks = fixed || mode == ReclaimMode.PUNCH ? 0 : mode == ReclaimMode.COMPACT ? 3 : 1;
        assertEquals(length - blocks * (512 + (2 << 20)), Files.size(image) , 0, "the file ends behind its last block");
        byte[] expected = Runs.byQemu(image);
        Path written = Files.write(directory.resolve("written"), VhdMaker.pattern(70_000, 2));
        for (int at : new int[] {100_000, 5_000_000, 7_000_000, 13_000_000}) {
            Tools.ok("qemu-io", "-f", "vpc", "-c", "write -s " + written + " " + at / 512 * 512 + " 69632", image.toString());
            System.arraycopy(VhdMaker.pattern(70_000, 2), 0, expected, at / 512 * 512, 69632);
        }
        assertArrayEquals(expected, Runs.byQemu(image), "QEMU works on with it");
        Runs.assertStructure(image);
        long grown = Files.size(image) - length;
        assertTrue(mode == ReclaimMode.PUNCH ? grown == 0 : grown <= 512 + (2 << 20), "grown by " + grown);
    }

    @Test
    void spaceOfPunchedBlocksIsUsedAgain() throws IOException {
        Path image = image("subformat=dynamic");
        long length = Files.size(image);
        Runs.run(image, ReclaimMode.PUNCH, FREE);
        Tools.ok("qemu-io", "-f", "vpc", "-c", "write -P 5 0 2M", "-c", "write -P 6 6M 2M", image.toString());
        assertEquals(length, Files.size(image));
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void givesEverythingBackAndMore(ReclaimMode mode) throws IOException {
        Path image = image("subformat=dynamic,force_size=on");
        Runs.run(image, mode, kib(0, SIZE / 1024));
        if (mode != ReclaimMode.PUNCH) {
            assertEquals(2048 + 512, Files.size(image), "header and table and footer");
        }
        Tools.ok("qemu-io", "-f", "vpc", "-c", "write -P 5 3M 1k", "-c", "read -P 0 2M 1M", "-c", "read -P 5 3M 1k",
                image.toString());
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void givesBackWhatADifferencingDiskHas(ReclaimMode mode) throws IOException {
        int block = 64 << 10;
        byte[] base = VhdMaker.pattern(12 * block + 5 * 512, 3);
        byte[] top = VhdMaker.pattern(base.length, 4);
        VhdMaker parent = VhdMaker.dynamic(base, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
        parent.blockSize = block;
        parent.write(directory.resolve("base.vhd"));
        BitSet own = new BitSet();
        own.set(0, 3 * 128);
        own.set(4 * 128 + 5, 4 * 128 + 100);
        own.set(6 * 128, 7 * 128 - 17);
        own.set(10 * 128, 12 * 128 + 5);
        VhdMaker child = VhdMaker.differencing("base.vhd", top, own, 10, 2, 0, 4, 1, 6, 12, 11);
        child.blockSize = block;
        Path image = child.write(directory.resolve("image.vhd"));
        byte[] parentBefore = Files.readAllBytes(directory.resolve("base.vhd"));
        long length = Files.size(image);
        Deallocation plan = Runs.run(image, mode, kib(0, 130, 250, 256, 258, 320, 448, 480, 640, 770));
        assertTrue(plan.reclaimable().totalBytes() > 250_000, () -> "stays: " + plan.retained());
        assertEquals(length, Files.size(image), "no block may go, or the parent's bytes would come back");
        assertArrayEquals(parentBefore, Files.readAllBytes(directory.resolve("base.vhd")));
        byte[] after = Runs.byLibvhdi(image);
        for (int i = 4096; i < 126 << 10; i++) {
            assertEquals(0, after[i], "the parent does not shine through at " + i);
        }
    }

    @Test
    void compactsADifferencingDiskWithGaps() throws IOException {
        int block = 64 << 10;
        byte[] base = VhdMaker.pattern(8 * block, 3);
        VhdMaker parent = VhdMaker.dynamic(base, 0, 1, 2, 3, 4, 5, 6, 7);
        parent.blockSize = block;
        parent.write(directory.resolve("base.vhd"));
        BitSet own = new BitSet();
        own.set(3, 8 * 128 - 1);
        VhdMaker child = VhdMaker.differencing("base.vhd", VhdMaker.pattern(base.length, 4), own, 7, 6, 5, 2);
        child.blockSize = block;
        child.gapSectors = 200;
        Path image = child.write(directory.resolve("image.vhd"));
        long length = Files.size(image);
        Runs.run(image, ReclaimMode.COMPACT, kib(450, 460));
        assertTrue(Files.size(image) < length - 100 * 512, "shorter");
    }

    @Test
    void keepsTheAlignmentThatBlocksHave() throws IOException {
        VhdMaker maker = VhdMaker.dynamic(VhdMaker.pattern(6 * (64 << 10), 1), 0, 1, 2, 3, 4, 5);
        maker.blockSize = 64 << 10;
        maker.gapSectors = 7;
        // Table and gap end at 1536 + 512 + 7 * 512; with the bitmap that is not a multiple of 4096, so pad by the gap alone.
        byte[] bytes = maker.bytes();
        Path image = Files.write(directory.resolve("image.vhd"), bytes);
        boolean aligned = (maker.firstBlock() + 7 * 512 + 512) % 4096 == 0;
        Runs.run(image, ReclaimMode.COMPACT, kib(64, 192));
        if (aligned) {
            try (var channel = Files.newByteChannel(image, StandardOpenOption.READ)) {
                java.nio.ByteBuffer table = java.nio.ByteBuffer.allocate(24);
                channel.position(VhdMaker.TABLE).read(table);
                for (int i = 0; i < 6; i++) {
                    int sector = table.getInt(i * 4);
                    assertTrue(sector == -1 || (sector + 1) % 8 == 0, "block " + i + " at sector " + sector);
                }
            }
        }
    }
}
