package io.lacuna.fs.ext;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.UnsupportedException;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;

/** Words to ranges, against a bit at a time. */
class BitmapWordsProperties {

    @Property
    void matchesBitSet(@ForAll @IntRange(min = 1, max = 700) int bits, @ForAll long seed,
            @ForAll @IntRange(min = 0, max = 200) int longestRun, @ForAll @IntRange(min = 0, max = 5) int cutOff,
            @ForAll @LongRange(min = 0, max = 1L << 52) long start, @ForAll @IntRange(min = 0, max = 8) int exponent)
            throws UnsupportedException {
        long clusterSize = 1024L << exponent;
        BitSet used = runs(new Random(seed), longestRun);
        long end = start + bits * clusterSize - Math.min(cutOff * 1024L, clusterSize - 1024);

        ExtentSet.Builder expected = ExtentSet.builder();
        int clear = 0;
        for (int bit = 0; bit < bits; bit++) {
            if (!used.get(bit)) {
                clear++;
                long offset = start + bit * clusterSize;
                expected.add(offset, Math.min(clusterSize, end - offset));
            }
        }
        Ranges free = new Ranges("free space");
        long[] words = Arrays.copyOf(used.toLongArray(), 13);
        assertEquals(clear, new BitmapWords(clusterSize, end, free).addFree(words, bits, start));
        assertEquals(expected.build(), free.build());
    }

    /** Runs of random length from 0 on, also past the bits that count, where the padding is. */
    private static BitSet runs(Random random, int longestRun) {
        BitSet used = new BitSet();
        boolean set = random.nextBoolean();
        for (int bit = 0; bit < 13 * 64; set = !set) {
            int length = 1 + random.nextInt(longestRun + 1);
            used.set(bit, Math.min(13 * 64, bit + length), set);
            bit += length;
        }
        return used;
    }

    @Example
    void tooManyPiecesAreRefused() {
        Ranges free = new Ranges("free space", 10);
        BitmapWords words = new BitmapWords(4096, Long.MAX_VALUE, free);
        assertThrows(UnsupportedException.class, () -> words.addFree(new long[] {0x5555_5555_5555_5555L}, 64, 0));
    }
}
