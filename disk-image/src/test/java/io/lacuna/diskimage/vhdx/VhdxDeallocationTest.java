package io.lacuna.diskimage.vhdx;

import static io.lacuna.diskimage.vhdx.Runs.kib;
import static io.lacuna.diskimage.vhdx.Runs.request;
import static io.lacuna.diskimage.vhdx.VhdxMaker.FULL;
import static io.lacuna.diskimage.vhdx.VhdxMaker.MIB;
import static io.lacuna.diskimage.vhdx.VhdxMaker.PARTIAL;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.Extent;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Space given back: judged by QEMU, by libvhdi where QEMU cannot read, and by a check of all structures. */
class VhdxDeallocationTest {

    private static final int SIZE = 20 * MIB + 1536;
    /** Whole blocks of 1 and 2 MiB, parts of blocks, parts of host blocks, the disk's end. */
    private static final ExtentSet FREE = kib(0, 100, 300, 301, 1024, 3072, 4000, 9000, 9010, 9012, 14336, 16384)
            .union(ExtentSet.of(new Extent(SIZE - 512, 512), new Extent(10_000_385, 50_001)));

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path make(String options) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path model = Runs.pattern(directory.resolve("model.raw"), SIZE, 1);
        Path image = directory.resolve("image.vhdx");
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", "vhdx", "-o", options, model.toString(), image.toString());
        return image;
    }

    private byte[] content(Path image) throws IOException {
        Tools.ok("qemu-img", "check", "-q", "-f", "vhdx", image.toString());
        return Files.readAllBytes(Reading.byQemu(image, directory));
    }

    @ParameterizedTest
    @CsvSource({"subformat=dynamic, PUNCH", "subformat=dynamic, DEALLOCATE", "subformat=dynamic, COMPACT",
        "block_size=1M, PUNCH", "block_size=1M, DEALLOCATE", "block_size=1M, COMPACT",
        "'block_size=2M,log_size=2M', DEALLOCATE", "'block_size=2M,log_size=2M', COMPACT",
        "'block_size=1M,block_state_zero=off', DEALLOCATE",
        "subformat=fixed, PUNCH", "subformat=fixed, DEALLOCATE", "subformat=fixed, COMPACT"})
    void givesBackWhatQemuWrote(String options, ReclaimMode mode) throws IOException {
        Path image = make(options);
        byte[] before = content(image);
        long length = Files.size(image);
        Deallocation plan = Runs.run(image, request(mode, FREE));
        byte[] after = content(image);
        Runs.assertLive(before, after, FREE, plan.reclaimable());
        assertTrue(plan.reclaimable().totalBytes() > 9 << 20, () -> "little: " + plan.reclaimable());
        boolean small = options.startsWith("block_size");
        boolean unmaps = small && mode != ReclaimMode.PUNCH;
        assertEquals(unmaps ? options.startsWith("block_size=1M") ? 8 : 3 : 0, VhdxCheck.of(image).count(2));
        if (mode == ReclaimMode.COMPACT && small) {
            assertTrue(Files.size(image) < length, "a shorter file");
            assertEquals(VhdxCheck.of(image).end(), Files.size(image), "nothing behind the last block");
        } else {
            assertEquals(length, Files.size(image));
        }
        assertWritesOn(image, after);
    }

    /** The image still works for a writer that is not us. */
    private void assertWritesOn(Path image, byte[] content) throws IOException {
        Tools.ok("qemu-io", "-f", "vhdx", "-c", "write -P 201 5000000 2000000", "-c", "write -P 202 0 4096", "-c",
                "write -P 203 1048576 1M", "-c", "write -P 204 19M 1k", image.toString());
        Arrays.fill(content, 5_000_000, 7_000_000, (byte) 201);
        Arrays.fill(content, 0, 4096, (byte) 202);
        Arrays.fill(content, MIB, 2 * MIB, (byte) 203);
        Arrays.fill(content, 19 * MIB, 19 * MIB + 1024, (byte) 204);
        byte[] read = content(image);
        assertEquals(-1, Arrays.mismatch(content, read), "what QEMU wrote afterwards, and all else");
        Reading.assertReadsLike(directory.resolve("qemu-" + image.getFileName() + ".raw"), image);
    }

    @Test
    void afterAPunchQemuWritesInPlaceAfterADeallocationItAppends() throws IOException {
        for (ReclaimMode mode : ReclaimMode.values()) {
            Path image = make("block_size=1M");
            Runs.run(image, request(mode, FREE));
            long length = Files.size(image);
            Tools.ok("qemu-io", "-f", "vhdx", "-c", "write -P 9 1M 2M", image.toString());
            assertEquals(mode == ReclaimMode.PUNCH ? length : length + 2 * MIB, Files.size(image), mode.toString());
        }
    }

    @Test
    void saysThatChangeTrackingDoesNotHearOfIt() throws IOException {
        Path image = directory.resolve("image.vhdx");
        VhdxMaker.dynamic(image, 4L * MIB, MIB).close();
        Files.createFile(directory.resolve("image.vhdx.rct"));
        try (DiskImage disk = Reading.open(image)) {
            assertTrue(disk.remarks().toString().contains("image.vhdx.rct"), disk.remarks().toString());
        }
    }

    @Test
    void aFixedDiskIsOnlyPunchedAndSaysSo() throws IOException {
        Path image = make("subformat=fixed");
        try (DiskImage disk = Reading.open(image)) {
            Deallocation plan = disk.plan(request(ReclaimMode.DEALLOCATE, FREE));
            assertFalse(plan.changesTables());
            assertTrue(plan.remarks().toString().contains("fixed"), plan.remarks().toString());
        }
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void aFreedBlockOfADifferencingDiskReadsAsZerosAndNotAsItsParent(ReclaimMode mode) throws IOException {
        Path child = chain();
        byte[] before = Files.readAllBytes(Reading.byLibvhdi(child, directory));
        Deallocation plan = Runs.run(child, request(mode, FREE));
        byte[] after = Files.readAllBytes(Reading.byLibvhdi(child, directory));
        // libvhdi of 2021 shows the parent in place of defined zeros, so only the rest can be compared.
        Runs.assertLive(before, mask(after, plan.reclaimable()), FREE, plan.reclaimable());
        assertEquals(mode == ReclaimMode.PUNCH ? 0 : 5, VhdxCheck.of(child).count(2));
        try (DiskImage disk = Reading.open(child)) {
            for (Extent extent : plan.reclaimable()) {
                assertEquals(0, Reading.byteAt(disk, extent.offset()), "zeros at " + extent.offset());
            }
            assertEquals(0x11, Reading.byteAt(disk, 12L * MIB), "the parent's");
        }
    }

    private static byte[] mask(byte[] bytes, ExtentSet set) {
        for (Extent extent : set) {
            Arrays.fill(bytes, (int) extent.offset(), (int) extent.end(), (byte) 0);
        }
        return bytes;
    }

    /** @return a child with blocks 1, 4 and 19 of its own, and 2, 5 and 14 in part, the rest its parent's */
    private Path chain() throws IOException {
        try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), SIZE, MIB)) {
            for (int block = 0; block < 21; block++) {
                base.store(block, FULL, 0x11);
            }
        }
        Path child = directory.resolve("child.vhdx");
        try (VhdxMaker top = VhdxMaker.child(child, SIZE, MIB, 512, "base.vhdx")) {
            top.store(1, FULL, 0x22);
            long bitmap = top.bitmap(0);
            for (int block : new int[] {2, 5, 14}) {
                top.store(block, PARTIAL, 0x33);
                top.present(bitmap, block * 2048 + 8, 1000);
                top.present(bitmap, block * 2048 + 2047, 1);
            }
            top.store(4, FULL, 0x22);
            top.store(19, FULL, 0x22);
        }
        return child;
    }

    @Test
    void whatShowsTheParentIsNeitherPunchedNorCalledReclaimable() throws IOException {
        Path child = chain();
        ExtentSet free = ExtentSet.ofRange(2L * MIB + 4096, MIB / 2);
        Deallocation plan = Runs.run(child, request(ReclaimMode.DEALLOCATE, free));
        // Of the free range sectors 8 to 1007 of the block are stored here.
        assertEquals(ExtentSet.ofRange(2L * MIB + 4096, 1000 * 512).inwardTo(4096), plan.reclaimable());
    }

    @ParameterizedTest
    @CsvSource({"4096, 1048576", "512, 2097152", "4096, 33554432"})
    void worksInAllGeometries(int sectorSize, int blockSize) throws IOException {
        Path image = directory.resolve("image.vhdx");
        try (VhdxMaker maker = new VhdxMaker(image, 3L * blockSize, blockSize, sectorSize, false, Map.of())) {
            maker.store(2, FULL, 2);
            maker.store(0, FULL, 1);
            maker.store(1, FULL, 3);
        }
        ExtentSet free = ExtentSet.ofRange(0, blockSize).union(ExtentSet.ofRange(blockSize + 8192, 40960));
        Deallocation plan = Runs.run(image, request(ReclaimMode.COMPACT, free));
        assertEquals(blockSize + 40960, plan.reclaimable().totalBytes());
        assertEquals(4L * MIB + 2L * blockSize, Files.size(image));
    }

    @Test
    void theTableIsChangedInSeveralLogEntriesWhereItIsLarge() throws IOException {
        // Blocks far from each other, so that each has a sector of the table for itself: more than a log of 1 MiB holds.
        int blocks = 300;
        Path image = directory.resolve("image.vhdx");
        ExtentSet.Builder free = ExtentSet.builder();
        try (VhdxMaker maker = VhdxMaker.dynamic(image, blocks * 600L * MIB, MIB)) {
            long place = maker.end();
            maker.setLength(place + (blocks + 1L) * MIB);
            for (int i = 0; i < blocks; i++) {
                maker.put(place + (long) i * MIB, new byte[] {1});
                maker.entry(i * 600, place + (long) i * MIB | FULL);
                free.add(i * 600L * MIB, MIB);
            }
            maker.put(place + (long) blocks * MIB, new byte[] {7});
            maker.entry(1, place + (long) blocks * MIB | FULL);
        }
        try (DiskImage disk = Runs.writable(image)) {
            disk.apply(disk.plan(request(ReclaimMode.DEALLOCATE, free.build())), Progress.NONE);
            assertEquals(7, Reading.byteAt(disk, MIB));
            assertEquals(0, Reading.byteAt(disk, 600L * MIB));
        }
        VhdxCheck check = VhdxCheck.of(image);
        assertEquals(java.util.List.of(), check.wrong());
        assertEquals(blocks, check.count(2));
        assertEquals(1, check.count(6));
        Tools.require("qemu-img");
        Tools.ok("qemu-img", "check", "-q", "-f", "vhdx", image.toString());
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void refusesAnImageInWhichTwoBlocksShareAPlace(ReclaimMode mode) throws IOException {
        Path image = directory.resolve("image.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 8L * MIB, 2 * MIB)) {
            long place = maker.store(0, FULL, 1);
            maker.store(1, FULL, 2);
            maker.entry(2, place + MIB | FULL);
        }
        assertRefused(image, mode, "BAT entry");
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void refusesASectorBitmapOnTopOfABlock(ReclaimMode mode) throws IOException {
        VhdxMaker.dynamic(directory.resolve("base.vhdx"), 4L * MIB, MIB).close();
        Path image = directory.resolve("child.vhdx");
        try (VhdxMaker maker = VhdxMaker.child(image, 4L * MIB, MIB, 512, "base.vhdx")) {
            long place = maker.store(0, FULL, 1);
            maker.put(VhdxMaker.BAT + 8L * maker.chunkRatio(), VhdxMaker.buffer(8).putLong(place | FULL).array());
        }
        assertRefused(image, mode, "BAT entry 4096");
    }

    @Test
    void whatEntriesBehindTheDisksEndMapIsInUse() throws IOException {
        Path image = directory.resolve("image.vhdx");
        long stale;
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 4L * MIB, MIB)) {
            maker.store(0, FULL, 1);
            stale = maker.store(5, FULL, 5); // the disk has blocks 0 to 3
            maker.store(1, FULL, 2);
        }
        Runs.run(image, request(ReclaimMode.COMPACT, ExtentSet.ofRange(0, MIB)));
        byte[] file = Files.readAllBytes(image);
        assertEquals(5, file[(int) stale]);
        assertEquals(stale + MIB, file.length, "the file ends behind it");
    }

    /** Hyper-V leaves the entries of trimmed blocks their places, and may give a block its own back. */
    @Test
    void trapNoEntryNamesThePlaceThatAnotherBlockMovesTo() throws IOException {
        Path image = directory.resolve("image.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 8L * MIB, MIB)) {
            maker.store(0, FULL, 1);
            maker.entry(1, maker.store(1, FULL, 2) | 3);
            maker.entry(4, maker.store(4, FULL, 3) | 1);
            maker.entry(5, 1L << 40);
            maker.store(2, FULL, 4);
            maker.store(3, FULL, 5);
        }
        byte[] before;
        try (DiskImage disk = Runs.writable(image)) {
            before = Runs.guest(disk);
        }
        Runs.run(image, request(ReclaimMode.COMPACT, ExtentSet.EMPTY));
        ByteBuffer bat = ByteBuffer.wrap(Files.readAllBytes(image)).order(ByteOrder.LITTLE_ENDIAN).position(VhdxMaker.BAT).slice()
                .order(ByteOrder.LITTLE_ENDIAN);
        Set<Long> places = new HashSet<>();
        for (int block = 0; block < 8; block++) {
            long place = bat.getLong(8 * block) >>> 20;
            assertEquals(block < 4 && block != 1, place != 0, "block " + block);
            assertTrue(place == 0 || places.add(place), "block " + block + " has the place of another");
        }
        assertEquals(List.of(2L, 2L, 0L), List.of(bat.getLong(8), bat.getLong(8 * 4), bat.getLong(8 * 5)));
        try (DiskImage disk = Runs.writable(image)) {
            assertEquals(-1, Arrays.mismatch(before, Runs.guest(disk)));
        }
    }

    @Test
    void refusesAShiftedTable() throws IOException {
        Path image = directory.resolve("image.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 4L * MIB, MIB)) {
            long place = maker.store(3, FULL, 1);
            maker.entry(4, place | FULL);
        }
        assertRefused(image, ReclaimMode.PUNCH, "BAT entry 4");
    }

    private static void assertRefused(Path image, ReclaimMode mode, String reason) throws IOException {
        byte[] before = Files.readAllBytes(image);
        try (DiskImage disk = Runs.writable(image)) {
            CorruptException refusal = assertThrows(CorruptException.class,
                    () -> disk.plan(request(mode, ExtentSet.ofRange(0, MIB))));
            assertTrue(refusal.getMessage().contains(reason), refusal.getMessage());
        }
        assertEquals(-1, Arrays.mismatch(before, Files.readAllBytes(image)));
    }

    @Test
    void aDamagedHeaderBringsNoOldLogBack() throws IOException {
        for (long offset : new long[] {64 << 10, 128 << 10}) {
            Path image = directory.resolve("image.vhdx");
            try (VhdxMaker maker = VhdxMaker.dynamic(image, 4L * MIB, MIB)) {
                for (int block = 0; block < 4; block++) {
                    maker.store(block, FULL, 1 + block);
                }
            }
            Runs.run(image, request(ReclaimMode.COMPACT, ExtentSet.ofRange(0, 2L * MIB)));
            byte[] file = Files.readAllBytes(image);
            file[(int) offset + 20] ^= 1;
            Files.write(image, file);
            try (DiskImage disk = Reading.open(image)) {
                assertEquals(3, Reading.byteAt(disk, 2L * MIB));
                assertEquals(0, Reading.byteAt(disk, 0));
                assertFalse(disk.remarks().toString().contains("log"), "an old log counts again");
            }
        }
    }

    @Test
    void theFileBecomesShorterOnlyWhenNoHeaderNamesALog() throws IOException {
        // An entry of that log says how long the file was, so a shorter one would be refused if a header brought it back.
        Path image = directory.resolve("image.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 4L * MIB, MIB)) {
            maker.store(0, FULL, 1);
            maker.store(1, FULL, 2);
        }
        PlainHostFile file = new PlainHostFile(image, true);
        int[] truncations = {0};
        HostFile watched = (HostFile) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {HostFile.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("truncate")) {
                        truncations[0]++;
                        ByteBuffer guids = ByteBuffer.allocate(32);
                        file.read((64 << 10) + 48, guids.limit(16));
                        file.read((128 << 10) + 48, guids.limit(32));
                        assertEquals(ByteBuffer.allocate(32), guids.flip(), "both headers' log GUIDs");
                    }
                    return method.invoke(file, arguments);
                });
        try (DiskImage disk = Reading.FORMAT.open(watched, new NearbyLinks(directory, Reading.FORMAT, true))) {
            disk.apply(disk.plan(request(ReclaimMode.COMPACT, ExtentSet.ofRange(0, MIB))), Progress.NONE);
        }
        assertEquals(1, truncations[0]);
    }

    @Test
    void aLeakOfACutRunIsFoundIfItIsAskedFor() throws IOException {
        Path image = directory.resolve("image.vhdx");
        try (VhdxMaker maker = VhdxMaker.dynamic(image, 4L * MIB, MIB)) {
            maker.store(0, FULL, 1);
            long leaked = maker.store(1, FULL, 2);
            maker.entry(1, 2).entry(2, leaked | 3); // unmapped, and its old place is no claim
            maker.store(3, FULL, 3);
        }
        try (DiskImage disk = Runs.writable(image)) {
            assertTrue(disk.plan(request(ReclaimMode.DEALLOCATE, ExtentSet.EMPTY)).isEmpty());
            Deallocation plan = disk.plan(Runs.repair(ReclaimMode.DEALLOCATE, ExtentSet.EMPTY));
            assertEquals(MIB, plan.unreferencedBytes());
            byte[] before = Runs.guest(disk);
            disk.apply(plan, Progress.NONE);
            assertEquals(-1, Arrays.mismatch(before, Runs.guest(disk)));
            assertTrue(disk.plan(Runs.repair(ReclaimMode.DEALLOCATE, ExtentSet.EMPTY)).isEmpty());
        }
    }
}
