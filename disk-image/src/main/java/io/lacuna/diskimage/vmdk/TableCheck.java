package io.lacuna.diskimage.vmdk;

import io.lacuna.blockio.CorruptException;
import io.lacuna.blockio.ExtentSet;
import java.io.IOException;
import java.nio.ByteBuffer;

/** Compares the two copies of grain tables, and checks a table in full. */
final class TableCheck {

    private TableCheck() {
    }

    /**
     * Compares both copies. That the second one alone lacks a grain is what a writer leaves that is cut between the two: the first
     * one counts.
     *
     * @return whether the second copy lacks something
     * @throws CorruptException if they differ in any other way
     */
    static boolean redundantLacks(SparsePart part) throws IOException {
        TableFile redundant = part.tables().redundant();
        if (redundant == null) {
            return false;
        }
        TableFile primary = part.tables().primary();
        GrainLayout layout = part.tables().layout();
        boolean lacks = false;
        for (int group = 0; group < primary.groups(); group++) {
            if (primary.isAbsent(group)) {
                continue;
            }
            ByteBuffer ours = primary.load(group);
            ByteBuffer other = redundant.load(group);
            int from = 0;
            while (true) { // Ends: every round steps over a difference.
                int at = ours.slice(from, ours.limit() - from).mismatch(other.slice(from, other.limit() - from));
                if (at < 0) {
                    break;
                }
                int entry = (from + at) / Integer.BYTES;
                long grain = (long) group * primary.entriesPerGroup() + entry;
                if (grain < layout.grainCount()) { // Entries behind the end of the disk mean nothing.
                    requireLack(part, grain, layout.place(part.tables().entry(ours, entry), grain),
                            layout.place(part.tables().entry(other, entry), grain));
                    lacks = true;
                }
                from = (entry + 1) * Integer.BYTES;
            }
        }
        return lacks;
    }

    private static void requireLack(SparsePart part, long grain, long ours, long other) throws CorruptException {
        if (other != GrainLayout.NONE && (other != GrainLayout.ZERO || ours == GrainLayout.NONE)) {
            throw part.named(new CorruptException("redundant grain table: grain " + grain, -1, "what the other table says, "
                    + text(ours) + " (repair the disk with vmware-vdiskmanager -R)", text(other)));
        }
    }

    private static String text(long place) {
        return place == GrainLayout.NONE ? "none" : place == GrainLayout.ZERO ? "zeros" : "byte " + place;
    }

    /** After a crash: every grain lies in the file and outside of its structures, and none lies where another one does. */
    static void inFull(SparsePart part) throws IOException {
        GrainLayout layout = part.tables().layout();
        ExtentSet.Builder places = ExtentSet.builder();
        long[] sum = {0};
        part.tables().forEachRun(0, layout.grainCount(), (grain, count, place) -> {
            if (place >= 0) {
                places.add(place, count * layout.grainSize());
                sum[0] += count * layout.grainSize();
            }
        });
        long excess = sum[0] - places.build().totalBytes();
        if (excess != 0) {
            throw part.named(new CorruptException("grain tables after an unclean shutdown", -1, "every grain at a place of its own",
                    excess + " bytes that are used more than once"));
        }
        redundantLacks(part);
    }
}
