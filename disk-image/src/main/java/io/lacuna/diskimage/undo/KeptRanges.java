package io.lacuna.diskimage.undo;

import io.lacuna.blockio.Extent;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** The ranges of one file whose old bytes are kept already. Grows a range at a time. */
final class KeptRanges {

    /** First byte to the one behind the last; disjoint, and none touches another. */
    private final TreeMap<Long, Long> ranges = new TreeMap<>();

    /** @return the parts of {@code [from, to)} that are not kept yet, in rising order */
    List<Extent> missing(long from, long to) {
        List<Extent> missing = new ArrayList<>();
        long at = from;
        Map.Entry<Long, Long> before = ranges.floorEntry(from);
        if (before != null) {
            at = Math.max(at, before.getValue());
        }
        for (Map.Entry<Long, Long> range : ranges.subMap(from, false, Math.max(from, to), false).entrySet()) {
            if (range.getKey() > at) {
                missing.add(new Extent(at, range.getKey() - at));
            }
            at = Math.max(at, range.getValue());
        }
        if (at < to) {
            missing.add(new Extent(at, to - at));
        }
        return missing;
    }

    void add(long from, long to) {
        long start = from;
        long end = to;
        Map.Entry<Long, Long> touching = ranges.floorEntry(to);
        while (touching != null && touching.getValue() >= start) {
            start = Math.min(start, touching.getKey());
            end = Math.max(end, touching.getValue());
            ranges.remove(touching.getKey());
            touching = ranges.floorEntry(end);
        }
        ranges.put(start, end);
    }
}
