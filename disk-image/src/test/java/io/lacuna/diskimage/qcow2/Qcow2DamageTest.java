package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.Images.kib;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.HostFile;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Damages every byte of every table: the image is refused, or what is live stays as it was. */
class Qcow2DamageTest {

    private static final ExtentSet FREE = kib(8, 30, 64, 100, 101, 103, 124, 136);
    private static final String DATA_NAME = "data.bin";

    /** What is damaged. Neither version 2 nor a data file goes with all that an image can have. */
    private enum Kind {
        ZLIB(4096, "cluster_size=4k", true, true, true),
        ZSTD(4096, "cluster_size=4k,compression_type=zstd", true, true, true),
        VERSION_2(4096, "cluster_size=4k,compat=0.10", true, true, false),
        EXTENDED_L2(16384, "cluster_size=16k,extended_l2=on", true, true, true),
        DATA_FILE(4096, "cluster_size=4k,data_file=" + DATA_NAME, false, false, true);

        private final int cluster;
        private final String options;
        private final boolean compressed;
        private final boolean snapshot;
        private final boolean bitmap;

        Kind(int cluster, String options, boolean compressed, boolean snapshot, boolean bitmap) {
            this.cluster = cluster;
            this.options = options;
            this.compressed = compressed;
            this.snapshot = snapshot;
            this.bitmap = bitmap;
        }
    }

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private byte[] intact;
    private byte[] intactData;
    private int accepted;

    /** A snapshot, a bitmap, compressed, zero, shared and private clusters in 160 KiB, as far as the kind has them. */
    private void make(Kind kind) throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Images.pattern(directory.resolve("model.raw"), 160 << 10, 3);
        Tools.shell("cd \"$1\"; seq 1 8000 | dd of=model.raw bs=1k seek=120 conv=notrunc status=none\n"
                + "qemu-img convert " + (kind.compressed ? "-c " : "") + "-f raw -O qcow2 -o \"$2\" model.raw image.qcow2\n"
                + (kind.snapshot ? "qemu-img snapshot -c one image.qcow2\n" : "")
                + (kind.bitmap ? "qemu-img bitmap --add -g 4k image.qcow2 dirty\n" : "")
                + "qemu-io -f qcow2 -c 'write -P 1 20k 60k' -c 'write -z 90k 10k' image.qcow2", directory, kind.options);
        intact = Files.readAllBytes(directory.resolve("image.qcow2"));
        intactData = kind == Kind.DATA_FILE ? Files.readAllBytes(directory.resolve(DATA_NAME)) : new byte[0];
        assertTrue(read(intact, intactData) != null, "the intact image is read");
    }

    /** Opens with files in memory; whatever else a damaged name may lead to is refused in words. */
    private static DiskImage open(MemoryHostFile file, MemoryHostFile data) throws IOException {
        return Images.FORMAT.open(file, new ImageLinks() {
            @Override
            public DiskImage openBacking(String name, String format) throws IOException {
                throw new UnsupportedException("a backing file: " + name);
            }

            @Override
            public HostFile openDataFile(String name) throws IOException {
                if (!name.equals(DATA_NAME)) {
                    throw new UnsupportedException("a data file: " + name);
                }
                return data;
            }
        });
    }

    private MemoryHostFile memory(String name, byte[] bytes) {
        return new MemoryHostFile(directory.resolve(name), bytes.clone());
    }

    private byte[] read(byte[] bytes, byte[] data) {
        try (DiskImage disk = open(memory("image.qcow2", bytes), memory(DATA_NAME, data))) {
            ByteBuffer content = ByteBuffer.allocate((int) Math.min(disk.virtualSize(), 1 << 20));
            disk.guest().read(0, content);
            return content.array();
        } catch (DiskFormatException refused) {
            return null;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The same image with the snapshot's L1 table as the active one. */
    private byte[] readSnapshot(byte[] bytes) {
        byte[] other = bytes.clone();
        ByteBuffer fields = ByteBuffer.wrap(other);
        long table = other.length < 112 ? -1 : fields.getLong(64);
        if (table < 0 || table > other.length - 16) {
            return null;
        }
        fields.putLong(40, fields.getLong((int) table));
        fields.putInt(36, fields.getInt((int) table + 8));
        fields.putInt(60, 0);
        return read(other, intactData);
    }

    private void assertRightOrRefused(byte[] bytes, String what) {
        assertRightOrRefused(bytes, Images.request(FREE), what);
        assertRightOrRefused(bytes, Qcow2CompactionTest.request(FREE), what + ", compacting");
    }

    private void assertRightOrRefused(byte[] bytes, DeallocationRequest request, String what) {
        MemoryHostFile file = memory("image.qcow2", bytes);
        MemoryHostFile data = memory(DATA_NAME, intactData);
        Deallocation plan = null;
        byte[] before;
        byte[] snapshot;
        try (DiskImage disk = open(file, data)) {
            plan = disk.plan(request);
            disk.apply(plan, Progress.NONE);
        } catch (DiskFormatException refused) {
            assertEquals(0, file.changes() + data.changes(), () -> what + ": refused, but changed");
            return;
        } catch (IOException | RuntimeException | Error e) {
            throw new AssertionError(what, e);
        }
        accepted++;
        try {
            before = read(bytes, intactData);
            snapshot = readSnapshot(bytes);
        } catch (RuntimeException e) {
            throw new AssertionError(what, e);
        }
        byte[] after = read(file.bytes(), data.bytes());
        if (before != null) {
            assertTrue(after != null, () -> what + ": no longer readable");
            Images.assertAccounts(plan, FREE);
            Images.assertLive(before, after, FREE, ExtentSet.EMPTY);
        }
        if (snapshot != null) {
            assertEquals(-1, java.util.Arrays.mismatch(snapshot, readSnapshot(file.bytes())),
                    () -> what + ": the snapshot changed");
        }
    }

    @ParameterizedTest
    @EnumSource
    void flippedBytesAreRightOrRefused(Kind kind) throws IOException {
        make(kind);
        // Tables: every cluster but those that hold nothing but the pattern, which has no byte 0.
        Assertions.assertTimeoutPreemptively(Duration.ofSeconds(120), () -> {
            for (int at = 0; at < intact.length; at++) {
                int cluster = at / kind.cluster;
                boolean table = false;
                for (int i = cluster * kind.cluster; i < Math.min(intact.length, (cluster + 1) * kind.cluster); i++) {
                    table |= intact[i] == 0;
                }
                int within = at % kind.cluster;
                if (!table || within > 104 && within % 5 != 0 || within > 328 && within % 97 != 0) {
                    continue;
                }
                int mask = at % 3 == 0 ? 0xFF : 1 << (at / 8 + at) % 8;
                byte[] damaged = intact.clone();
                damaged[at] ^= (byte) mask;
                assertRightOrRefused(damaged, "byte " + at + " ^ " + mask);
            }
        });
        assertTrue(accepted > 100, "some damage does not matter: " + accepted);
    }

    @ParameterizedTest
    @EnumSource
    void truncatedFilesAreRightOrRefused(Kind kind) throws IOException {
        make(kind);
        Assertions.assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            for (int length = 0; length < intact.length; length += length < 300 ? 1 : 1021) {
                assertRightOrRefused(java.util.Arrays.copyOf(intact, length), "length " + length);
            }
        });
    }
}
