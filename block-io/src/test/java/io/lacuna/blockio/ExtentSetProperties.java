package io.lacuna.blockio;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.BitSet;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import net.jqwik.api.constraints.IntRange;

/** ExtentSet against the plainest model there is, one bit a byte. */
class ExtentSetProperties {

    private static final int SIZE = 400;

    @Provide
    Arbitrary<List<Extent>> extents() {
        Arbitrary<Extent> one = Combinators.combine(Arbitraries.integers().between(0, SIZE - 1),
                Arbitraries.integers().between(1, 40)).as((offset, length) -> new Extent(offset, length));
        return one.list().ofMaxSize(30);
    }

    private static ExtentSet set(List<Extent> extents) {
        return ExtentSet.of(extents.toArray(Extent[]::new));
    }

    private static BitSet bits(List<Extent> extents) {
        BitSet bits = new BitSet();
        extents.forEach(extent -> bits.set((int) extent.offset(), (int) extent.end()));
        return bits;
    }

    private static BitSet bits(ExtentSet set) {
        BitSet bits = new BitSet();
        long behind = -1;
        for (Extent extent : set) {
            assertTrue(extent.offset() > behind, "sorted, disjoint and not adjacent: " + set);
            behind = extent.end();
            bits.set((int) extent.offset(), (int) extent.end());
        }
        return bits;
    }

    @Property
    void holdsWhatWasAdded(@ForAll("extents") List<Extent> extents) {
        assertEquals(bits(extents), bits(set(extents)));
        assertEquals(bits(extents).cardinality(), set(extents).totalBytes());
    }

    @Property
    void unionIntersectMinus(@ForAll("extents") List<Extent> a, @ForAll("extents") List<Extent> b) {
        BitSet union = bits(a);
        union.or(bits(b));
        BitSet common = bits(a);
        common.and(bits(b));
        BitSet rest = bits(a);
        rest.andNot(bits(b));
        assertEquals(union, bits(set(a).union(set(b))));
        assertEquals(common, bits(set(a).intersect(set(b))));
        assertEquals(rest, bits(set(a).minus(set(b))));
    }

    /** There may be millions of ranges, and most steps of a plan change none. */
    @Property
    void whatChangesNothingTakesNoMemory(@ForAll("extents") List<Extent> extents) {
        ExtentSet set = ExtentSet.of(extents.toArray(Extent[]::new));
        assertSame(set, set.union(set));
        assertSame(set, set.intersect(ExtentSet.ofRange(0, Long.MAX_VALUE)));
        assertSame(set, set.minus(ExtentSet.EMPTY));
        assertSame(set, set.atLeast(1));
        assertSame(set, set.inwardTo(1));
    }

    @Property
    void partOfARange(@ForAll("extents") List<Extent> a, @ForAll @IntRange(max = SIZE) int offset,
            @ForAll @IntRange(min = 1, max = SIZE) int length) {
        BitSet common = bits(a);
        BitSet range = new BitSet();
        range.set(offset, offset + length);
        common.and(range);
        assertEquals(common, bits(set(a).intersect(new Extent(offset, length))));
        assertEquals(!common.isEmpty(), set(a).intersects(offset, length));
        assertEquals(common.cardinality() == length, set(a).contains(offset, length));
    }

    @Property
    void inwardToHoldsExactlyTheWholeBlocks(@ForAll("extents") List<Extent> a, @ForAll @IntRange(min = 1, max = 64) int block,
            @ForAll @IntRange(max = 200) int phase) {
        BitSet free = bits(a);
        BitSet whole = new BitSet();
        for (int start = phase % block - block; start < 2 * SIZE; start += block) {
            if (start >= 0 && free.nextClearBit(start) >= start + block) {
                whole.set(start, start + block);
            }
        }
        assertEquals(whole, bits(set(a).inwardTo(block, phase)));
    }

    @Property
    void shiftMovesEveryByte(@ForAll("extents") List<Extent> a, @ForAll @IntRange(max = 1000) int distance) {
        BitSet moved = new BitSet();
        bits(a).stream().forEach(bit -> moved.set(bit + distance));
        assertEquals(moved, bits(set(a).shift(distance)));
        assertEquals(set(a), set(a).shift(distance).shift(-distance));
    }

    @Property
    void atLeastKeepsLongRangesWhole(@ForAll("extents") List<Extent> a, @ForAll @IntRange(min = 1, max = 60) int minimum) {
        BitSet kept = new BitSet();
        for (Extent extent : set(a)) {
            if (extent.length() >= minimum) {
                kept.set((int) extent.offset(), (int) extent.end());
            }
        }
        assertEquals(kept, bits(set(a).atLeast(minimum)));
    }

    @Property
    void findsTheFirstRangeEndingBehind(@ForAll("extents") List<Extent> a, @ForAll @IntRange(max = SIZE + 50) int position) {
        ExtentSet set = set(a);
        int index = set.indexOfFirstEndingAfter(position);
        assertTrue(index == set.count() || set.end(index) > position);
        assertTrue(index == 0 || set.end(index - 1) <= position);
    }
}
