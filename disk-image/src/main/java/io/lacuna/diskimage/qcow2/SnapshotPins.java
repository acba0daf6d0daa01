package io.lacuna.diskimage.qcow2;

import io.lacuna.blockio.UnsupportedException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * Which internal snapshots refer to which clusters. There are few different sets of snapshots in an image, so each is kept once
 * and a cluster has only the number of its set. For the report alone: what stays is decided by the reference counts.
 */
final class SnapshotPins {

    private static final int NONE = 0;
    /** More sets than are kept: some of the snapshots, which is not told. */
    private static final int SOME = 1;
    /** Ours: snapshot numbers in all sets of more than one together, some 6 MiB. */
    private static final int MOST_NUMBERS = 1 << 18;
    /** Ours: pairs of sets whose union is remembered. */
    private static final int MOST_UNIONS = 1 << 16;

    private final List<Snapshot> snapshots;
    private final PackedClusters setOf;
    private final List<int[]> sets = new ArrayList<>(List.of(new int[0], new int[0]));
    private final List<String> reasons = new ArrayList<>();
    private final Set<String> given = Collections.newSetFromMap(new IdentityHashMap<>());
    private final Map<List<Integer>, Integer> numbers = new HashMap<>();
    private final Map<Long, Integer> unions = new HashMap<>();
    private final int[] alone;
    private int numbersLeft = MOST_NUMBERS;

    /** @param clusters how many the file has */
    SnapshotPins(List<Snapshot> snapshots, long clusters) throws UnsupportedException {
        this.snapshots = snapshots;
        this.setOf = new PackedClusters(clusters);
        this.alone = new int[snapshots.size()];
        reasons.add(null);
        reasons.add("shared with one of the snapshots " + Remarks.names(snapshots.stream().map(Snapshot::name).toList()));
    }

    /** A snapshot's L1 table names this cluster as an L2 table. */
    void add(long cluster, int snapshot) throws UnsupportedException {
        if (alone[snapshot] == NONE) {
            alone[snapshot] = set(new int[] {snapshot});
        }
        add(cluster, setOf.get(cluster), alone[snapshot]);
    }

    /** What an L2 table names is pinned by the snapshots that pin the table. */
    void inherit(long table, long cluster) throws UnsupportedException {
        int pinning = setOf.get(table);
        if (pinning != NONE) {
            add(cluster, setOf.get(cluster), pinning);
        }
    }

    private void add(long cluster, int present, int more) throws UnsupportedException {
        if (present != more) {
            setOf.set(cluster, union(present, more));
        }
    }

    private int union(int a, int b) {
        if (a == NONE || b == NONE) {
            return a + b;
        }
        if (a == SOME || b == SOME) {
            return SOME;
        }
        long pair = (long) Math.min(a, b) << 32 | Math.max(a, b);
        Integer known = unions.get(pair);
        if (known == null) {
            int[] both = Arrays.copyOf(sets.get(a), sets.get(a).length + sets.get(b).length);
            System.arraycopy(sets.get(b), 0, both, sets.get(a).length, sets.get(b).length);
            known = unions.size() < MOST_UNIONS ? set(Arrays.stream(both).sorted().distinct().toArray()) : SOME;
            if (unions.size() < MOST_UNIONS) {
                unions.put(pair, known);
            }
        }
        return known;
    }

    private int set(int[] members) {
        List<Integer> key = Arrays.stream(members).boxed().toList();
        Integer known = numbers.get(key);
        if (known != null) {
            return known;
        }
        if (members.length > 1) {
            if (numbersLeft < members.length) {
                return SOME;
            }
            numbersLeft -= members.length;
        }
        int number = sets.size();
        sets.add(members);
        numbers.put(key, number);
        return number;
    }

    /** @return why a cluster stays that snapshots refer to, always the same object for the same ones; null if none does */
    String reason(long cluster) {
        int set = setOf.get(cluster);
        if (set == NONE) {
            return null;
        }
        while (reasons.size() <= set) {
            int[] members = sets.get(reasons.size());
            reasons.add(Remarks.sharedReason(Arrays.stream(members).mapToObj(i -> snapshots.get(i).name()).toList()));
        }
        String why = reasons.get(set);
        given.add(why);
        return why;
    }

    /** @return whether {@link #reason} gave this very text */
    boolean isReason(String why) {
        return given.contains(why);
    }
}
