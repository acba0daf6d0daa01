package io.lacuna.diskimage.vdi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.fixtures.PlainHostFile;
import io.lacuna.fixtures.Tools;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class VdiGuestTest {

    private static final long FREE = VdiBuilder.FREE;
    private static final long ZERO = VdiBuilder.ZERO;

    @TempDir
    Path directory;

    private static void assertReads(byte[] expected, DiskImage disk) throws IOException {
        assertArrayEquals(expected, VdiImages.guest(disk));
        Random random = new Random(5);
        for (int i = 0; i < 300; i++) {
            int from = random.nextInt(expected.length);
            int to = from + random.nextInt(expected.length - from) + 1;
            ByteBuffer bytes = i % 2 == 0 ? ByteBuffer.allocate(to - from) : ByteBuffer.allocateDirect(to - from);
            disk.guest().prefetch(from, to - from);
            disk.guest().read(from, bytes);
            assertFalse(bytes.hasRemaining());
            assertEquals(ByteBuffer.wrap(expected, from, to - from), bytes.flip());
        }
        assertThrows(EOFException.class, () -> disk.guest().read(expected.length - 1, ByteBuffer.allocate(2)));
    }

    @Test
    void readsWhatQemuWrote() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path image = directory.resolve("disk.vdi");
        Tools.shell("qemu-img create -q -f vdi \"$1\" 9437184\n"
                + "qemu-io -f vdi -c 'write -P 7 3M 2M' -c 'write -P 9 512k 100k' -c 'write -P 3 8M 1M' \"$1\" > /dev/null", image);
        try (DiskImage disk = VdiImages.open(image, false)) {
            assertEquals("vdi", disk.format());
            assertEquals(1 << 20, disk.blockSize());
            assertReads(VdiImages.qemu(image), disk);
        }
    }

    @Test
    void readsFixedImagesOfQemu() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Path image = directory.resolve("disk.vdi");
        Tools.shell("qemu-img create -q -f vdi -o static=on \"$1\" 3145728\nqemu-io -f vdi -c 'write -P 7 1M 50k' \"$1\" > "
                + "/dev/null",
                image);
        try (DiskImage disk = VdiImages.open(image, false)) {
            assertReads(VdiImages.qemu(image), disk);
        }
    }

    @Test
    void readsHolesAndSlotsBeyondTheNumberOfBlocks() throws IOException {
        VdiBuilder builder = VdiBuilder.of(4096, 6 * 4096 - 1024, 9, FREE, 4, ZERO, 5, 17);
        try (DiskImage disk = VdiImages.open(builder.write(directory.resolve("holes.vdi")), false)) {
            assertReads(builder.content(null), disk);
        }
    }

    @Test
    void readsBlocksFromTheParentAndZerosDespiteIt() throws IOException {
        VdiBuilder base = VdiBuilder.of(4096, 6 * 4096, 2, 1, FREE, ZERO, 0, 3);
        VdiBuilder child = VdiBuilder.of(8192, 7 * 4096, FREE, 0, ZERO, FREE).childOf(base);
        VdiBuilder grandchild = VdiBuilder.of(4096, 7 * 4096, FREE, 0, FREE, FREE, FREE, FREE, 1).childOf(child);
        base.write(directory.resolve("base.vdi"));
        child.write(directory.resolve("child.vdi"));
        byte[] baseContent = base.content(null);
        byte[] childContent = child.content(baseContent);
        try (DiskImage disk = VdiImages.open(grandchild.write(directory.resolve("grandchild.vdi")), false)) {
            assertReads(grandchild.content(childContent), disk);
            assertEquals(3, disk.layers().size());
            assertEquals("backing", disk.layers().get(2).role());
        }
    }

    @Test
    void refusesASlotBehindTheEndOfTheFile() throws IOException {
        VdiBuilder builder = VdiBuilder.of(4096, 3 * 4096, 0, 1, 5);
        builder.slots = 2;
        try (DiskImage disk = VdiImages.open(builder.write(directory.resolve("short.vdi")), false)) {
            byte[] start = new byte[8192];
            disk.guest().read(0, ByteBuffer.wrap(start));
            assertArrayEquals(Arrays.copyOfRange(builder.bytes(), 1024, 1024 + 8192), start);
            CorruptException refusal = assertThrows(CorruptException.class,
                    () -> disk.guest().read(8000, ByteBuffer.allocate(1000)));
            assertEquals(512 + 8, refusal.offset());
            assertTrue(refusal.getMessage().contains("short.vdi"), refusal.getMessage());
        }
    }

    @Test
    void isToldByItsSignature() throws IOException {
        Path image = VdiBuilder.of(4096, 4096, 0).write(directory.resolve("disk.img"));
        try (PlainHostFile file = new PlainHostFile(image, false)) {
            assertTrue(VdiImages.FORMAT.recognises(file));
        }
        Files.write(image, new byte[67]);
        try (PlainHostFile file = new PlainHostFile(image, false)) {
            assertFalse(VdiImages.FORMAT.recognises(file));
        }
        Files.write(image, new byte[100]);
        try (PlainHostFile file = new PlainHostFile(image, false)) {
            assertFalse(VdiImages.FORMAT.recognises(file));
        }
    }
}
