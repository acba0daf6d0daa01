package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.lacuna.blockio.ExtentSet;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.util.BitSet;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;

/** $Bitmap in any runs, of any size, valid up to anywhere, against a BitSet. */
class BitmapReaderProperties {

    private static final int CLUSTER = 512;

    @Property(tries = 400)
    void freeIsWhatTheBitmapBelievablySaysIsFree(@ForAll long seed, @ForAll @IntRange(min = 1, max = 40_000) int clusters,
            @ForAll @IntRange(min = 0, max = 100) int density) throws IOException {
        Random random = new Random(seed);
        byte[] bitmap = bitmap(random, clusters, density);
        int valid = random.nextInt(3) == 0 ? random.nextInt(bitmap.length + 1) : bitmap.length;
        int data = random.nextInt(3) == 0 ? valid + random.nextInt(bitmap.length - valid + 1) : bitmap.length;
        Scattered scattered = scatter(random, bitmap);

        BitSet free = new BitSet(clusters);
        for (int cluster = 0; cluster < clusters; cluster++) {
            int at = cluster / 8;
            boolean believed = at < valid && !scattered.sparse.get(at / CLUSTER);
            free.set(cluster, believed && (bitmap[at] >> cluster % 8 & 1) == 0);
        }
        assertEquals(extents(free), reader(scattered, data, valid, clusters, BitmapReader.MAX_RANGES).read());
    }

    @Property(tries = 200)
    void tooManyRangesLeaveTheShortestOut(@ForAll long seed, @ForAll @IntRange(min = 100, max = 20_000) int clusters)
            throws IOException {
        byte[] bitmap = bitmap(new Random(seed), clusters, 50);
        Scattered inOrder = scatter(new Random(0), bitmap);
        inOrder.sparse.clear();
        ExtentSet all = reader(inOrder, bitmap.length, bitmap.length, clusters, BitmapReader.MAX_RANGES).read();
        BitmapReader reader = reader(inOrder, bitmap.length, bitmap.length, clusters, 16);
        ExtentSet some = reader.read();

        assertTrue(some.count() <= 16);
        assertEquals(all.atLeast(reader.minimumLength()), some);
    }

    private static BitmapReader reader(Scattered bitmap, int data, int valid, int clusters, int maxRanges) throws IOException {
        RunList.Builder runs = new RunList.Builder();
        for (int i = 0; i < bitmap.lcns.length; i++) {
            runs.add(bitmap.sparse.get(i) ? RunList.SPARSE : bitmap.lcns[i], 1);
        }
        return new BitmapReader(new NtfsStream("$Bitmap", new ByteArraySource(bitmap.volume), CLUSTER, runs.build(), data,
                valid, 0), clusters, maxRanges);
    }

    private static byte[] bitmap(Random random, int clusters, int density) {
        byte[] bitmap = new byte[(clusters + 63) / 64 * 8];
        for (int at = 0; at < bitmap.length; ) {
            int same = 1 + random.nextInt(random.nextBoolean() ? 3 : 40);
            int kind = random.nextInt(3);
            for (; same > 0 && at < bitmap.length; same--, at++) {
                for (int bit = 0; bit < 8; bit++) {
                    boolean used = kind == 0 || kind == 2 && random.nextInt(100) < density;
                    bitmap[at] |= (byte) (used ? 1 << bit : 0);
                }
            }
        }
        return bitmap;
    }

    /** Clusters of a bitmap in any order on a volume, and some of them not there at all. */
    private record Scattered(byte[] volume, int[] lcns, BitSet sparse) {
    }

    private static Scattered scatter(Random random, byte[] bitmap) {
        int count = (bitmap.length + CLUSTER - 1) / CLUSTER;
        int[] lcns = new int[count];
        byte[] volume = new byte[2 * count * CLUSTER];
        BitSet taken = new BitSet();
        BitSet sparse = new BitSet();
        int next = random.nextInt(2 * count);
        for (int i = 0; i < count; i++) {
            next = taken.nextClearBit(random.nextInt(4) == 0 ? random.nextInt(2 * count) : next);
            next = next < 2 * count ? next : taken.nextClearBit(0);
            taken.set(next);
            lcns[i] = next;
            sparse.set(i, random.nextInt(8) == 0);
            if (!sparse.get(i)) {
                System.arraycopy(bitmap, i * CLUSTER, volume, next * CLUSTER, Math.min(CLUSTER, bitmap.length - i * CLUSTER));
            }
        }
        return new Scattered(volume, lcns, sparse);
    }

    private static ExtentSet extents(BitSet free) {
        ExtentSet.Builder extents = ExtentSet.builder();
        for (int from = free.nextSetBit(0); from >= 0; from = free.nextSetBit(free.nextClearBit(from))) {
            extents.add((long) from * CLUSTER, (long) (free.nextClearBit(from) - from) * CLUSTER);
        }
        return extents.build();
    }
}
