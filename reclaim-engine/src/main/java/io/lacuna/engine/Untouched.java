package io.lacuna.engine;

import io.lacuna.blockio.Deallocation;
import io.lacuna.blockio.ExtentSet;
import java.util.List;

/** The plan to do nothing, for an image that is refused. */
record Untouched(List<Retained> retained) implements Deallocation {

    static Untouched all(ExtentSet free) {
        return new Untouched(free.isEmpty() ? List.of() : List.of(new Retained("the image is refused", free)));
    }

    @Override
    public ExtentSet reclaimable() {
        return ExtentSet.EMPTY;
    }

    @Override
    public long plannedBytes() {
        return 0;
    }

    @Override
    public long unreferencedBytes() {
        return 0;
    }

    @Override
    public boolean isEmpty() {
        return true;
    }

    @Override
    public boolean changesTables() {
        return false;
    }

    @Override
    public List<String> remarks() {
        return List.of();
    }
}
