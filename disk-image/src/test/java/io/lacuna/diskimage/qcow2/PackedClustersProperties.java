package io.lacuna.diskimage.qcow2;

import static org.junit.jupiter.api.Assertions.assertEquals;

import io.lacuna.blockio.DiskFormatException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;

/** Counters and reference-count fields against plain models. */
class PackedClustersProperties {

    @Property(tries = 100)
    void behavesLikeAMap(@ForAll @Size(max = 200) List<@IntRange(min = 0, max = 9999) Integer> clusters,
            @ForAll @IntRange(min = 1, max = 70_000) int amount) throws DiskFormatException {
        PackedClusters packed = new PackedClusters(10_000);
        Map<Integer, Integer> model = new HashMap<>();
        for (int i = 0; i < clusters.size(); i++) {
            int cluster = clusters.get(i) / (i % 5 + 1);
            int step = i % 7 == 0 ? amount : 1;
            packed.add(cluster, step);
            model.merge(cluster, step, Integer::sum);
        }
        for (int i = 0; i < 10_000; i++) {
            assertEquals(model.getOrDefault(i, 0), packed.get(i));
        }
    }

    @Property(tries = 200)
    void countsOfEveryWidthKeepTheirNeighbours(@ForAll @IntRange(min = 0, max = 6) int order,
            @ForAll @Size(min = 64, max = 64) List<@IntRange(min = 0, max = Integer.MAX_VALUE) Integer> values) {
        byte[] block = new byte[512];
        long mask = order == 6 ? -1 : (1L << (1 << order)) - 1;
        for (int i = 63; i >= 0; i--) {
            RefcountTable.set(block, order, i, (int) (values.get(i) & mask));
        }
        for (int i = 0; i < 64; i++) {
            assertEquals(values.get(i) & mask, RefcountTable.get(block, order, i));
        }
    }
}
