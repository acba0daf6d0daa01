package io.lacuna.engine;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ReclaimMode;
import io.lacuna.engine.ImageReport.Verdict;
import io.lacuna.engine.ReclaimOptions.Purpose;
import io.lacuna.fixtures.GuestDisk;
import io.lacuna.fixtures.GuestVolume;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What a child checks of its parent outlives every mode: places by the formats' specifications, read without our parsers. */
class KeptIdentitiesTest {

    private static final long MIB = 1 << 20;

    @TempDir
    static Path shared;

    private static GuestDisk disk;

    @TempDir
    Path directory;

    @BeforeAll
    static void makeDisk() throws IOException {
        Tools.require("qemu-img");
        disk = GuestDisk.assemble(shared.resolve("disk.raw"), "gpt", 512, GuestVolume.ext(shared, "ext", 24 * MIB, "-t ext4"));
    }

    private Path image(String format) {
        Path image = directory.resolve("parent." + format);
        Tools.ok("qemu-img", "convert", "-f", "raw", "-O", format, disk.file().toString(), image.toString());
        return image;
    }

    private static String bytes(Path file, long at, int length) throws IOException {
        try (RandomAccessFile source = new RandomAccessFile(file.toFile(), "r")) {
            byte[] bytes = new byte[length];
            source.seek(at);
            source.readFully(bytes);
            return HexFormat.of().formatHex(bytes);
        }
    }

    private static void reclaim(Path image, ReclaimMode mode) {
        ImageReport report = ReclaimRun.run(image, ReclaimRun.options(Purpose.RECLAIM).mode(mode).build());
        assertEquals(Verdict.RECLAIMED, report.verdict(), report.reason());
        assertTrue(report.plannedBytes() > MIB);
    }

    /** The unique id, in footer and copy, and the file's time, which the child's header notes. */
    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void vhdKeepsItsIdAndTime(ReclaimMode mode) throws IOException {
        Path image = image("vpc");
        Tools.shell("touch -d @1500000000 \"$1\"", image);
        String id = bytes(image, 68, 16);
        reclaim(image, mode);
        assertEquals(id, bytes(image, 68, 16));
        assertEquals(id, bytes(image, Files.size(image) - 512 + 68, 16));
        assertEquals("1500000000", Tools.ok("stat", "-c", "%Y", image.toString()).strip());
    }

    /** DataWriteGuid stays; FileWriteGuid becomes another one where tables change. */
    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void vhdxKeepsItsDataWriteGuid(ReclaimMode mode) throws IOException {
        Path image = image("vhdx");
        String before = vhdxHeader(image);
        reclaim(image, mode);
        String after = vhdxHeader(image);
        assertEquals(before.substring(64, 96), after.substring(64, 96));
        if (mode == ReclaimMode.PUNCH) {
            assertEquals(before, after);
        } else {
            assertNotEquals(before.substring(32, 64), after.substring(32, 64));
        }
    }

    /** @return the current header's first 64 bytes: signature, checksum, sequence, FileWriteGuid at 16, DataWriteGuid at 32 */
    private static String vhdxHeader(Path image) throws IOException {
        String first = bytes(image, 64 << 10, 64);
        String second = bytes(image, 128 << 10, 64);
        return sequence(first) > sequence(second) ? first : second;
    }

    private static long sequence(String header) {
        return ByteBuffer.wrap(HexFormat.of().parseHex(header)).order(ByteOrder.LITTLE_ENDIAN).getLong(8);
    }

    /** The image's own UUID and that of its last modification, and both of its parent. */
    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void vdiKeepsItsUuids(ReclaimMode mode) throws IOException {
        Path image = image("vdi");
        String ids = bytes(image, 0x188, 64);
        reclaim(image, mode);
        assertEquals(ids, bytes(image, 0x188, 64));
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void vmdkKeepsItsCidAndItsChild(ReclaimMode mode) throws IOException {
        Path image = image("vmdk");
        Path child = directory.resolve("child.vmdk");
        Tools.ok("qemu-img", "create", "-q", "-f", "vmdk", "-b", image.toString(), "-F", "vmdk", child.toString());
        String descriptor = text(image);
        reclaim(image, mode);
        assertEquals(descriptor, text(image));
        Path raw = directory.resolve("seen.raw");
        Tools.ok("qemu-img", "convert", "-f", "vmdk", "-O", "raw", child.toString(), raw.toString());
        assertEquals(List.of(), disk.differences(raw, disk.free(), disk.free().inwardTo(65536)));
    }

    private static String text(Path vmdk) throws IOException {
        String text = new String(HexFormat.of().parseHex(bytes(vmdk, 512, 1024)), StandardCharsets.ISO_8859_1);
        assertTrue(text.contains("CID="), text);
        return text;
    }

    /** Found as children by the names and ids of their own formats. */
    @Test
    void aVmdkChildIsFound() throws IOException {
        Path image = image("vmdk");
        Path child = directory.resolve("child.vmdk");
        Tools.ok("qemu-img", "create", "-q", "-f", "vmdk", "-b", image.toString(), "-F", "vmdk", child.toString());
        List<ChildImage> children = ReclaimRun.run(image, ReclaimRun.options(Purpose.INSPECT).build()).children();
        assertEquals(List.of(child.toRealPath()), children.stream().map(ChildImage::path).toList());
    }
}
