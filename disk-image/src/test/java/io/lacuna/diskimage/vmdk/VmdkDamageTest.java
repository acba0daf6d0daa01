package io.lacuna.diskimage.vmdk;

import static io.lacuna.diskimage.vmdk.Vmdks.kib;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Damages every byte of every structure: the image is refused, or what is live stays as it was. */
class VmdkDamageTest {

    private static final ExtentSet FREE = kib(4, 30, 64, 100, 101, 103, 140, 148);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    /** Bytes of a disk that are compared: damage can make it look huge. */
    private static final int READ = 256 << 10;
    private int accepted;

    /** Damages one file of an image; the other one, if there is one, is as it was made. */
    private static final class Pair implements ImageLinks {
        private final MemoryHostFile file;
        private final MemoryHostFile data;

        Pair(Path path, byte[] bytes, byte[] dataBytes) {
            this.file = new MemoryHostFile(path, bytes.clone());
            this.data = dataBytes == null ? null : new MemoryHostFile(path.resolveSibling("data"), dataBytes.clone());
        }

        DiskImage open() throws IOException {
            return Vmdks.FORMAT.open(file, this);
        }

        @Override
        public DiskImage openBacking(String name, String format) throws IOException {
            throw new NoSuchFileException(name);
        }

        @Override
        public HostFile openDataFile(String name) throws IOException {
            if (data == null) {
                throw new NoSuchFileException(name);
            }
            return data;
        }

        long changes() {
            return file.changes() + (data == null ? 0 : data.changes());
        }
    }

    private static byte[] read(DiskImage disk) {
        try {
            BlockSource guest = disk.guest();
            ByteBuffer content = ByteBuffer.allocate((int) Math.min(guest.size(), READ));
            guest.read(0, content);
            return content.array();
        } catch (IOException refused) {
            return null;
        }
    }

    private void assertRightOrRefused(byte[] bytes, byte[] data, ReclaimMode mode, String what) {
        Pair pair = new Pair(directory.resolve("image.vmdk"), bytes, data);
        byte[] before = null;
        try (DiskImage disk = pair.open()) {
            before = read(disk);
            Deallocation plan = disk.plan(Vmdks.request(mode, FREE));
            disk.apply(plan, Progress.NONE);
            accepted++;
            byte[] after = read(disk);
            if (before != null) {
                assertTrue(after != null, () -> what + ": no longer readable");
                Vmdks.assertAccounts(plan, FREE);
                Vmdks.assertLive(before, after, FREE, ExtentSet.EMPTY);
            }
            try (DiskImage again = new Pair(directory.resolve("image.vmdk"), pair.file.bytes(),
                    data == null ? null : pair.data.bytes()).open()) {
                assertTrue(before == null || Arrays.equals(after, read(again)), () -> what + ": opened anew");
            }
        } catch (IOException refused) {
            assertEquals(0, pair.changes(), () -> what + ": refused, but changed: " + refused);
        } catch (RuntimeException | Error e) {
            throw new AssertionError(what, e);
        }
    }

    @ParameterizedTest
    @EnumSource(ReclaimMode.class)
    void flippedBytesOfSparseFiles(ReclaimMode mode) throws IOException {
        byte[] intact = Files.readAllBytes(SmallGrains.make(directory.resolve("image.vmdk"), 0, true));
        // Each byte of the fields; of what is mostly zeros some. The two modes that share most of their way get half of it.
        int[] places = IntStream.range(0, 17 * 512).filter(at -> at < 80 || at < 2048 && at % 29 == 0
                || at >= 2048 && at % 512 < (at < 3072 ? 8 : at % 2048 < 512 ? 160 : 0) || at % 211 == 0)
                .filter(at -> mode == ReclaimMode.COMPACT || at % 2 == 0 || at < 80).toArray();
        flip(intact, null, places, mode);
        assertTrue(accepted > 50, "some damage does not matter: " + accepted);
    }

