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
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
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
        assertEquals(length - blocks * (512 + (2 << 20)), Files.size(image), "the file ends behind its last block");
        byte[] expected = Runs.byQemu(image);
        Path written = Files.write(directory.resolve("written"), VhdMaker.pattern(70_000, 2));
        for (int at : new int[] {100_000, 5_000_000, 7_000_000, 13_000_000}) {
            Tools.ok("qemu-io", "-f", "vpc", "-c", "write -s " + written + " " + at / 512 * 512 + " 69632", image.toString());
            System.arraycopy(VhdMaker.pattern(70_000, 2), 0, expected, at / 512 * 512, 69632);
        }
        assertArrayEquals(expected, Runs.byQemu(image), "QEMU works on with it");
        Runs.assertStructure(image);
        long grown = Files.size(image) - length;
        assertEquals(fixed || mode != ReclaimMode.DEALLOCATE ? 0 : 2 * (512 + (2 << 20)), grown,
                "QEMU fills what was cut off, but no gap between blocks");
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
            Tools.ok("qemu-io", "-f", "vpc", "-c", "write -P 5 3M 1k", "-c", "read -P 0 2M 1M", "-c", "read -P 5 3M 1k",
                    "-c", "read -P 0 3073k 1023k", image.toString());
        }
    }

    /** A chain whose child has whole blocks, parts of blocks, and the end of the disk. */
    private Path chain(int gapSectors) throws IOException {
        return chain(0, gapSectors);
    }

    private Path chain(int firstGap, int gapSectors) throws IOException {
        int block = 2 << 20;
        byte[] base = VhdMaker.pattern(4 * block + 5 * 512, 3);
        VhdMaker parent = VhdMaker.dynamic(base, 0, 1, 2, 3, 4);
        parent.blockSize = block;
        parent.write(directory.resolve("base.vhd"));
        BitSet own = new BitSet();
        own.set(0, 4096);
        // Runs end with a byte of the bitmap: where they do not, libvhdi reads the byte's other sectors as zeros.
        own.set(4096 + 5, 4096 + 2000);
        own.set(2 * 4096, 3 * 4096 - 16);
        own.set(4 * 4096, 4 * 4096 + 5);
        VhdMaker child = VhdMaker.differencing("base.vhd", VhdMaker.pattern(base.length, 4), own, 4, 2, 0, 1);
        child.blockSize = block;
        child.firstGap = firstGap;
        child.gapSectors = gapSectors;
        return child.write(directory.resolve("image.vhd"));
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void givesBackWhatADifferencingDiskHas(ReclaimMode mode) throws IOException {
        Path image = chain(0);
        byte[] parent = Files.readAllBytes(directory.resolve("base.vhd"));
        long length = Files.size(image);
        Deallocation plan = Runs.run(image, mode, kib(0, 2052, 2500, 2504, 2506, 2900, 4096, 6000, 8192, 8194));
        assertTrue(plan.reclaimable().totalBytes() > 4_300_000, () -> "stays: " + plan.retained());
        assertEquals(length, Files.size(image), "no block may go, or the parent's bytes would come back");
        assertArrayEquals(parent, Files.readAllBytes(directory.resolve("base.vhd")));
        byte[] after = Runs.byLibvhdi(image);
        for (int i = 4096; i < 2040 << 10; i++) {
            assertEquals(0, after[i], "the parent does not shine through");
        }
    }

    @Test
    void compactsADifferencingDiskWithGaps() throws IOException {
        Path image = chain(5000);
        long length = Files.size(image);
        Deallocation plan = Runs.run(image, ReclaimMode.COMPACT, kib(1000, 1010));
        assertTrue(Files.size(image) < length - 2 * 5000 * 512, "shorter");
        assertTrue(plan.changesTables());
    }

    /** The table counts sectors, and nothing makes the parent's name end with one. */
    @Test
    void blocksMoveToWholeSectorsBehindANameThatEndsInside() throws IOException {
        Path image = chain(4, 5000);
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(image));
        long name = file.getLong(512 + 592);
        byte[] moved = new byte[512];
        file.get((int) name, moved).put((int) name, new byte[512]).put((int) name + 100, moved);
        byte[] header = new byte[1024];
        file.putLong(512 + 592, name + 100).get(512, header);
        file.put(512, VhdMaker.seal(ByteBuffer.wrap(header), 36).array());
        Files.write(image, file.array());
        assertTrue(Runs.run(image, ReclaimMode.COMPACT, kib(1000, 1010)).changesTables());
        assertTrue(Files.size(image) < file.capacity() - 2 * 5000 * 512, "shorter");
    }

    @Test
    void keepsTheAlignmentThatBlocksHave() throws IOException {
        VhdMaker maker = VhdMaker.dynamic(VhdMaker.pattern(6 * (64 << 10), 1), 0, 1, 2, 3, 4, 5);
        maker.blockSize = 64 << 10;
        maker.firstGap = 3;
        maker.gapSectors = 7;
        Path image = maker.write(directory.resolve("image.vhd"));
        Deallocation plan = Runs.run(image, ReclaimMode.COMPACT, kib(64, 192));
        assertEquals(ExtentSet.ofRange(64 << 10, 128 << 10), plan.reclaimable());
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(image));
        int moved = 0;
        for (int i = 0; i < 6; i++) {
            int sector = file.getInt(VhdMaker.TABLE + i * 4);
            assertTrue(sector == -1 || (sector + 1) % 8 == 0, "block " + i + " at sector " + sector);
            moved += i > 3 && sector < 7 + 4 * 136 ? 1 : 0;
        }
        assertEquals(2, moved, "both blocks from the end");
    }
}
