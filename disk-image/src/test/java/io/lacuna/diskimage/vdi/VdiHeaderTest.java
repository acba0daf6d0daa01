package io.lacuna.diskimage.vdi;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.ByteArraySource;
import io.lacuna.fixtures.MemoryHostFile;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;

class VdiHeaderTest {

    private static final VdiBuilder IMAGE = VdiBuilder.of(4096, 5 * 4096 - 512, 1, VdiBuilder.FREE, 0, VdiBuilder.ZERO, 2);

    private static ByteBuffer image() {
        return ByteBuffer.wrap(IMAGE.bytes()).order(ByteOrder.LITTLE_ENDIAN);
    }

    private static VdiHeader parse(ByteBuffer image) throws IOException {
        return VdiHeader.parse(new ByteArraySource(image.array()));
    }

    @Test
    void readsAllFields() throws IOException {
        VdiBuilder child = VdiBuilder.of(4096, 5 * 4096 - 512, 1, VdiBuilder.FREE, 0, VdiBuilder.ZERO, 2).childOf(IMAGE);
        assertEquals(new VdiHeader(VdiHeader.Type.DIFFERENCING, 512, 1024, 5 * 4096 - 512, 4096, 5, 3, child.id,
                child.modification, IMAGE.id, IMAGE.modification), VdiHeader.parse(new ByteArraySource(child.bytes())));
    }

    @Test
    void roundsAnOddDiskSizeDownToSectors() throws IOException {
        assertEquals(4 * 4096, parse(image().putLong(368, 4 * 4096 + 511)).virtualSize());
    }

    private static <T extends DiskFormatException> void refuses(Class<T> kind, String field, long offset,
            Consumer<ByteBuffer> damage) {
        ByteBuffer image = image();
        damage.accept(image);
        T refusal = assertThrows(kind, () -> parse(image));
        assertTrue(refusal.what().contains(field), refusal.getMessage());
        assertEquals(offset, refusal.offset(), refusal.getMessage());
    }

    @Test
    void refusesEachFieldThatIsWrong() {
        refuses(CorruptException.class, "signature", 64, image -> image.putInt(64, 1));
        refuses(UnsupportedException.class, "version", 68, image -> image.putInt(68, 0x10002));
        refuses(UnsupportedException.class, "version", 68, image -> image.putInt(68, 2));
        refuses(CorruptException.class, "size", 72, image -> image.putInt(72, 0x17F));
        refuses(CorruptException.class, "type", 76, image -> image.putInt(76, 0));
        refuses(CorruptException.class, "type", 76, image -> image.putInt(76, 5));
        refuses(UnsupportedException.class, "type", 76, image -> image.putInt(76, 3));
        refuses(CorruptException.class, "parent", 424, image -> image.putInt(76, 4));
        refuses(CorruptException.class, "parent", 424, image -> image.putInt(430, 4));
        refuses(CorruptException.class, "block map", 340, image -> image.putInt(340, 455));
        refuses(UnsupportedException.class, "offsets", 340, image -> image.putInt(340, 516));
        refuses(CorruptException.class, "data", 344, image -> image.putInt(344, 512 + 19));
        refuses(UnsupportedException.class, "offsets", 340, image -> image.putInt(344, 1028));
        refuses(CorruptException.class, "data", 344, image -> image.putInt(344, 0x7FFF_FE00));
        refuses(UnsupportedException.class, "sector size", 360, image -> image.putInt(360, 4096));
        refuses(CorruptException.class, "size of the disk", 368, image -> image.putLong(368, 0));
        refuses(CorruptException.class, "size of the disk", 368, image -> image.putLong(368, 5 * 4096 + 512));
        refuses(CorruptException.class, "64-bit", 368, image -> image.putLong(368, -1));
        refuses(CorruptException.class, "block size", 376, image -> image.putInt(376, 0));
        refuses(CorruptException.class, "block size", 376, image -> image.putInt(376, 4097));
        refuses(CorruptException.class, "block size", 376, image -> image.putInt(376, 256));
        refuses(UnsupportedException.class, "block size", 376, image -> image.putInt(376, 1 << 31));
        refuses(UnsupportedException.class, "extra", 380, image -> image.putInt(380, 512));
        refuses(CorruptException.class, "size of the disk", 368, image -> image.putInt(384, 0));
        refuses(CorruptException.class, "data", 344, image -> image.putInt(384, 1 << 28));
        refuses(UnsupportedException.class, "number of blocks", 384, image -> image.putInt(384, -1));
    }

    /** Reads the disk, then runs every mode: right, or refused; never anything else. */
    private static void exercise(byte[] bytes, String where) {
        for (ReclaimMode mode : ReclaimMode.values()) {
            assertDoesNotThrow(() -> {
                try (DiskImage disk = VdiImages.FORMAT.open(new MemoryHostFile(Path.of("/nowhere/image.vdi"), bytes.clone()),
                        null)) {
                    byte[] before = disk.virtualSize() > 1 << 20 ? null : VdiImages.guest(disk);
                    ExtentSet free = ExtentSet.ofRange(0, 8192).intersect(ExtentSet.ofRange(0, disk.virtualSize()));
                    var plan = disk.plan(VdiImages.request(mode, free));
                    if (before != null && mode == ReclaimMode.PUNCH) {
                        disk.apply(plan, Progress.NONE);
                        VdiImages.assertLive(before, VdiImages.guest(disk), free, plan.reclaimable(), where);
                    }
                } catch (DiskFormatException | EOFException refused) {
                    assertTrue(refused.getMessage() != null);
                }
            }, where);
        }
    }

    @Test
    void everyTruncatedImageIsReadOrRefused() {
        byte[] bytes = IMAGE.bytes();
        for (int length = 0; length < bytes.length; length += length < 1100 ? 1 : 97) {
            exercise(Arrays.copyOf(bytes, length), "cut at " + length);
        }
    }

    @Test
    void everyFlippedByteIsReadOrRefused() {
        byte[] bytes = IMAGE.bytes();
        for (int at = 0; at < 1024 + 16; at++) {
            for (int bits : new int[] {0x01, 0x80, 0xFF}) {
                byte[] damaged = bytes.clone();
                damaged[at] ^= (byte) bits;
                exercise(damaged, "byte " + at + " xor " + bits);
            }
        }
    }

    @Test
    void refusesAMapThatIsLargerThanTheFileBeforeItIsRead() {
        ByteBuffer image = image().putInt(384, 1 << 27).putInt(344, 0x3000_0000);
        assertThrows(CorruptException.class, () -> VdiImages.FORMAT.open(new MemoryHostFile(Path.of("x"), image.array()), null));
    }
}
