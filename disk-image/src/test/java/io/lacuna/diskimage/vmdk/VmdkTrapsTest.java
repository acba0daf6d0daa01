package io.lacuna.diskimage.vmdk;

import static io.lacuna.diskimage.vmdk.Vmdks.kib;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsafeException;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.diskimage.DiskImages;
import io.lacuna.fixtures.CrashFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Each way known to destroy data in a VMDK, and what keeps Lacuna from it. */
class VmdkTrapsTest {

    /** Of {@link SmallGrains}: grains 1 to 6 whole. */
    private static final ExtentSet FREE = kib(4, 28);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private Path small(boolean zeroGrains) throws IOException {
        return SmallGrains.make(directory.resolve("image.vmdk"), 0, zeroGrains);
    }

    private static void assertRefused(Path image, ReclaimMode mode, Class<? extends DiskFormatException> type, String words)
            throws IOException {
        byte[] before = Files.readAllBytes(image);
        DiskFormatException refused = assertThrows(type, () -> {
            try (DiskImage disk = Vmdks.open(image, true)) {
                disk.apply(disk.plan(Vmdks.request(mode, FREE)), Progress.NONE);
            }
        });
        assertTrue(refused.getMessage().contains(words), refused::getMessage);
        assertTrue(refused.path() != null);
        assertArrayEquals(before, Files.readAllBytes(image));
    }

