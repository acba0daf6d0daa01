package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** Bitmaps of shadow copies, read word by word, against the slow and plain way. */
class ShadowBitmapProperties {

    private static final int BITS = (ShadowBlocks.SIZE - ShadowBlocks.HEADER_SIZE) * 8;

    /** Two blocks of a bitmap behind an empty one, with runs of up to this length. */
    private static byte[] bitmap(long seed, int run) {
        byte[] bytes = new byte[3 * ShadowBlocks.SIZE];
        ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
        Random random = new Random(seed);
        boolean set = random.nextBoolean();
        int left = random.nextInt(run);
        for (int i = 0; i < 2; i++) {
            int at = (i + 1) * ShadowBlocks.SIZE;
            buffer.put(at, ShadowVolume.IDENTIFIER).putInt(at + 0x10, 1).putInt(at + 0x14, 6).putLong(at + 0x20, at);
            buffer.putLong(at + 0x28, i == 0 ? 2 * ShadowBlocks.SIZE : 0);
            for (int bit = 0; bit < BITS; bit++) {
                if (left-- == 0) {
                    set = !set;
                    left = random.nextInt(run);
                }
                bytes[at + 128 + bit / 8] |= (byte) (set ? 1 << bit % 8 : 0);
            }
        }
        return bytes;
    }

    private static ExtentSet plainly(byte[] bytes, long blocks) {
        ExtentSet.Builder unused = ExtentSet.builder();
        for (long block = 0; block < Math.min(blocks, 2 * BITS); block++) {
            int at = (int) ((block / BITS + 1) * ShadowBlocks.SIZE + 128 + block % BITS / 8);
            if ((bytes[at] >> block % 8 & 1) != 0) {
                unused.add(block * ShadowBlocks.SIZE, ShadowBlocks.SIZE);
            }
        }
        return unused.build();
    }

    private static ExtentSet read(byte[] bytes, long size, ExtentSet candidates, int maxPieces) throws IOException {
        ShadowBlocks blocks = new ShadowBlocks(new ByteArraySource(bytes), ExtentSet.EMPTY);
        return ShadowBitmap.unused(blocks, "bitmap", ShadowBlocks.SIZE, size, candidates, Set.of(), maxPieces);
    }

    @Property(tries = 60)
    void readsWhatThePlainWayReads(@ForAll long seed, @ForAll @IntRange(min = 1, max = 300) int run,
            @ForAll @IntRange(max = 3 * 130048) int blocks, @ForAll @IntRange(max = 16383) int more,
            @ForAll @IntRange(min = 1, max = 100_000) int pieces) throws IOException {
        byte[] bytes = bitmap(seed, run);
        ExtentSet.Builder candidates = ExtentSet.builder();
        Random random = new Random(seed ^ 1);
        for (long at = 0; at < 3L * BITS; at += 1 + random.nextInt(pieces)) {
            long length = 1 + random.nextInt(pieces);
            candidates.add(at * ShadowBlocks.SIZE, length * ShadowBlocks.SIZE);
            at += length;
        }
        ExtentSet all = candidates.build();
        assertEquals(plainly(bytes, blocks).intersect(all),
                read(bytes, (long) blocks * ShadowBlocks.SIZE + more, all, Integer.MAX_VALUE));
    }

    @Property(tries = 20)
    void refusesMorePiecesThanItMayKeep(@ForAll long seed) throws IOException {
        byte[] bytes = bitmap(seed, 50);
        long size = 2L * BITS * ShadowBlocks.SIZE;
        ExtentSet all = ExtentSet.ofRange(0, size);
        int count = read(bytes, size, all, Integer.MAX_VALUE).count();
        assertEquals(count, read(bytes, size, all, count).count());
        assertThrows(UnsupportedException.class, () -> read(bytes, size, all, count - 1));
    }
}
