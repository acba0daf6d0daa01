package io.lacuna.diskimage.vhd;

import static io.lacuna.diskimage.vhd.Runs.kib;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.BitSet;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Damages every byte of every structure: the image is refused, or what is live stays as it was. */
class VhdDamageTest {

    private static final ExtentSet FREE = kib(8, 30, 32, 50, 64, 81);
    private static final ReclaimMode[] MODES = ReclaimMode.values();

    @TempDir(factory = MemoryTempDir.class)
    Path directory;
    private byte[] dynamic;
    private byte[] differencing;
    private byte[] fixed;
    private int accepted;

    @BeforeEach
    void make() throws IOException {
        byte[] content = VhdMaker.pattern(6 * 16384 + 1024, 1);
        VhdMaker maker = VhdMaker.dynamic(content, 3, 0, 2, 6, 4, 1);
        maker.spareEntries = 2;
        dynamic = maker.bytes();
        maker.write(directory.resolve("base.vhd"));
        BitSet own = new BitSet();
        own.set(5, 150);
        differencing = VhdMaker.differencing("base.vhd", VhdMaker.pattern(content.length, 2), own, 4, 0, 2, 1).bytes();
        fixed = Arrays.copyOf(content, content.length + 512);
        System.arraycopy(VhdMaker.footer(2, "win ", content.length, new byte[16]).array(), 0, fixed, content.length, 512);
    }

    private DiskImage open(MemoryHostFile file) throws IOException {
        return Runs.FORMAT.open(file, new NearbyLinks(directory, Runs.FORMAT, false));
    }

    private byte[] read(byte[] bytes) {
        try (DiskImage disk = open(new MemoryHostFile(directory.resolve("image.vhd"), bytes.clone()))) {
            ByteBuffer content = ByteBuffer.allocate((int) Math.min(disk.virtualSize(), 1 << 18));
            disk.guest().read(0, content);
            return content.array();
        } catch (IOException refused) {
            return null;
        } catch (RuntimeException | Error e) {
            throw new AssertionError("reading", e);
        }
    }

    private void assertRightOrRefused(byte[] bytes, ReclaimMode mode, String what) {
        byte[] before = read(bytes);
        MemoryHostFile file = new MemoryHostFile(directory.resolve("image.vhd"), bytes.clone());
        Deallocation plan;
        try (DiskImage disk = open(file)) {
            plan = disk.plan(Runs.request(FREE, mode));
            disk.apply(plan, Progress.NONE);
        } catch (IOException refused) {
            assertEquals(0, file.changes(), () -> what + ": refused, but changed");
            return;
        } catch (RuntimeException | Error e) {
            throw new AssertionError(what, e);
        }
        accepted++;
        Runs.assertAccounts(plan, FREE);
        if (before != null) {
            byte[] after = read(file.bytes());
            assertTrue(after != null, () -> what + ": no longer readable");
            Runs.assertLive(before, after, FREE, ExtentSet.EMPTY);
        }
    }

    @Test
    void intactImagesAreAccepted() {
        for (byte[] intact : new byte[][] {dynamic, differencing, fixed}) {
            for (ReclaimMode mode : MODES) {
                accepted = 0;
                assertRightOrRefused(intact, mode, "intact");
                assertEquals(1, accepted, mode.name());
            }
        }
    }

    /** Makes the checksums right again, so that the damage gets as far as it can. */
    static byte[] sealed(byte[] bytes) {
        byte[] copy = bytes.clone();
        seal(copy, copy.length - 512, 512, 64);
        if (copy[0] == 'c') {
            seal(copy, 0, 512, 64);
            seal(copy, 512, 1024, 36);
        }
        return copy;
    }

    private static void seal(byte[] bytes, int at, int length, int checksum) {
        ByteBuffer part = VhdMaker.seal(ByteBuffer.wrap(Arrays.copyOfRange(bytes, at, at + length)), checksum);
        System.arraycopy(part.array(), 0, bytes, at, length);
    }

    private void damage(byte[] intact, int from, int to, String kind) {
        for (int at = from; at < to; at++) {
            for (int mask : new int[] {1, 0x80, 0xFF, 1 << at % 7 + 1}) {
                byte[] damaged = intact.clone();
                damaged[at] ^= (byte) mask;
                String what = kind + ", byte " + at + " ^ " + mask;
                ReclaimMode mode = MODES[(at + mask) % 3];
                assertRightOrRefused(damaged, mode, what);
                assertRightOrRefused(sealed(damaged), mode, what + ", sealed");
                if (at < 512 && kind.charAt(0) == 'd') {
                    damaged[intact.length - 512 + at] ^= (byte) mask;
                    assertRightOrRefused(sealed(damaged), mode, what + ", both, sealed");
                }
            }
        }
    }

    @Test
    void flippedBytesAreRightOrRefused() {
        Assertions.assertTimeoutPreemptively(Duration.ofSeconds(120), () -> {
            damage(dynamic, 0, 100, "dynamic");
            damage(dynamic, 512, 512 + 70, "dynamic");
            damage(dynamic, VhdMaker.TABLE, VhdMaker.TABLE + 40, "dynamic");
            damage(dynamic, dynamic.length - 512, dynamic.length - 410, "dynamic");
            damage(differencing, 512, 512 + 90, "differencing");
            damage(differencing, 512 + 576, 512 + 626, "differencing");
            damage(differencing, VhdMaker.TABLE, VhdMaker.TABLE + 28, "differencing");
            damage(differencing, VhdMaker.TABLE + 512, VhdMaker.TABLE + 530, "differencing");
            damage(fixed, fixed.length - 512, fixed.length - 410, "fixed");
        });
        assertTrue(accepted > 100, "some damage does not matter: " + accepted);
    }

    @Test
    void truncatedFilesAreRightOrRefused() {
        Assertions.assertTimeoutPreemptively(Duration.ofSeconds(60), () -> {
            for (byte[] intact : new byte[][] {dynamic, differencing, fixed}) {
                for (int length = 0; length < intact.length; length += length < 2100 && length % 512 < 3 ? 1 : 509) {
                    for (ReclaimMode mode : MODES) {
                        assertRightOrRefused(Arrays.copyOf(intact, length), mode, "length " + length);
                    }
                }
            }
        });
    }
}