    private static void assertRuns(Path image, ReclaimMode mode) throws IOException {
        try (DiskImage disk = Vmdks.open(image, true)) {
            byte[] before = Vmdks.guest(disk);
            Deallocation plan = disk.plan(Vmdks.request(mode, FREE));
            disk.apply(plan, Progress.NONE);
            Vmdks.assertLive(before, Vmdks.guest(disk), FREE, plan.reclaimable());
        }
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void directoriesThatNameDifferentPlacesAreRefused(ReclaimMode mode) throws IOException {
        Path image = small(false);
        Vmdks.set(image, Vmdks.entryPlace(image, true, 30), 4, Vmdks.entry(image, true, 31));
        assertRefused(image, mode, CorruptException.class, "redundant grain table: grain 30");
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void aFirstTableThatLacksAGrainIsRefused(ReclaimMode mode) throws IOException {
        Path image = small(false);
        Vmdks.set(image, Vmdks.entryPlace(image, false, 30), 4, 0);
        assertRefused(image, mode, CorruptException.class, "redundant grain table: grain 30");
    }

    @Test
    void aRedundantTableThatLacksGrainsIsCompleted() throws IOException {
        Path image = small(false);
        Vmdks.set(image, Vmdks.entryPlace(image, true, 30), 4, 0);
        Vmdks.set(image, Vmdks.entryPlace(image, true, 2), 4, 0);
        assertRuns(image, ReclaimMode.PUNCH);
        assertEquals(0, Vmdks.entry(image, true, 30), "punch changes no table");
        assertRuns(image, ReclaimMode.DEALLOCATE);
        Vmdks.assertStructure(image);
        assertTrue(Vmdks.entry(image, true, 30) > 1);
    }

    @Test
    void aTableMissingInOneDirectoryIsRefused() throws IOException {
        Path image = small(false);
        Vmdks.set(image, Vmdks.field(image, 48, 8) * 512, 4, 0);
        assertRefused(image, ReclaimMode.DEALLOCATE, CorruptException.class, "redundant grain directory entry 0");
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void aPlaceOfTwoGrainsIsNeverFreed(ReclaimMode mode) throws IOException {
        Path image = small(false);
        for (boolean redundant : new boolean[] {false, true}) {
            Vmdks.set(image, Vmdks.entryPlace(image, redundant, 30), 4, Vmdks.entry(image, redundant, 2));
        }
        assertRefused(image, mode, CorruptException.class, "more than once");
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void aGrainInATableIsRefused(ReclaimMode mode) throws IOException {
        Path image = small(false);
        for (boolean redundant : new boolean[] {false, true}) {
            Vmdks.set(image, Vmdks.entryPlace(image, redundant, 2), 4, 8);
        }
        assertRefused(image, mode, CorruptException.class, "outside of its tables");
    }

    @Test
    void tablesThatShareAPlaceAreRefused() throws IOException {
        Path image = small(false);
        Vmdks.set(image, Vmdks.field(image, 48, 8) * 512, 4, Vmdks.field(image, Vmdks.field(image, 56, 8) * 512, 4));
        assertRefused(image, ReclaimMode.DEALLOCATE, CorruptException.class, "places of their own");
    }

    @Test
    void zeroedGrainsNeedTheirFlag() throws IOException {
        Path image = small(false);
        for (boolean redundant : new boolean[] {false, true}) {
            Vmdks.set(image, Vmdks.entryPlace(image, redundant, 2), 4, 1);
        }
        assertRefused(image, ReclaimMode.DEALLOCATE, CorruptException.class, "no zeroed grain");
    }

    @Test
    void anUncleanShutdownIsCheckedInFullBeforeAnythingElse() throws IOException {
        Path image = small(false);
        Vmdks.set(image, 72, 1, 1);
        try (DiskImage disk = Vmdks.open(image, false)) {
            assertTrue(disk.remarks().get(0).contains("not closed cleanly"), () -> disk.remarks().toString());
        }
        assertRuns(image, ReclaimMode.PUNCH);
        assertEquals(1, Vmdks.field(image, 72, 1), "punch leaves the header alone");
        assertRuns(image, ReclaimMode.DEALLOCATE);
        Vmdks.assertStructure(image);
        // Two live grains at one place, far from what is free: without the flag that is nobody's business here.
        for (boolean redundant : new boolean[] {false, true}) {
            Vmdks.set(image, Vmdks.entryPlace(image, redundant, 30), 4, Vmdks.entry(image, redundant, 31));
        }
        Vmdks.open(image, false).close();
        Vmdks.set(image, 72, 1, 1);
        CorruptException refused = assertThrows(CorruptException.class, () -> Vmdks.open(image, false));
        assertTrue(refused.getMessage().contains("unclean shutdown"), refused::getMessage);
    }

    @Test
    void theFlagStandsWhileTablesChange() throws IOException {
        Path image = small(false);
        Path copy = Files.copy(image, directory.resolve("copy"));
        CrashFile.Log log = new CrashFile.Log();
        try (DiskImage disk = Vmdks.FORMAT.open(new CrashFile(new PlainHostFile(image, true), log),
                new NearbyLinks(directory, Vmdks.FORMAT, true))) {
            disk.apply(disk.plan(Vmdks.request(ReclaimMode.DEALLOCATE, FREE)), Progress.NONE);
        }
        byte[] before = Files.readAllBytes(copy);
        for (int cut = 1; cut <= log.steps(); cut++) {
            Files.write(copy, before);
            log.play(cut, CrashFile.Loss.ALL_UNSYNCED, 0, copy);
            byte[] now = Files.readAllBytes(copy);
            boolean changed = Arrays.mismatch(before, 73, before.length, now, 73, now.length) >= 0;
            assertTrue(!changed || now[72] == 1 || cut >= log.steps(), "durable change without the flag, cut at " + cut);
        }
        Vmdks.assertStructure(copy);
    }

    @Test
    void streamsAreForCopying() throws IOException {
        Tools.require("qemu-img");
        Vmdks.pattern(directory.resolve("model"), 300 << 10, 6);
        Path image = directory.resolve("image.vmdk");
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized",
                directory.resolve("model").toString(), image.toString());
        for (ReclaimMode mode : ReclaimMode.values()) {
            assertRefused(image, mode, UnsupportedException.class, "lacuna copy");
        }
    }

    @Test
    void seSparseWithAJournalToReplayIsRefused() throws IOException {
        Path image = EsxImages.make(directory, "sesparse");
        Vmdks.set(directory.resolve("image-sesparse.vmdk"), 512 + 24, 8, 1);
        assertRefused(image, ReclaimMode.PUNCH, UnsafeException.class, "journal to replay");
    }

    @Test
    void readOnlyExtentsAreRefused() throws IOException {
        Path image = small(false);
        byte[] bytes = Files.readAllBytes(image);
        String text = new String(bytes, StandardCharsets.ISO_8859_1).replace("RW 320 SPARSE", "RDONLY 320 SPARSE");
        Files.write(image, Arrays.copyOf(text.replaceFirst("(?s)ddb.adapter(.*?)\0{4}", "ddb.adapter$1")
                .getBytes(StandardCharsets.ISO_8859_1), bytes.length));
        assertRefused(image, ReclaimMode.PUNCH, UnsafeException.class, "read-only (RDONLY)");
    }

    @Test
    void versionThreeIsPunched() throws IOException {
        Path image = small(false);
        Vmdks.set(image, 4, 4, 3);
        byte[] head = Arrays.copyOf(Files.readAllBytes(image), 16 * 512);
        assertRuns(image, ReclaimMode.DEALLOCATE);
        assertArrayEquals(head, Arrays.copyOf(Files.readAllBytes(image), 16 * 512));
    }

    @Test
    void hugeCountsInSmallFilesAreRefused() throws IOException {
        for (long[] field : new long[][] {{12, 8, 1L << 50}, {12, 8, 1L << 32}, {20, 8, 1L << 40}, {20, 8, 0}, {36, 8, 1L << 40},
            {44, 4, 1L << 30}, {56, 8, 1L << 50}, {48, 8, 1L << 40}, {28, 8, 1L << 50}}) {
            Path image = small(false);
            Vmdks.set(image, field[0], (int) field[1], field[2]);
            assertThrows(DiskFormatException.class, () -> Vmdks.open(image, false), "field " + field[0]);
            Files.delete(image);
        }
    }

    @Test
    void disksOfManyPartsInManyFiles() throws IOException {
        StringBuilder text = new StringBuilder("# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\n"
                + "createType=\"custom\"\n");
        byte[] expected = new byte[72 * 8192];
        for (int i = 0; i < 70; i++) {
            byte[] part = Vmdks.pattern(3 * 4096, i);
            Files.write(directory.resolve("part" + i), part);
            text.append("RW 8 FLAT \"part" + i + "\" 16\nRW 8 FLAT \"part" + i + "\" 0\n");
            System.arraycopy(part, 8192, expected, i * 8192, 4096);
            System.arraycopy(part, 0, expected, i * 8192 + 4096, 4096);
        }
        Path image = Files.writeString(directory.resolve("image.vmdk"), text + "RW 32 ZERO\n");
        try (var opened = DiskImages.open(image, new DiskImages.Options(DiskImages.Access.WRITE, null, List.of()))) {
            DiskImage disk = opened.image();
            assertArrayEquals(expected, Vmdks.guest(disk));
            Deallocation plan = disk.plan(Vmdks.request(ReclaimMode.DEALLOCATE, kib(2, 20, 560, 570)));
            assertEquals(kib(4, 20), plan.reclaimable());
            disk.apply(plan, Progress.NONE);
            Vmdks.assertLive(expected, Vmdks.guest(disk), kib(4, 20), plan.reclaimable());
        }
        Files.writeString(image, text + "RW 8 FLAT \"part0\" 12\n");
        CorruptException refused = assertThrows(CorruptException.class, () -> Vmdks.open(image, false));
        assertTrue(refused.getMessage().contains("no other extent's"), refused::getMessage);
    }

    @Test
    void extentsAreConfinedAndNeverTakenForDisks() throws IOException {
        Path inner = Files.createDirectory(directory.resolve("inner"));
        Vmdks.pattern(directory.resolve("secret"), 8192, 1);
        String head = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n";
        Path image = Files.writeString(inner.resolve("disk.vmdk"), head + "RW 16 FLAT \"../secret\" 0\n");
        var options = new DiskImages.Options(DiskImages.Access.WRITE, null, List.of());
        assertThrows(UnsafeException.class, () -> DiskImages.open(image, options));
        Vmdks.pattern(inner.resolve("disk-flat.vmdk"), 8192, 1);
        Files.writeString(image, head + "RW 16 FLAT \"disk-flat.vmdk\" 0\n");
        UnsupportedException refused = assertThrows(UnsupportedException.class,
                () -> DiskImages.open(inner.resolve("disk-flat.vmdk"), options));
        assertTrue(refused.getMessage().endsWith("give the descriptor that names it, disk.vmdk"), refused::getMessage);
        Files.writeString(image, head + "RW 16 FLAT \"other-flat.vmdk\" 0\n");
        try (var opened = DiskImages.open(inner.resolve("disk-flat.vmdk"), options)) {
            assertEquals("raw", opened.image().format(), "nobody names it");
        }
        for (String magic : List.of("COWD", "\u00BE\u00BA\u00FE\u00CA\0\0\0\0")) {
            Path bare = Files.write(inner.resolve("bare"), Arrays.copyOf(magic.getBytes(StandardCharsets.ISO_8859_1), 8192));
            refused = assertThrows(UnsupportedException.class, () -> DiskImages.open(bare, options));
            assertTrue(refused.getMessage().contains("give the descriptor"), refused::getMessage);
        }
        assertFalse(Files.exists(inner.resolve("disk.vmdk.lacuna-journal")));
    }

    @Test
    void descriptorsAreRead() throws IOException {
        VmdkDescriptor read = VmdkDescriptor.parse(("# comment\r\nversion = 1\r\nCID=FFFFFFFE\r\nparentCID=0a\r\n"
                + "parentFileNameHint=\"b\u00e4se.vmdk\"\r\nRW\t16 flat \"a b.vmdk\" 3\nRDONLY 8 ZERO\n\0junk")
                .getBytes(StandardCharsets.UTF_8));
        assertEquals(0xFFFFFFFEL, read.cid());
        assertEquals(10, read.parentCid());
        assertEquals("b\u00e4se.vmdk", read.parentName());
        assertEquals(List.of(new DescriptorExtent(DescriptorExtent.Access.RW, 8192, DescriptorExtent.Kind.FLAT, "a b.vmdk", 1536),
                new DescriptorExtent(DescriptorExtent.Access.RDONLY, 4096, DescriptorExtent.Kind.ZERO, null, 0)), read.extents());
        String head = "version=1\nCID=1\n";
        for (String wrong : List.of("CID=1\n", "version=4\nCID=1\n", "version=1\n", "version=1\nCID=123456789\n",
                "version=1\nCID=x\n",
                head + "CID=2\n", head + "RW 8 FLAT\n", head + "RW 0 FLAT \"a\" 0\n", head + "RW 8 ZERO \"a\"\n",
                head + "RW 8 SPARSE \"a\" 5\n", head + "RW 8 VMFSRDM \"a\"\n", head + "RW 9999999999999999 FLAT \"a\" 0\n",
                head + "RW -8 FLAT \"a\" 0\n", head + "RW 8 FLAT \"a 0\n", "")) {
            assertThrows(DiskFormatException.class, () -> VmdkDescriptor.parse(wrong.getBytes(StandardCharsets.UTF_8)), wrong);
        }
    }
}
