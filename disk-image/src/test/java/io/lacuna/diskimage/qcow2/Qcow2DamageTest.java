package io.lacuna.diskimage.qcow2;

import static io.lacuna.diskimage.qcow2.Images.kib;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DeallocationRequest;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import io.lacuna.fixtures.Tools;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Damages every byte of every table: the image is refused, or what is live stays as it was. */
class Qcow2DamageTest {

    private static final ExtentSet FREE = kib(8, 30, 64, 100, 101, 103, 124, 136);
    private static final int CLUSTER = 4096;

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private byte[] intact;
    private int accepted;

    /** A snapshot, a bitmap, compressed, zero, shared and private clusters in 160 KiB. */
    @BeforeEach
    void make() throws IOException {
        Tools.require("qemu-img", "qemu-io");
        Images.pattern(directory.resolve("model.raw"), 160 << 10, 3);
        Tools.shell("cd \"$1\"; seq 1 8000 | dd of=model.raw bs=1k seek=120 conv=notrunc status=none\n"
                + "qemu-img convert -c -f raw -O qcow2 -o cluster_size=4k model.raw image.qcow2\n"
                + "qemu-img snapshot -c one image.qcow2; qemu-img bitmap --add -g 4k image.qcow2 dirty\n"
                + "qemu-io -f qcow2 -c 'write -P 1 20k 60k' -c 'write -z 90k 10k' image.qcow2", directory);
        intact = Files.readAllBytes(directory.resolve("image.qcow2"));
    }

    private byte[] read(byte[] bytes) {
        MemoryHostFile file = new MemoryHostFile(directory.resolve("image.qcow2"), bytes.clone());
        try (DiskImage disk = Images.FORMAT.open(file, new NearbyLinks(directory, Images.FORMAT, false))) {
            ByteBuffer content = ByteBuffer.allocate((int) Math.min(disk.virtualSize(), 1 << 20));
            disk.guest().read(0, content);
            return content.array();
        } catch (IOException refused) {
            return null;
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
        return read(other);
    }

    private void assertRightOrRefused(byte[] bytes, String what) {
        assertRightOrRefused(bytes, Images.request(FREE), what);
        assertRightOrRefused(bytes, Qcow2CompactionTest.request(FREE), what + ", compacting");
    }

    private void assertRightOrRefused(byte[] bytes, DeallocationRequest request, String what) {
        MemoryHostFile file = new MemoryHostFile(directory.resolve("image.qcow2"), bytes.clone());
        Deallocation plan = null;
        try (DiskImage disk = Images.FORMAT.open(file, new NearbyLinks(directory, Images.FORMAT, false))) {
            plan = disk.plan(request);
            disk.apply(plan, Progress.NONE);
        } catch (IOException refused) {
            assertEquals(0, file.changes(), () -> what + ": refused, but changed");
            return;
        } catch (RuntimeException | Error e) {
            throw new AssertionError(what, e);
        }
        accepted++;
        byte[] before = read(bytes);
        byte[] snapshot = readSnapshot(bytes);
        byte[] after = read(file.bytes());
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

    @Test
    void flippedBytesAreRightOrRefused() {
        // Tables: every cluster but those that hold nothing but the pattern, which has no byte 0.
        Assertions.assertTimeoutPreemptively(Duration.ofSeconds(120), () -> {
            for (int at = 0; at < intact.length; at++) {
                int cluster = at / CLUSTER;
                boolean table = false;
                for (int i = cluster * CLUSTER; i < Math.min(intact.length, (cluster + 1) * CLUSTER); i++) {
                    table |= intact[i] == 0;
                }
                int within = at % CLUSTER;
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

    @Test
    void truncatedFilesAreRightOrRefused() {
        Assertions.assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            for (int length = 0; length < intact.length; length += length < 300 ? 1 : 1021) {
                assertRightOrRefused(java.util.Arrays.copyOf(intact, length), "length " + length);
            }
        });
    }
}