    private void flip(byte[] file, byte[] descriptor, int[] places, ReclaimMode mode) {
        assertTimeoutPreemptively(Duration.ofSeconds(240), () -> {
            for (int at : places) {
                for (int mask : new int[] {0x80, 1 << at % 7}) {
                    byte[] damaged = file.clone();
                    damaged[at] ^= (byte) mask;
                    assertRightOrRefused(descriptor == null ? damaged : descriptor, descriptor == null ? null : damaged, mode,
                            "byte " + at + " ^ " + mask);
                }
            }
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"cowd", "sesparse"})
    void flippedBytesOfEsxFiles(String kind) throws IOException {
        byte[] descriptor = Files.readAllBytes(EsxImages.make(directory, kind));
        byte[] file = Files.readAllBytes(directory.resolve(kind.equals("cowd") ? "image-delta.vmdk" : "image-sesparse.vmdk"));
        flip(file, descriptor, IntStream.range(0, kind.equals("cowd") ? 60 : 420).filter(at -> at % 3 == 0).toArray(),
                ReclaimMode.DEALLOCATE);
        int table = kind.equals("cowd") ? 8 * 512 : 128 * 512;
        assertTimeoutPreemptively(Duration.ofSeconds(240), () -> {
            for (int at = table; at < table + 40; at++) {
                byte[] damaged = file.clone();
                damaged[at] ^= (byte) 0xFF;
                assertRightOrRefused(descriptor, damaged, ReclaimMode.PUNCH, "byte " + at);
            }
        });
        for (int at = 0; at < descriptor.length; at++) {
            byte[] damaged = descriptor.clone();
            damaged[at] ^= (byte) (1 << at % 8);
            if (at % 5 == 0) {
                assertRightOrRefused(damaged, file, ReclaimMode.PUNCH, "byte " + at + " of the descriptor");
            }
        }
        assertTrue(accepted > 20, "some damage does not matter: " + accepted);
    }

    @Test
    void flippedBytesOfStreamsAreReadOrRefused() throws IOException {
        Tools.require("qemu-img");
        Vmdks.pattern(directory.resolve("model"), 300 << 10, 6);
        Tools.shell("cd \"$1\"; dd if=/dev/zero of=model bs=64k count=2 seek=1 conv=notrunc status=none\n"
                + "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized model image.vmdk", directory);
        byte[] intact = Files.readAllBytes(directory.resolve("image.vmdk"));
        byte[] right = Arrays.copyOf(Vmdks.content(directory.resolve("image.vmdk")), READ);
        int[] same = {0};
        assertTimeoutPreemptively(Duration.ofSeconds(240), () -> {
            for (int at = 0; at < intact.length; at += at < 80 ? 1 : 499) {
                byte[] damaged = intact.clone();
                damaged[at] ^= (byte) (1 << at % 8);
                try (DiskImage disk = new Pair(directory.resolve("image.vmdk"), damaged, null).open()) {
                    same[0] += Arrays.equals(right, read(disk)) ? 1 : 0;
                } catch (IOException refused) {
                    assertTrue(refused.getMessage().length() > 10);
                }
            }
        });
        assertTrue(same[0] > 20);
    }

    @Test
    void truncatedFilesAreRightOrRefused() throws IOException {
        byte[] intact = Files.readAllBytes(SmallGrains.make(directory.resolve("image.vmdk"), 0, false));
        assertTimeoutPreemptively(Duration.ofSeconds(240), () -> {
            for (int length = 0; length < intact.length; length += length < 80 ? 1 : 509) {
                assertRightOrRefused(Arrays.copyOf(intact, length), null, ReclaimMode.COMPACT, "length " + length);
            }
        });
        byte[] descriptor = Files.readAllBytes(EsxImages.make(directory, "cowd"));
        byte[] file = Files.readAllBytes(directory.resolve("image-delta.vmdk"));
        for (int length = 0; length < descriptor.length; length += 3) {
            assertRightOrRefused(Arrays.copyOf(descriptor, length), file, ReclaimMode.PUNCH, "descriptor of " + length);
        }
        for (int length = 0; length < file.length; length += length < 4200 ? 173 : 1 << 20) {
            assertRightOrRefused(descriptor, Arrays.copyOf(file, length), ReclaimMode.PUNCH, "length " + length);
        }
    }
}
