package io.lacuna.fs.ntfs;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.LongRange;
import net.jqwik.api.constraints.Size;

class LongSetProperties {

    /** Numbers as they come: places in steps of a block, many of them met again. */
    @Property(tries = 200)
    void isASet(@ForAll @Size(max = 2000) List<@LongRange(min = 0, max = 1000) Long> numbers) {
        LongSet set = new LongSet();
        Set<Long> model = new HashSet<>();
        for (long number : numbers) {
            long place = number << number % 40;
            assertEquals(model.add(place), set.add(place));
            assertEquals(model.size(), set.size());
        }
    }
}
