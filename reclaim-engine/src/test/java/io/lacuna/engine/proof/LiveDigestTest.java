package io.lacuna.engine.proof;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeout;

import io.lacuna.blockio.BlockSource;
import io.lacuna.blockio.ExtentSet;
import io.lacuna.blockio.Progress;
import io.lacuna.fixtures.ByteArraySource;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class LiveDigestTest {

    private static final int MIB = 1 << 20;

    private static String digest(byte[] disk, ExtentSet data, ExtentSet absent) throws IOException {
        return LiveDigest.of(new ByteArraySource(disk), data, absent, Progress.NONE);
    }

    private static ExtentSet whole(byte[] disk) {
        return ExtentSet.ofRange(0, disk.length);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 511, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 12345, 4 * MIB, 5 * MIB, 7 * MIB + 1, 11 * MIB})
    void isWhatItsDescriptionSays(int size) throws Exception {
        byte[] disk = new byte[size];
        new Random(size).nextBytes(disk);
        assertEquals(PlainDigest.of(disk, PlainDigest.allBut(size)), digest(disk, whole(disk), ExtentSet.EMPTY));
    }

    @Test
    void isWhatItsDescriptionSaysForAnyPartsThatAreAbsentOrZeros() throws Exception {
        Random random = new Random(20261123);
        for (int round = 0; round < 40; round++) {
            int size = random.nextInt(14 * MIB);
            byte[] disk = new byte[size];
            boolean[] live = PlainDigest.allBut(size);
            ExtentSet.Builder data = ExtentSet.builder();
            ExtentSet.Builder absent = ExtentSet.builder();
            for (int from = 0; from < size;) {
                int length = Math.min(size - from, 1 + random.nextInt(random.nextBoolean() ? 5000 : 3 * MIB));
                // Often whole chunks, for which there is a short way.
                int to = random.nextInt(3) == 0 ? Math.min(size, (from + length) / MIB * MIB + MIB) : from + length;
                boolean stored = random.nextBoolean();
                if (stored) {
                    data.add(from, to - from);
                    for (int i = from; i < to; i += 7) {
                        disk[i] = (byte) random.nextInt();
                    }
                }
                if (random.nextInt(3) == 0) {
                    absent.add(from, to - from);
                    Arrays.fill(live, from, to, false);
                }
                from = to;
            }
            assertEquals(PlainDigest.of(disk, live), digest(disk, data.build(), absent.build()), "round " + round);
        }
    }

    @Test
    void everyLiveByteCountsAndNoOther() throws IOException {
        byte[] disk = new byte[3 * MIB];
        new Random(1).nextBytes(disk);
        ExtentSet absent = ExtentSet.ofRange(100, 50).union(ExtentSet.ofRange(MIB - 10, MIB + 20));
        String before = digest(disk, whole(disk), absent);
        for (int at : new int[] {0, 99, 150, MIB - 11, 2 * MIB + 10, 3 * MIB - 1}) {
            disk[at] ^= 1;
            assertNotEquals(before, digest(disk, whole(disk), absent), "byte " + at);
            disk[at] ^= 1;
        }
        for (int at : new int[] {100, 149, MIB - 10, MIB, 2 * MIB + 9}) {
            disk[at] ^= 1;
            assertEquals(before, digest(disk, whole(disk), absent), "byte " + at);
        }
    }

    @Test
    void anotherSetOfLiveBytesIsAnotherDigestEvenIfTheBytesAreTheSame() throws IOException {
        byte[] disk = new byte[MIB];
        String all = digest(disk, whole(disk), ExtentSet.EMPTY);
        assertNotEquals(all, digest(disk, whole(disk), ExtentSet.ofRange(0, 1)));
        assertNotEquals(digest(disk, whole(disk), ExtentSet.ofRange(1, 1)), digest(disk, whole(disk), ExtentSet.ofRange(0, 1)));
        assertNotEquals(all, digest(new byte[MIB + 1], ExtentSet.EMPTY, ExtentSet.EMPTY));
    }

    /** A disk that nobody may read. */
    private record Sparse(long size) implements BlockSource {
        @Override
        public void read(long offset, ByteBuffer target) throws IOException {
            throw new IOException("read at " + offset);
        }
    }

    @Test
    void emptyStretchesCostNothingHoweverLargeTheDiskIs() throws Exception {
        long chunks = (15L << 40) / MIB + 5;
        String found = assertTimeout(Duration.ofSeconds(5), () -> LiveDigest.of(new Sparse(chunks * MIB), ExtentSet.EMPTY,
                ExtentSet.EMPTY, Progress.NONE));
        byte[] top = uniform(chunks, PlainDigest.sha(ByteBuffer.allocate(9 + MIB).put((byte) 0).putInt(0).putInt(MIB).array()),
                new HashMap<>());
        assertEquals(HexFormat.of().formatHex(PlainDigest.sha(ByteBuffer.allocate(41).put((byte) 2).putLong(chunks * MIB).put(top)
                .array())), found);
        assertTimeout(Duration.ofSeconds(5), () -> LiveDigest.of(new Sparse(chunks * MIB), ExtentSet.ofRange(3L << 40, 1L << 40),
                ExtentSet.ofRange(2L << 40, 5L << 40), Progress.NONE), "what is absent is not read either");
    }

    /** As a file system that was just made leaves it: in each group a little in use, most of that never written. */
    @Test
    void groupsThatRepeatThemselvesCostNothing() throws Exception {
        int group = 4 * MIB;
        int groups = 14;
        byte[] disk = new byte[groups * group + 12345];
        boolean[] live = PlainDigest.allBut(disk.length);
        ExtentSet.Builder absent = ExtentSet.builder();
        ExtentSet.Builder data = ExtentSet.builder();
        for (int start = 0; start < disk.length; start += group) {
            int from = start + 3000 + (start / group % 3 == 0 ? 512 : 0);
            int to = Math.min(disk.length, start + group - 5000);
            absent.add(from, to - from);
            Arrays.fill(live, from, to, false);
            if (start / group % 4 == 1) {
                // The same in two places, and once another byte, or another place.
                int at = start + (start == 5 * group ? 9 : 7);
                disk[at] = (byte) (start == 9 * group ? 2 : 1);
                data.add(start, 10);
            }
        }
        assertEquals(PlainDigest.of(disk, live), digest(disk, data.build(), absent.build()));

        long large = 128L * MIB;
        ExtentSet.Builder many = ExtentSet.builder();
        for (long start = 0; start < 15L << 40; start += large) {
            many.add(start + 3 * MIB + 4096, large - 5 * MIB);
        }
        assertTimeout(Duration.ofSeconds(20), () -> LiveDigest.of(new Sparse(15L << 40), ExtentSet.EMPTY, many.build(),
                Progress.NONE),
                "a quarter of a terabyte of zeros");
    }

    private static byte[] uniform(long leaves, byte[] leaf, Map<Long, byte[]> known) throws Exception {
        if (leaves == 1) {
            return leaf;
        }
        if (!known.containsKey(leaves)) {
            long left = Long.highestOneBit(leaves - 1);
            known.put(leaves, PlainDigest.node(uniform(left, leaf, known), uniform(leaves - left, leaf, known)));
        }
        return known.get(leaves);
    }

    @Test
    void whatCannotBeReadIsAFailure() {
        assertThrows(IOException.class, () -> LiveDigest.of(new Sparse(9 * MIB), ExtentSet.ofRange(5 * MIB, 10), ExtentSet.EMPTY,
                Progress.NONE));
    }
}
