package io.lacuna.diskimage.block;

import io.lacuna.blockio.Deallocation.Retained;
import io.lacuna.blockio.ExtentSet;
import java.util.ArrayList;
import java.util.List;

/** Splits free guest bytes by the reason they stay: each byte falls into one part, the first that does not keep it. */
public final class FreeParts {

    public static final String OUTSIDE = "behind the end of the virtual disk";
    public static final String SHORT = "in ranges shorter than the smallest asked for";
    public static final String UNSTORED = "not stored in the image";
    public static final String HOLE = "a hole of the host's file already";
    public static final String PARTIAL = "less than a whole block of the host";
    public static final String COARSE = "less than a whole block of the granularity asked for";
    public static final String SHARED = "shared with another file of the host";
    public static final String UNPUNCHABLE = "the host cannot punch holes";

    private final List<Retained> retained = new ArrayList<>();
    private ExtentSet left;

    public FreeParts(ExtentSet free) {
        left = free;
    }

    /**
     * @param kept those of the bytes that are left which do not stay for this reason
     * @return what is kept
     */
    public ExtentSet keep(String why, ExtentSet kept) {
        ExtentSet dropped = left.minus(kept);
        left = kept;
        if (dropped.isEmpty()) {
            return kept;
        }
        for (int i = 0; i < retained.size(); i++) {
            if (retained.get(i).why().equals(why)) {
                retained.set(i, new Retained(why, retained.get(i).bytes().union(dropped)));
                return kept;
            }
        }
        retained.add(new Retained(why, dropped));
        return kept;
    }

    /** @return what stays, by reason */
    public List<Retained> retained() {
        return List.copyOf(retained);
    }
}
