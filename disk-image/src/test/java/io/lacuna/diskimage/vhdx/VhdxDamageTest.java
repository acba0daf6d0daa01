package io.lacuna.diskimage.vhdx;

import static io.lacuna.diskimage.vhdx.VhdxMaker.BAT;
import static io.lacuna.diskimage.vhdx.VhdxMaker.FULL;
import static io.lacuna.diskimage.vhdx.VhdxMaker.METADATA;
import static io.lacuna.diskimage.vhdx.VhdxMaker.MIB;
import static io.lacuna.diskimage.vhdx.VhdxMaker.PARTIAL;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.DiskFormatException;
import io.lacuna.blockio.DiskImage;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.ImageLinks;
import io.lacuna.blockio.ReclaimMode;
import io.lacuna.fixtures.MemoryHostFile;
import io.lacuna.fixtures.MemoryTempDir;
import io.lacuna.fixtures.NearbyLinks;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Truncated and flipped images: the right answer or a refusal, never another exception; a plan never counts on damage. */
class VhdxDamageTest {

    private static final UUID GUID = new UUID(1, 2);

    @TempDir(factory = MemoryTempDir.class)
    Path directory;

    private byte[] whole;
    private ImageLinks links;

    /** A differencing disk with a log to replay, blocks of all states, and a parent. */
    private void make() throws IOException {
        try (VhdxMaker base = VhdxMaker.dynamic(directory.resolve("base.vhdx"), 8L * MIB, MIB)) {
            base.store(1, FULL, 0x11);
        }
        Path child = directory.resolve("child.vhdx");
        try (VhdxMaker maker = VhdxMaker.child(child, 8L * MIB, MIB, 512, "base.vhdx")) {
            maker.store(0, FULL, 0x21);
            long bitmap = maker.bitmap(0);
            maker.store(2, PARTIAL, 0x22);
            maker.present(bitmap, 4096 + 100, 300);
            maker.entry(3, 2).entry(4, 3).entry(5, 1);
            byte[] sector = maker.get(BAT, 4096);
            ByteBuffer.wrap(sector).order(java.nio.ByteOrder.LITTLE_ENDIAN).putLong(48, 2);
            maker.putLog(0, maker.logEntry(GUID, 1, 0, VhdxMaker.Change.data(BAT, sector),
                    VhdxMaker.Change.zeros(BAT + 8192, 4096)));
            maker.log(GUID);
        }
        whole = Files.readAllBytes(child);
        links = new NearbyLinks(directory, Reading.FORMAT, false);
    }

    /** Opens, plans and reads everything; what may not be thrown passes through. @return null if it was refused */
    private byte[] digest(byte[] bytes) {
        try (DiskImage disk = Reading.FORMAT.open(new MemoryHostFile(directory.resolve("child.vhdx"), bytes), links)) {
            Deallocation plan = disk.plan(Runs.request(ReclaimMode.COMPACT, ExtentSet.ofRange(0, MIB)
                    .union(ExtentSet.ofRange(2L * MIB, MIB))));
            plan.plannedBytes();
            BlockSource guest = disk.guest();
            ByteBuffer content = ByteBuffer.allocate(9 * 65536);
            for (int block = 0; block < 8; block++) { // from each block a part, and one more at the bitmap's
                content.limit(content.position() + 65536);
                guest.read(Math.min((long) block * MIB, guest.size()), content);
            }
            guest.read(guest.size() - 65536, content.limit(content.capacity()));
            return content.array();
        } catch (DiskFormatException | EOFException refused) {
            return null;
        } catch (IOException other) {
            throw new AssertionError(other);
        }
    }

    @Test
    void everyPrefixIsRefusedOrWhole() throws IOException {
        make();
        byte[] content = digest(whole);
        assertTrue(content != null);
        int refused = 0;
        int cuts = 0;
        for (int length = 0; length < whole.length; length += length < 8192 ? 511 : 65521) {
            byte[] found = digest(Arrays.copyOf(whole, length));
            refused += found == null ? 1 : 0;
            cuts++;
        }
        assertEquals(cuts, refused, "each block and each table is needed");
    }

    @Test
    void everyFlippedByteIsRefusedOrReadsWithinBounds() throws IOException {
        make();
        byte[] content = digest(whole);
        int harmless = 0;
        for (int[] range : new int[][] {{0, 40, 3}, {65536, 65700, 1}, {131072, 131200, 1}, {196608, 196800, 3},
            {262144, 262240, 3}, {MIB, MIB + 200, 1}, {MIB + 4090, MIB + 4200, 3}, {METADATA, METADATA + 300, 1},
            {METADATA + 65536, METADATA + 66100, 2}, {BAT, BAT + 80, 1}, {BAT + 4096 * 8, BAT + 4096 * 8 + 16, 1}}) {
            for (int at = range[0]; at < range[1]; at += range[2]) {
                whole[at] ^= (byte) (1 << at % 8);
                byte[] found = digest(whole);
                harmless += found != null && Arrays.equals(found, content) ? 1 : 0;
                whole[at] ^= (byte) (1 << at % 8);
            }
        }
        assertTrue(harmless > 200, "creator, second copies, unknown items: " + harmless);
    }
}
