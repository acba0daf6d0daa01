package io.lacuna.diskimage.undo;

import io.lacuna.blockio.Extent;
import java.util.BitSet;
import java.util.List;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.junit.jupiter.api.Assertions;

class KeptRangesProperties {

    @Provide
    Arbitrary<List<Extent>> steps() {
        return Arbitraries.longs().between(0, 60).flatMap(offset -> Arbitraries.longs().between(1, 12)
                .map(length -> new Extent(offset, length))).list().ofMaxSize(40);
    }

    @Property(tries = 500)
    void tellsWhatASetOfBytesTells(@ForAll("steps") List<Extent> steps) {
        KeptRanges kept = new KeptRanges();
        BitSet model = new BitSet();
        for (Extent step : steps) {
            BitSet missing = new BitSet();
            for (Extent part : kept.missing(step.offset(), step.end())) {
                Assertions.assertTrue(missing.get((int) part.offset(), (int) part.end()).isEmpty());
                missing.set((int) part.offset(), (int) part.end());
            }
            BitSet expected = new BitSet();
            expected.set((int) step.offset(), (int) step.end());
            expected.andNot(model);
            Assertions.assertEquals(expected, missing);
            kept.add(step.offset(), step.end());
            model.set((int) step.offset(), (int) step.end());
        }
    }
}
